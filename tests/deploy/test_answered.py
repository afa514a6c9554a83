"""Labels that came later find the answers they belong to."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from deploy import predictions
from deploy.answered import join
from tasks.problems.classification.answer import Answer

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def logged(folder: Path, request_id: str, *answers: str, inputs: list[str] | None = None) -> None:
    given = [Answer(answer, 0.9) for answer in answers]
    request = predictions.Request(NOON, request_id, "0123456789ab", given, np.zeros((len(given), 2)), inputs)
    predictions.write(predictions.new_path(folder, "2026-11-24T12"), predictions.table_of([request]))


def test_labels_find_their_answer_by_request_and_place(tmp_path: Path) -> None:
    logged(tmp_path, "r1", "a", "b", inputs=["first", "second"])
    logged(tmp_path, "r2", "a")
    keys = [("r1", 1), ("r2", 0), ("r1", 0), ("r1", 2), ("gone", 0)]
    found = join(tmp_path, keys, ["b", "b", "a", "a", "a"])
    assert found.rows == [("second", "b"), (None, "b"), ("first", "a")]
    assert (found.right, found.unknown) == (2, 2)


def test_without_a_log_nothing_is_found(tmp_path: Path) -> None:
    found = join(tmp_path / "none", [("r1", 0)], ["a"])
    assert (found.rows, found.right, found.unknown) == ([], 0, 1)
