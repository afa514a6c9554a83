"""From what is learned. An objective gives batches of rows and the loss of one batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from tasks.prepared import Prepared


class Objective(Protocol):
    """From what is learned."""

    @property
    def divisible(self) -> bool:
        """Whether a batch's loss is the mean of its rows' own, so that parts of a batch may be computed apart."""

    def batches(self, data: Prepared, seed: int) -> Iterator[list[int]]:
        """Row positions of each step of one epoch; another seed, another order."""

    def steps(self, data: Prepared) -> int:
        """Steps of one epoch."""

    def loss(self, model: Any, inputs: Any, classes: Any, progress: float) -> tuple[Any, dict[str, float]]:
        """Total loss of a batch, and its named parts for the history."""
