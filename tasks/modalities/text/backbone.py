"""A Hugging Face encoder or causal decoder cut to its lowest blocks, with one pooled feature vector per text."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel
from transformers.utils import logging

from tasks.errors import InputError
from tasks.modalities.text.body import final_norm, find_blocks, recorded, sees_only_backwards

logging.disable_progress_bar()

Inputs = dict[str, torch.Tensor]
# Heads on top of the blocks that no pool reads; checkpoints often leave them out.
UNUSED = ("pooler.",)


def mean_pool(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over the tokens that are not padding: (N, T, F), (N, T) -> (N, F)."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)


def first_pool(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The first token's vector: (N, T, F) -> (N, F)."""
    return hidden[:, 0]


def last_pool(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The vector of the last token before the padding: (N, T, F), (N, T) -> (N, F)."""
    places = (mask.sum(1) - 1).clamp(min=0).view(-1, 1, 1).expand(-1, 1, hidden.shape[2])
    return hidden.gather(1, places).squeeze(1)


POOLS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "mean": mean_pool,
    "first": first_pool,
    "last": last_pool,
}

# Share of the blocks at which frozen features serve few rows best as a rule: the middle ones transfer best in
# Transformers of text (Liu et al. 2019, Linguistic Knowledge and Transferability of Contextual Representations).
TYPICAL_DEPTH: float | None = 2 / 3


class TextBackbone(nn.Module):
    """Backbone of the contract for text.

    Args:
        body: a Hugging Face encoder or causal decoder.
        depth: how many of its blocks are kept, from the input upwards; 0 keeps the embeddings alone.
        pool: a row of `POOLS`; "first" needs a body whose first token sees the others.

    Attributes:
        pools: the rows of `POOLS` that this body has.

    Raises:
        InputError: the pool is not there, or the body does not run on token ids alone.
    """

    def __init__(self, body: nn.Module, depth: int, pool: str) -> None:
        super().__init__()
        causal = sees_only_backwards(body)
        if causal:
            body.config.use_cache = False  # type: ignore[union-attr]
        self.pools = tuple(name for name in POOLS if not (causal and name == "first"))
        _refuse_missing(body, [pool], self.pools)
        self.body, self.depth, self.pool = body, depth, pool
        self.width = int(body.config.hidden_size)  # type: ignore[union-attr, arg-type]
        self.blocks_path, blocks = find_blocks(body)
        body.set_submodule(self.blocks_path, nn.ModuleList(list(blocks)[:depth]))
        # Refused while the model is whole, and not when a choice has been made.
        _shorten(copy.deepcopy(body.config), 0)
        _shorten(body.config, depth)

    @property
    def blocks(self) -> list[nn.Module]:
        """The kept blocks, from the input upwards."""
        return list(self.body.get_submodule(self.blocks_path).children())

    @property
    def tail(self) -> list[nn.Module]:
        """The norm that some bodies have behind the last block."""
        norm = final_norm(self.body, self.blocks_path)
        return [norm] if isinstance(norm, nn.Module) else []

    def forward(self, inputs: Inputs) -> torch.Tensor:
        """As `pooled`."""
        return self.pooled(inputs)

    def pooled(self, inputs: Inputs) -> torch.Tensor:
        hidden = self.body(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state
        return POOLS[self.pool](hidden, inputs["attention_mask"])

    def pooled_at_all_depths(self, inputs: Inputs, pools: Sequence[str]) -> dict[tuple[int, str], torch.Tensor]:
        """As the contract says; a pool that this body lacks is left out.

        Raises:
            InputError: it lacks all of them.
        """
        _refuse_missing(self.body, pools, self.pools)
        with recorded(self.blocks) as states:
            self.pooled(inputs)
        norm = final_norm(self.body, self.blocks_path)
        return {
            (depth, pool): POOLS[pool](norm(hidden), inputs["attention_mask"])
            for depth, hidden in enumerate(states)
            for pool in pools
            if pool in self.pools
        }

    def save(self, folder: Path) -> None:
        self.body.save_pretrained(folder, safe_serialization=True)  # type: ignore[operator]


def _shorten(config: Any, depth: int) -> None:
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:depth]
    config.num_hidden_layers = depth
    try:
        config.validate()  # as saving it does
    except Exception:  # what checks the configurations of some families has no other base
        raise InputError(
            f"{type(config).__name__} does not allow for another number of blocks: it cannot be cut by depth; use "
            "another model."
        ) from None


def _refuse_missing(body: nn.Module, wanted: Sequence[str], there: Sequence[str]) -> None:
    if not set(wanted) & set(there):
        raise InputError(
            f"{type(body).__name__} has no pool {' or '.join(wanted)}: its first token never sees the text behind it; "
            f"use {' or '.join(there)}."
        )


def load(folder: Path, depth: int | None = None, pool: str = "mean") -> TextBackbone:
    """Pre-trained backbone from a checked local folder, in evaluation mode, float32.

    Raises:
        InputError: not a loadable text model, weights that do not fill it, fewer blocks than
            `depth`, or a pool that is not there.
    """
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        body, found = AutoModel.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first = str(error).splitlines()[0][:200]
        raise InputError(
            f"The model in {folder.name} cannot be loaded ({first}): use the folder of a plain encoder or decoder."
        ) from None
    drawn = sorted(name for name in found["missing_keys"] if not name.startswith(UNUSED))
    if drawn:
        raise InputError(
            f"The weights in {folder.name} lack {len(drawn)} tensors of their architecture ({drawn[0]}, ...), which "
            "would be drawn at random: restore the file or correct config.json."
        )
    return _cut(body, folder, depth, pool).eval()


def from_scratch(folder: Path, depth: int | None = None, pool: str = "mean") -> TextBackbone:
    """The same architecture with weights drawn anew from torch's current seed."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return _cut(AutoModel.from_config(config, dtype=torch.float32), folder, depth, pool)


def _cut(body: nn.Module, folder: Path, depth: int | None, pool: str) -> TextBackbone:
    most = len(find_blocks(body)[1])
    if depth is not None and not 0 <= depth <= most:
        raise InputError(f"{folder.name} has {most} blocks: a depth of {depth} is not there.")
    return TextBackbone(body, most if depth is None else depth, pool)
