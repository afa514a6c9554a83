"""A loss that stops being finite: the training goes back to its best epoch and on at half the rate, a few times."""

from __future__ import annotations

from typing import Any

import torch

from tasks.network import Network
from tasks.training.resuming import Progress

# An eighth of the rate that was asked for: what still diverges there has another fault than its rate.
HALVINGS = 3


def lowered(rate: float, progress: Progress) -> float:
    """The peak rate that is left of the one asked for."""
    return rate / 2.0 ** len(progress.rolled_back)


def roll_back(
    network: Network, optimizer: torch.optim.Optimizer, best: dict[str, torch.Tensor], progress: Progress
) -> str:
    """Bring all to where the best epoch ended, or to the start, and note in which epoch the loss was lost.

    The optimizer forgets its moments: they are of the gradients that led away.

    Args:
        network: gets the weights of its best epoch.
        optimizer: of what learns.
        best: these weights; those of the start, where no epoch was whole.
        progress: its history ends with the best epoch.

    Returns:
        Where the training goes on from, in words.
    """
    progress.rolled_back.append(len(progress.history) + 1)
    network.load_state_dict(best)
    optimizer.state.clear()
    del progress.history[progress.best_epoch + 1 :]
    return f"the end of epoch {progress.best_epoch + 1}" if progress.history else "the start"


def record(rate: float, progress: Progress) -> list[dict[str, Any]]:
    """As JSON: in which epochs the loss was lost, and at what rate the training went on."""
    return [{"epoch": epoch, "rate": rate / 2.0**i} for i, epoch in enumerate(progress.rolled_back, 1)]
