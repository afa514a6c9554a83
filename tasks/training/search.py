"""A small learning-rate search, then the training itself at the rate that won."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.network import Network
from tasks.training import recovery
from tasks.training.loop import Job, train
from tasks.training.objective import Objective
from tasks.training.resuming import Progress
from tasks.training.scope import Scope

RATES = "adaptation.training.learning_rates (of the control receipt.scratch.learning_rates)"


def best_rate(
    make: Callable[[], Network], scope: Scope, objective: Objective, job: Job, resume: Path, say: Callable[[str], None]
) -> tuple[float, dict[float, float]]:
    """The rate with the lowest validation loss after `search_epochs`, and every rate's loss.

    Raises:
        InputError: no rate kept the loss finite.
    """
    if len(job.settings.learning_rates) == 1:
        return job.settings.learning_rates[0], {}
    losses: dict[float, float] = {}
    for rate in sorted(job.settings.learning_rates):
        tried, whole = trial(make(), scope, objective, replace(job, rate=rate), resume / f"search-{rate:g}", say)
        losses[rate] = tried.best if whole else math.inf
    rate = min(losses, key=lambda rate: (losses[rate], rate))
    _refuse_divergence(losses[rate], job)
    return rate, losses


def trial(
    network: Network, scope: Scope, objective: Objective, job: Job, resume: Path, say: Callable[[str], None]
) -> tuple[Progress, bool]:
    """A training of `search_epochs`, and whether it had all of them.

    One that diverges loses, in whichever epoch: at half the rate it would stand for a rate that it did not have.
    """
    epochs = job.settings.search_epochs
    short = replace(job, epochs=epochs, least_epochs=epochs, halvings=0)
    progress = train(network, scope, objective, short, resume, say)
    return progress, len(progress.history) == epochs


@dataclass(frozen=True)
class Trained:
    """What a search and the training after it left.

    Attributes:
        network: with the weights of its best epoch.
        progress: its history.
        rate: the rate that won.
        losses: rate -> validation loss of its trial; infinite where it diverged, empty where one rate needs no search.
        study: where trials by Optuna found the rate and more: these `trials`, the `winner` and its `values`.
    """

    network: Network
    progress: Progress
    rate: float
    losses: dict[float, float]
    study: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """As JSON; in `search` None for a rate whose loss did not stay finite."""
        return ({"study": self.study} if self.study else {}) | {
            "learning_rate": self.rate,
            "search": {f"{rate:g}": loss if math.isfinite(loss) else None for rate, loss in self.losses.items()},
            "epochs": len(self.progress.history),
            "best_epoch": self.progress.best_epoch + 1,
            "steps": self.progress.history[-1].step,
            "pass_positions_lowered_to": self.progress.pass_positions,
            "rolled_back": recovery.record(self.rate, self.progress),
            "learned_weights": self.progress.learned,
            "weights": sum(parameter.numel() for parameter in self.network.parameters()),
        }


def search_and_train(
    make: Callable[[], Network], scope: Scope, objective: Objective, job: Job, resume: Path, say: Callable[[str], None]
) -> Trained:
    """Find a rate, then train at it.

    A rate that wins a short trial may be too high for a long training: one that ends above its own trial's loss gives
    way to the next lower rate, and the training with the lowest loss is kept.

    Args:
        make: a fresh network, the same at every call.
        scope: what learns.
        objective: from what.
        job: data and budget; its rate is replaced.
        resume: folder of resume state, removed by the caller once its outputs stand.
        say: receives progress.

    Raises:
        InputError: the loss did not stay finite.
    """
    rate, losses = best_rate(make, scope, objective, job, resume, say)

    def trained(rate: float) -> Trained:
        network = make()
        progress = train(network, scope, objective, replace(job, rate=rate), resume / f"final-{rate:g}", say)
        return Trained(network, progress, rate, losses)

    tried = [trained(rate)]
    for lower in sorted((one for one in losses if one < rate), reverse=True):
        if tried[-1].progress.best <= losses[tried[-1].rate]:
            break
        say(f"Rate {tried[-1].rate:g} ended above its trial's loss: trying {lower:g}.")
        tried.append(trained(lower))
    found = min(tried, key=lambda one: one.progress.best)
    _refuse_divergence(found.progress.best, job)
    return found


def _refuse_divergence(loss: float, job: Job) -> None:
    if not math.isfinite(loss):
        raise InputError(
            f"No learning rate of {job.settings.learning_rates} kept the loss finite: lower {RATES}, of pairs "
            "adaptation.objective.contrastive.learning_rate."
        )
