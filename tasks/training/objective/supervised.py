"""Supervised: the labels of the rows, by the problem's own loss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch

from tasks.prepared import Prepared
from tasks.training.balance import resampled
from tasks.training.settings import Objective as Settings
from tasks.training.settings import Training

# Rows are shuffled, then sorted by length inside windows of so many batches: little padding, little order.
WINDOW_BATCHES = 32

LEARNS_HEAD = True


@dataclass(frozen=True)
class Supervised:
    """Objective over labelled rows.

    Attributes:
        batch_rows: rows a step.
        learn: the problem's `learn` module, which has the loss.
        weights: (K,) of the labels in the loss; None weighs all alike.
        resample: whether an epoch has as many rows of each label, instead of every row once.
        smoothing: share of each target that is spread over all labels, in [0, 1].
        mixup: alpha of the Beta distribution that shares of mixed rows are drawn from; 0 mixes none.
    """

    batch_rows: int
    learn: ModuleType
    weights: np.ndarray | None = None
    resample: bool = False
    smoothing: float = 0.0
    mixup: float = 0.0

    @property
    def divisible(self) -> bool:
        return not self.mixup

    @property
    def learns_head(self) -> bool:
        return LEARNS_HEAD

    def steps(self, data: Prepared) -> int:
        whole, rest = divmod(len(data), self.batch_rows)
        return whole + (rest > 1 or not whole)

    def batches(self, data: Prepared, seed: int) -> Iterator[list[int]]:
        random = np.random.default_rng(seed)
        order = resampled(data.classes, random) if self.resample else random.permutation(len(data))
        window = self.batch_rows * WINDOW_BATCHES
        lengths = np.array([max(array.size for array in row.values()) for row in data.encoded])
        chunks: list[list[int]] = []
        for start in range(0, len(order), window):
            rows = order[start : start + window]
            rows = rows[np.argsort(lengths[rows], kind="stable")]
            chunks += [rows[i : i + self.batch_rows].tolist() for i in range(0, len(rows), self.batch_rows)]
        left_over = len(chunks[-1]) == 1 < min(self.batch_rows, len(data))
        if left_over:  # batch normalisation has no variance of a single row
            single = chunks.pop()
            chunks[-1] += single
        for i in random.permutation(len(chunks)):
            yield chunks[i]

    def loss(self, logits: Any, features: Any, classes: Any, progress: float) -> Any:
        weights = None if self.weights is None else logits.new_tensor(self.weights, dtype=torch.float32)
        if self.mixup:
            return self._mixed(logits, classes, weights)
        return self.learn.loss(logits, classes, weights, self.smoothing)

    def _mixed(self, logits: Any, classes: Any, weights: Any) -> Any:
        """Loss of rows whose features are mixed with another's, against both labels by their shares.

        The head is linear and the shares add up to 1, so that logits mix as the features below it do. Source: Verma et
        al. 2019, Manifold Mixup, at the last layer; of texts Guo et al. 2019, senMixup.
        """
        share = float(torch.distributions.Beta(self.mixup, self.mixup).sample())
        other = torch.randperm(len(classes)).to(classes.device)
        mixed = share * logits + (1 - share) * logits[other]
        first, second = (self.learn.loss(mixed, of, weights, self.smoothing) for of in (classes, classes[other]))
        total: torch.Tensor = share * first + (1 - share) * second
        return total


def objective(
    settings: Settings, training: Training, learn: ModuleType, weights: np.ndarray | None, resample: bool
) -> Supervised:
    """Every row once an epoch, or as many of each label."""
    own = settings.supervised
    return Supervised(training.batch_rows, learn, weights, resample, own.label_smoothing, own.mixup)


def training(settings: Settings, training: Training) -> Training:
    """As it is."""
    return training
