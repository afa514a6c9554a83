"""Scores on disk belong to rows, and other rows are noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks import predictions
from tasks.predictions import Predictions


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Predictions(["a", "b"], np.array([[1.5, -2, 0], [0.25, 1e-3, -30]])).save(tmp_path / "p.arrow")
    return tmp_path / "p.arrow"


def test_round_trip_in_float32(path: Path) -> None:
    found = predictions.load(path, ["a", "b"])
    assert found.ids == ["a", "b"] and found.logits.dtype == np.float32
    assert np.array_equal(found.logits, np.array([[1.5, -2, 0], [0.25, 1e-3, -30]], dtype=np.float32))


@pytest.mark.parametrize("ids", [["b", "a"], ["a"], ["a", "b", "c"], ["a", "x"]], ids=str)
def test_other_rows_are_noticed(path: Path, ids: list[str]) -> None:
    with pytest.raises(AssertionError, match=r"p.arrow holds other rows than the test split"):
        predictions.load(path, ids)


def test_the_same_scores_are_the_same_bytes(path: Path, tmp_path: Path) -> None:
    predictions.load(path, ["a", "b"]).save(tmp_path / "again.arrow")
    assert (tmp_path / "again.arrow").read_bytes() == path.read_bytes()
