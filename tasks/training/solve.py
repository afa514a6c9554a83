"""A frozen backbone: its features are computed once and the head is solved, not stepped towards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from tasks import metrics
from tasks.network import Network
from tasks.params import FrozenScope
from tasks.prepared import Prepared
from tasks.problems.classification import learn
from tasks.problems.classification.answer import probabilities
from tasks.training.balance import validation_loss


@dataclass(frozen=True)
class Solved:
    """A solved head and how it was found.

    Attributes:
        head: refitted on training and validation rows.
        validation: (V, K) logits of the validation rows by a head that saw the training rows alone.
        losses: C -> log loss in nats that it was chosen by.
    """

    head: learn.SolvedHead
    validation: np.ndarray
    losses: dict[float, float]


def solve(
    features: np.ndarray,
    data: Prepared,
    settings: FrozenScope,
    seed: int,
    balanced: bool = False,
    moved: bool = False,
) -> Solved:
    """Choose C by cross-validation on the training rows, then refit on training and validation rows.

    Args:
        features: (N, F), one row per row of `data`.
        data: training and validation rows.
        settings: values of C and folds.
        seed: of the folds.
        balanced: whether every label counts the same. The loss of resampled rows is, on average, that of weighted ones,
            and a solved head minimises the average: it is the same for both.
        moved: whether the training rows have moved the body. Its features then tell their labels too well for a
            cross-validation among them, and the validation rows choose C.
    """
    count = len(data.labels)
    train = np.array([split == "train" for split in data.splits])
    known = data.classes[train]
    weights = learn.label_weights(known, count) if balanced else None
    judging = data.classes[~train] if moved else known
    losses = {}
    for strength in settings.inverse_regularisation:
        if moved:
            logits = learn.solve_head(features[train], known, count, strength, balanced).logits(features[~train])
        else:
            logits = learn.out_of_fold_logits(features[train], known, count, strength, settings.folds, seed, balanced)
        losses[strength] = validation_loss(metrics.judge(judging, probabilities(logits)), weights)
    best = min(losses, key=lambda strength: (losses[strength], strength))
    judged = learn.solve_head(features[train], known, count, best, balanced)
    return Solved(
        head=learn.solve_head(features, data.classes, count, best, balanced),
        validation=judged.logits(features[~train]),
        losses=losses,
    )


def put(network: Network, head: learn.SolvedHead) -> None:
    """Give the network this head."""
    network.head.load_state_dict(
        {
            "weight": torch.from_numpy(head.weight.astype(np.float32)),
            "bias": torch.from_numpy(head.bias.astype(np.float32)),
        }
    )
