"""A small learning-rate search, then the training itself at the rate that won."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tasks.adaptation.loop import Job, Progress, train
from tasks.adaptation.objective import Objective
from tasks.adaptation.scope import Scope
from tasks.errors import InputError
from tasks.network import Network


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
        trial = replace(job, rate=rate, epochs=job.settings.search_epochs, least_epochs=job.settings.search_epochs)
        losses[rate] = train(make(), scope, objective, trial, resume / f"search-{rate:g}", say).best
    rate = min(losses, key=lambda rate: (losses[rate], rate))
    _refuse_divergence(losses[rate], job)
    return rate, losses


def search_and_train(
    make: Callable[[], Network], scope: Scope, objective: Objective, job: Job, resume: Path, say: Callable[[str], None]
) -> tuple[Network, Progress, float, dict[float, float]]:
    """Trained network, its history, the rate and the search's losses.

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
    network = make()
    progress = train(network, scope, objective, replace(job, rate=rate), resume / "final", say)
    _refuse_divergence(progress.best, job)
    return network, progress, rate, losses


def _refuse_divergence(loss: float, job: Job) -> None:
    if loss == float("inf"):
        raise InputError(
            f"No learning rate of {job.settings.learning_rates} kept the loss finite: lower them in params.yaml."
        )
