"""Rows and quarantined rows that are made when they are asked for are as if they lay in lists."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from tasks.artifacts import sha256_text
from tasks.rows import columns
from tasks.rows.clean import Quarantined, Rows
from tasks.rows.columns import Cells
from tests.factories import clean, row, texts_in

MADE = [
    row(text, "ab"[i % 2], split, i + 1)
    for split in ("train", "test")
    for i, text in enumerate(islice(texts_in(split), 9))
]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "BATCH_ROWS", 4)


def test_cells_come_back_from_any_batch(tmp_path: Path) -> None:
    cells, written = Cells(tmp_path), [None, "", "ä\n", *(str(i) for i in range(20))]
    cells.append(written[:7])
    cells.append(written[7:])
    for places in ([], [0], [22], [0, 1, 2, 9, 21], [*range(23)], [3, 3, 4]):
        assert cells.take(np.array(places, dtype=np.int64)) == [written[i] for i in places]
    assert [*tmp_path.iterdir()] == []


def test_rows_are_a_sequence() -> None:
    found = clean(MADE).rows
    assert [*found] == MADE and len(found) == 18 and found[0] == MADE[0] and found[-1] == MADE[-1]
    assert [*found[3:7]] == MADE[3:7] and [*found.inputs()] == [one.input for one in MADE]
    with pytest.raises(IndexError):
        found[18]


def test_splits_and_labels_are_counted() -> None:
    found = clean(MADE)
    assert [*found.of("test")] == MADE[9:] and len(found.of("validation")) == 0
    assert found.of("train").per_label() == Counter(a=5, b=4)
    assert found.rows.sizes.tolist() == [one.size for one in MADE]


def test_a_sample_depends_on_content_and_seed_alone() -> None:
    def sampled(rows: Rows, seed: int) -> list[str]:
        return [one.input for one in rows.sample(5, seed)]

    found, reversed_ = clean(MADE).rows, clean(MADE[::-1]).rows
    expected = sorted(MADE, key=lambda one: sha256_text(f"7{one.id}"))[:5]
    assert {*sampled(found, 7)} == {one.input for one in expected}
    assert sampled(found, 7) == sampled(reversed_, 7)[::-1] and sampled(found, 8) != sampled(found, 7)
    assert [*found.sample(18, 7)] == MADE


def test_the_quarantine_is_a_sequence_by_file_and_number() -> None:
    faults = [Quarantined("b.csv" if i % 2 else "a.csv", 20 - i, f"reason {i}", f"text {i}", None) for i in range(11)]
    expected = sorted(faults, key=lambda fault: (fault.file, fault.number))
    found = clean(MADE, faults).quarantined
    assert [*found] == expected and found[1:9] == expected[1:9] and len(found) == 11
    assert found[0] == expected[0] and found[-1] == expected[-1]
