"""The search for a learning rate, as the record of a phase tells it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.artifacts import canonical_json
from tests.tasks.adaptation.test_loop import one_thread as one_thread
from tests.tasks.adaptation.test_loop import search


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
