"""From what is learned. Each row makes an `Objective`, and says what training it wants; several add up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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

    def loss(self, logits: Any, features: Any, classes: Any, progress: float) -> Any:
        """Of a batch that went through the network: a scalar, in nats a row.

        Args:
            logits: (N, K).
            features: (N, F), pooled, under the head.
            classes: (N,) class numbers.
            progress: share of all steps done, in [0, 1).
        """


@dataclass(frozen=True)
class Part:
    """An objective, and what its loss counts in a sum."""

    objective: Objective
    weight: sections.Weight


@dataclass(frozen=True)
class WeightedSum:
    """Objectives that add up over one pass of a batch, each by its weight at the progress.

    Attributes:
        parts: the first leads: batches and steps are its own, and whether the head learns.
    """

    parts: tuple[Part, ...]

    @property
    def divisible(self) -> bool:
        return all(part.objective.divisible for part in self.parts)

    @property
    def learns_head(self) -> bool:
        return self.parts[0].objective.learns_head

    def batches(self, data: Prepared, seed: int) -> Iterator[list[int]]:
        return self.parts[0].objective.batches(data, seed)

    def steps(self, data: Prepared) -> int:
        return self.parts[0].objective.steps(data)

    def loss(self, logits: Any, features: Any, classes: Any, progress: float) -> Any:
        passed = (logits, features, classes, progress)
        return sum(part.weight.at(progress) * part.objective.loss(*passed) for part in self.parts)


def get(
    kind: str,
    settings: sections.Objective,
    training: sections.Training,
    learn: ModuleType,
    weights: np.ndarray | None = None,
    resample: bool = False,
) -> Objective:
    """A row of `OBJECTIVES`, with those that its settings put beside it.

    Args:
        kind: its name.
        settings: of all objectives.
        training: that it is for.
        learn: the problem's module of that name.
        weights: (K,) of the labels in a loss; None weighs all alike.
        resample: whether an epoch has as many rows of each label.
    """

    def row(name: str) -> Objective:
        made = import_module(OBJECTIVES[name]).objective(settings, training, learn, weights, resample)
        return cast(Objective, made)

    beside = [Part(row(name), weight) for name, weight in settings.beside(kind).items()]
    return WeightedSum((Part(row(kind), sections.Weight(start=1.0, end=1.0)), *beside)) if beside else row(kind)


def training(kind: str, settings: sections.Objective, training: sections.Training) -> sections.Training:
    """What a row of `OBJECTIVES` makes of the section `adaptation.training`."""
    return cast(sections.Training, import_module(OBJECTIVES[kind]).training(settings, training))


def learns_head(kind: str) -> bool:
    """Whether the objectives of a row learn the head too."""
    return bool(import_module(OBJECTIVES[kind]).LEARNS_HEAD)
