"""What a modality brings. Shapes: N rows, T tokens, F features, K classes, D depths (0 is the input embedding)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import nn

Arrays = dict[str, np.ndarray]


class Encoder(Protocol):
    """Raw examples -> numpy inputs; the same object prepares training rows and answers requests. No torch.

    A modality's `encode.py` has `from_model(folder, params)` and `from_bundle(folder)`, which return one.
    """

    inputs: tuple[str, ...]

    def encode(self, examples: Sequence[str]) -> list[Arrays]:
        """One dict of unpadded arrays per example."""

    def collate(self, encoded: Sequence[Arrays]) -> Arrays:
        """Pad to one batch: input name -> (N, ...)."""

    def truncated(self, examples: Sequence[str]) -> int:
        """How many examples lose something to the length limit."""

    def save(self, folder: Path) -> None:
        """Write what `from_bundle` needs."""


class Backbone(Protocol):
    """A pre-trained network whose blocks are named in order.

    A modality's `backbone.py` has `load(folder, depth, pool)` and `from_scratch(folder, depth, pool)`, which return
    one that is also a `torch.nn.Module`, or raise InputError.
    """

    depth: int
    width: int

    @property
    def blocks(self) -> list[nn.Module]:
        """The kept blocks, from the input upwards."""

    def eval(self) -> Backbone:
        """Turn off what only training uses, such as dropout."""

    def pooled(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Feature of each row, (N, F), at this backbone's depth and pool."""

    def pooled_at_all_depths(
        self, inputs: dict[str, torch.Tensor], pools: Sequence[str]
    ) -> dict[tuple[int, str], torch.Tensor]:
        """(depth, pool) -> (N, F), all from one forward pass."""

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder (config.json, model.safetensors)."""
