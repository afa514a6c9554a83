"""Backbone and head as one network: what is trained, saved, reloaded and exported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tasks import device, modalities, problems
from tasks.artifacts import read_json, write_json
from tasks.modalities.contract import Arrays, Backbone, Encoder

HEAD = "head.safetensors"
RECORD = "graft.json"
BATCH_ROWS = 32


class Network(nn.Module):
    """A backbone with a linear head.

    Args:
        backbone: gives pooled features (N, F).
        head: (N, F) -> (N, K).
        cosine: whether the head sees features of length 1, so that its rows are compared with them by angle alone.
    """

    def __init__(self, backbone: Backbone, head: nn.Module, cosine: bool = False) -> None:
        super().__init__()
        self.backbone, self.head, self.cosine = backbone, head, cosine

    def forward(self, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (N, K) and pooled features (N, F)."""
        features = self.backbone.pooled(inputs)
        seen = nn.functional.normalize(features) if self.cosine else features
        return self.head(seen), features


def save(network: Network, folder: Path, record: dict[str, Any]) -> None:
    """Write a Hugging Face folder with the head beside it.

    Args:
        network: what to save.
        folder: made if it is not there.
        record: modality, problem, pool, labels; depth and K are read off the network.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network.backbone.save(folder)
    save_file({name: value.contiguous() for name, value in network.head.state_dict().items()}, folder / HEAD)
    kind = {"cosine": True} if network.cosine else {}
    write_json(folder / RECORD, record | kind | {"depth": network.backbone.depth})


def load(folder: Path) -> Network:
    """Read what `save` wrote, in evaluation mode."""
    record = read_json(folder / RECORD)
    backbone = modalities.part(record["modality"], "backbone").load(folder, record["depth"], record["pool"])
    head = problems.part(record["problem"], "learn").make_head(backbone.width, len(record["labels"]))
    head.load_state_dict(load_file(folder / HEAD))
    return Network(backbone, head, cosine=record.get("cosine", False)).eval()


def batches(encoded: Sequence[Arrays], rows: int) -> list[list[int]]:
    """Positions of neighbours in length, in batches whose make-up depends on the rows alone."""
    order = sorted(range(len(encoded)), key=lambda i: (max(array.size for array in encoded[i].values()), i))
    return [order[start : start + rows] for start in range(0, len(order), rows)]


CPU = torch.device("cpu")


def tensors(encoder: Encoder, encoded: Sequence[Arrays], target: torch.device = CPU) -> dict[str, torch.Tensor]:
    """One padded batch on a device."""
    return {name: torch.from_numpy(values).to(target) for name, values in encoder.collate(encoded).items()}


def logits(
    network: Network, encoder: Encoder, encoded: Sequence[Arrays], before: Callable[[list[int]], object] | None = None
) -> np.ndarray:
    """Logits of all rows in evaluation mode, (N, K) float32, in the order given.

    Args:
        network: on any device.
        encoder: makes batches.
        encoded: one dict of unpadded arrays per row.
        before: told the positions of the rows of each batch.
    """
    network.eval()
    parts: list[np.ndarray] = [np.empty(0)] * len(encoded)
    with torch.inference_mode():
        for rows in batches(encoded, BATCH_ROWS):
            if before:
                before(rows)
            values, _ = network(tensors(encoder, [encoded[i] for i in rows], device.of(network)))
            for i, value in zip(rows, values.float().cpu().numpy(), strict=True):
                parts[i] = value
    return np.stack(parts)
