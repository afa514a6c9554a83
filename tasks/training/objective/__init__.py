"""From what is learned. Each row makes an `Objective`, and says what training it wants."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any, Protocol, cast

import numpy as np

from tasks.prepared import Prepared
from tasks.training import settings as sections

OBJECTIVES: dict[str, str] = {
    "supervised": "tasks.training.objective.supervised",
    "contrastive": "tasks.training.objective.contrastive",
}


class Objective(Protocol):
    """From what is learned."""

    @property
    def divisible(self) -> bool:
        """Whether a batch's loss is the mean of its rows' own, so that parts of a batch may be computed apart."""

    @property
    def learns_head(self) -> bool:
        """Whether the head learns too, so that its answers to the validation rows judge an epoch.

        Else the head is solved on the features once the body has learned, and the last epoch is kept.
        """

    def batches(self, data: Prepared, seed: int) -> Iterator[list[int]]:
        """Row positions of each step of one epoch; another seed, another order."""

    def steps(self, data: Prepared) -> int:
        """Steps of one epoch."""

    def loss(self, model: Any, inputs: Any, classes: Any, progress: float) -> tuple[Any, dict[str, float]]:
        """Total loss of a batch, and its named parts for the history."""


def get(
    kind: str,
    settings: sections.Objective,
    training: sections.Training,
    learn: ModuleType,
    weights: np.ndarray | None = None,
    resample: bool = False,
) -> Objective:
    """A row of `OBJECTIVES`.

    Args:
        kind: its name.
        settings: of all objectives.
        training: that it is for.
        learn: the problem's module of that name.
        weights: (K,) of the labels in a loss; None weighs all alike.
        resample: whether an epoch has as many rows of each label.
    """
    made = import_module(OBJECTIVES[kind]).objective(settings, training, learn, weights, resample)
    return cast(Objective, made)


def training(kind: str, settings: sections.Objective, training: sections.Training) -> sections.Training:
    """What a row of `OBJECTIVES` makes of the section `adaptation.training`."""
    return cast(sections.Training, import_module(OBJECTIVES[kind]).training(settings, training))


def learns_head(kind: str) -> bool:
    """Whether the objectives of a row learn the head too."""
    return bool(import_module(OBJECTIVES[kind]).LEARNS_HEAD)
