"""Contrastive: the body moves rows of one label together and rows of others apart; the head is solved afterwards.

From few rows many pairs can be made, and so a body learns where a head would only learn the rows by heart (Tunstall et
al. 2022, SetFit). All pairs of a batch count at once, by the supervised contrastive loss of Khosla et al. 2020. Beside
the labels' loss, in the batches of that (Gunel et al. 2021), it takes the pairs that a batch happens to have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from tasks.errors import InputError
from tasks.prepared import Prepared
from tasks.training.settings import Objective as Settings
from tasks.training.settings import Training

LEARNS_HEAD = False


@dataclass(frozen=True)
class Contrastive:
    """Objective over pairs of labelled rows.

    Attributes:
        epoch_steps: steps of its one epoch.
        batch_rows: rows a step, at most.
        temperature: what similarities are divided by; the lower, the more the nearest rows count.
    """

    epoch_steps: int
    batch_rows: int
    temperature: float

    @property
    def divisible(self) -> bool:
        return False

    @property
    def learns_head(self) -> bool:
        return LEARNS_HEAD

    def steps(self, data: Prepared) -> int:
        return self.epoch_steps

    def batches(self, data: Prepared, seed: int) -> Iterator[list[int]]:
        random = np.random.default_rng(seed)
        of_label = [np.flatnonzero(data.classes == label) for label in np.unique(data.classes)]
        paired = [rows for rows in of_label if len(rows) > 1]
        if len(paired) < 2:
            raise InputError(
                "Fewer than two labels have two training rows, so that there are no pairs to learn from: set "
                "adaptation.objective.kind to supervised, or add rows."
            )
        for _ in range(self.epoch_steps):
            yield _drawn(paired, self.batch_rows, random)

    def loss(self, logits: Any, features: Any, classes: Any, progress: float) -> Any:
        return supervised_contrastive(features, classes, self.temperature)


def _drawn(of_label: list[np.ndarray], rows: int, random: np.random.Generator) -> list[int]:
    """As many rows of each label, two at least: of all labels, or of as many as there is room for."""
    each = max(2, rows // len(of_label))
    labels = random.permutation(len(of_label))[: max(2, rows // each)]
    drawn = [random.choice(of_label[label], min(each, len(of_label[label])), replace=False) for label in labels]
    return [int(row) for row in np.concatenate(drawn)]


def supervised_contrastive(features: torch.Tensor, classes: torch.Tensor, temperature: float) -> torch.Tensor:
    """Mean over rows of -log of the share that rows of its label have in its similarity to all others.

    Each row's is the mean over the other rows of its label, of the softmax over all other rows, of cosine similarities
    divided by the temperature; a row without another of its label does not count, and of such rows alone it is 0.

    Args:
        features: (N, F).
        classes: (N,) class numbers.
        temperature: above 0.

    Source: Khosla et al. 2020, Supervised Contrastive Learning, the loss L_out.
    """
    directions = normalize(features.float())
    # A product of matrices that autocast would round to bfloat16.
    with torch.autocast(features.device.type, enabled=False):
        similar = directions @ directions.T / temperature
    itself = torch.eye(len(classes), dtype=torch.bool, device=classes.device)
    partners = (classes[:, None] == classes[None]) & ~itself
    counts = partners.sum(dim=1)
    if not counts.any():
        return directions.new_zeros(())
    shares = similar.masked_fill(itself, -torch.inf).log_softmax(dim=1)
    of_row = -torch.where(partners, shares, 0.0).sum(dim=1) / counts.clamp(min=1)
    return of_row[counts > 0].mean()


def objective(
    settings: Settings, training: Training, learn: ModuleType, weights: np.ndarray | None, resample: bool
) -> Contrastive:
    """A batch has as many rows of each label as it is, so that nothing is left to weigh or resample."""
    own = settings.contrastive
    return Contrastive(own.steps, training.batch_rows, own.temperature)


def training(settings: Settings, training: Training) -> Training:
    """All steps in one epoch, at one rate: a handful of validation rows cannot say when to stop."""
    own = settings.contrastive
    changes = {"learning_rates": [own.learning_rate], "epochs": 1, "batch_rows": own.batch_rows}
    return training.model_copy(update=changes)
