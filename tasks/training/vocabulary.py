"""Of the table that tokens are looked up in, what training meets: the rest takes no time and stays as it is.

A token that no row has gets no gradient, so that all AdamW would do to it is to let it decay. The whole table is half
of a small model: its gradient, its moments and its decay are the most that a step costs beside the passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from tasks.modalities.contract import Arrays, Encoder
from tasks.training.scope import Scope

IDS = "input_ids"


@contextmanager
def narrowed(backbone: Any, scope: Scope, encoder: Encoder, encoded: Sequence[Arrays]) -> Iterator[int]:
    """Within it, the backbone's table has the rows of these tokens alone; then it is whole again.

    It is given the number of weights that stand aside: they belong to what learns, though no row moves them.

    Args:
        backbone: left alone where it has no such table, or one that another module uses too.
        scope: by which the table learns; else it is left alone.
        encoder: makes batches, whose padding is a token too.
        encoded: all rows that come.
    """
    table = _table(backbone)
    if table is None or not _learns(backbone, table, scope):
        yield 0
        return
    padding = encoder.collate([min(encoded, key=_size), max(encoded, key=_size)])[IDS]
    known = torch.from_numpy(np.unique(np.concatenate([padding.ravel(), *(row[IDS] for row in encoded)])))
    whole, padded = table.weight, table.padding_idx
    place = torch.full((len(whole),), -1, device=whole.device)
    place[known] = torch.arange(len(known), device=whole.device)
    table.weight = nn.Parameter(whole.detach()[known].clone())
    table.padding_idx = int(place[padded]) if padded is not None and place[padded] >= 0 else None
    hook = table.register_forward_pre_hook(lambda _, ids: (place[ids[0]],))
    try:
        yield whole.numel() - table.weight.numel()
    finally:
        hook.remove()
        with torch.no_grad():
            whole[known] = table.weight
        table.weight, table.padding_idx = whole, padded


def _table(backbone: Any) -> nn.Embedding | None:
    find = getattr(getattr(backbone, "body", None), "get_input_embeddings", None)
    try:
        found = find() if find else None
    except NotImplementedError:  # what transformers raises for a body that looks nothing up
        return None
    if not isinstance(found, nn.Embedding):  # of an image's patches it is what cuts them out
        return None
    users = [module for module in backbone.modules() if getattr(module, "weight", None) is found.weight]
    return found if len(users) == 1 else None


def _learns(backbone: nn.Module, table: nn.Embedding, scope: Scope) -> bool:
    (name,) = (name for name, parameter in backbone.named_parameters() if parameter is table.weight)
    return table.weight.requires_grad and scope.lr_factor(name, -1, 1.0) > 0


def _size(row: Arrays) -> int:
    return max(array.size for array in row.values())
