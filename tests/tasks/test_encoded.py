"""Encoded rows go to disk batch by batch and come back as they were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tasks import encoded
from tasks.artifacts import read_table
from tasks.modalities.contract import Arrays


def rows(count: int) -> list[Arrays]:
    return [
        {"ids": np.arange(i % 5, dtype=np.int32), "pixels": np.full(3, i % 256, dtype=np.uint8)} for i in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, encoded.BATCH_ROWS, encoded.BATCH_ROWS + 1, 3 * encoded.BATCH_ROWS + 7])
def test_rows_come_back_with_their_columns(tmp_path: Path, count: int) -> None:
    encoded.write(
        tmp_path / "rows.arrow", iter(rows(count)), lambda start, stop: {"number": pa.array(range(start, stop))}
    )
    table = read_table(tmp_path / "rows.arrow")
    assert table.column("number").to_pylist() == list(range(count))
    found = encoded.read(table)
    assert len(found) == count
    for row, expected in zip(found, rows(count), strict=True):
        assert row.keys() == expected.keys()
        for name, values in expected.items():
            assert row[name].dtype == values.dtype and np.array_equal(row[name], values)


def test_no_more_than_a_batch_is_held_at_once(tmp_path: Path) -> None:
    held: list[int] = []

    class Encoder:
        def encode(self, examples: Sequence[Any]) -> list[Arrays]:
            held.append(len(examples))
            return [{"ids": np.array([int(example)])} for example in examples]

    made = 0

    def examples() -> Iterator[str]:
        nonlocal made
        for number in range(3 * encoded.BATCH_ROWS):
            made += 1
            yield str(number)

    stream = encoded.encode(Encoder(), examples())  # type: ignore[arg-type]
    assert next(stream)["ids"].tolist() == [0]
    assert made == encoded.BATCH_ROWS
    assert len(list(stream)) == 3 * encoded.BATCH_ROWS - 1
    assert held == [encoded.BATCH_ROWS] * 3


def test_large_rows_make_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoded, "BATCH_BYTES", 10)
    sizes = [len(batch) for batch in encoded._batches([b"x" * n for n in (4, 4, 4, 40, 1)], len)]
    assert sizes == [3, 1, 1]
