"""The search for a learning rate, as the record of a phase tells it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tasks.artifacts import canonical_json
from tasks.training import search as rates
from tasks.training.loop import Job, Progress
from tasks.training.resuming import Epoch
from tests.tasks.training.test_loop import one_thread as one_thread
from tests.tasks.training.test_loop import search


def test_a_rate_that_diverged_is_recorded_as_none(tmp_path: Path) -> None:
    found = search(tmp_path, [1.0, 0.05])
    record = json.loads(canonical_json(found.record()))
    assert record == found.record()
    assert record["search"] == {"0.05": pytest.approx(found.losses[0.05]), "1": None}
    assert (record["learning_rate"], record["epochs"]) == (0.05, len(found.progress.history))
    assert record["best_epoch"] == found.progress.best_epoch + 1
    assert record["steps"] == found.progress.history[-1].step


def test_one_rate_is_recorded_without_a_search(tmp_path: Path) -> None:
    record = search(tmp_path, [0.05]).record()
    assert (record["learning_rate"], record["search"]) == (0.05, {})


def test_a_rate_that_diverges_after_its_first_epoch_loses_whatever_that_reached(tmp_path: Path) -> None:
    found = search(tmp_path, [1e-4, 0.2], limit=2.0)  # at 0.2 the toy's weights pass it in the second of two epochs
    assert found.rate == 1e-4 and found.losses[0.2] == math.inf


def whole(job: Job, loss: float) -> Progress:
    return Progress([Epoch(8, loss, loss, 0.5)] * job.epochs, loss, 0)


def test_a_rate_that_is_too_high_for_a_long_training_gives_way_to_a_lower_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Losses of trials, then of long trainings: 0.3 wins its trial and then does worse than in it, as 0.2 does not.
    trials, long = {0.1: 0.8, 0.2: 0.7, 0.3: 0.5}, {0.1: 0.1, 0.2: 0.4, 0.3: 0.6}
    told: list[float] = []

    def train(network: object, scope: object, objective: object, job: Job, resume: Path, say: object) -> Progress:
        told.append(job.rate)
        losses = trials if resume.name.startswith("search") else long
        return whole(job, losses[job.rate])

    monkeypatch.setattr(rates, "train", train)
    found = search(tmp_path, [0.1, 0.2, 0.3])
    assert (found.rate, found.progress.best) == (0.2, 0.4)
    assert told == [0.1, 0.2, 0.3, 0.3, 0.2]


def test_the_better_of_two_trainings_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = {0.1: 0.9, 0.3: 0.6}

    def train(network: object, scope: object, objective: object, job: Job, resume: Path, say: object) -> Progress:
        return whole(job, {0.1: 0.8, 0.3: 0.5}[job.rate] if "search" in resume.name else long[job.rate])

    monkeypatch.setattr(rates, "train", train)
    assert search(tmp_path, [0.1, 0.3]).rate == 0.3
