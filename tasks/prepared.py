"""What preparation leaves for the phases after it: encoded rows in one Arrow file, and the label set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from tasks import encoded as encoded_rows
from tasks.artifacts import read_json, read_table, write_json
from tasks.modalities.contract import Arrays
from tasks.rows.clean import Row
from tasks.rows.split import Split

FOLDER = Path("data/preparation")
ROWS = "rows.arrow"
LABELS = "labels.json"
MODEL = "model"


@dataclass(frozen=True)
class Prepared:
    """Rows of one or several splits.

    Attributes:
        ids: content hash of each row.
        splits: split of each row.
        inputs: example of each row, or its path from the project's folder.
        classes: (N,) class numbers, places in `labels`; -1 where no row has a label.
        encoded: one dict of unpadded arrays per row.
        labels: K labels, sorted.
    """

    ids: list[str]
    splits: list[str]
    inputs: list[str]
    classes: np.ndarray
    encoded: list[Arrays]
    labels: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def labelled(self) -> bool:
        """Whether the rows have labels; either all of them have, or none."""
        return bool((self.classes >= 0).all())

    def of(self, *splits: Split) -> Prepared:
        """Rows of these splits, in order."""
        return self.at([i for i, split in enumerate(self.splits) if split in splits])

    def at(self, kept: Sequence[int]) -> Prepared:
        """Rows at these places."""
        return Prepared(
            [self.ids[i] for i in kept],
            [self.splits[i] for i in kept],
            [self.inputs[i] for i in kept],
            self.classes[list(kept)],
            [self.encoded[i] for i in kept],
            self.labels,
        )


def save(folder: Path, rows: Sequence[Row], encoded: Iterable[Arrays], labels: Sequence[str]) -> None:
    """Write `rows.arrow`, row by row as they come encoded, and `labels.json`."""
    place = {label: k for k, label in enumerate(labels)}

    def columns(start: int, stop: int) -> dict[str, pa.Array]:
        part = list(rows[start:stop])
        return {
            "id": pa.array([row.id for row in part]),
            "split": pa.array([row.split for row in part]),
            "input": pa.array([row.input for row in part]),
            "label": pa.array([None if row.label is None else place[row.label] for row in part], type=pa.int32()),
            "file": pa.array([row.file for row in part]),
            "number": pa.array([row.number for row in part], type=pa.int64()),
        }

    encoded_rows.write(folder / ROWS, encoded, columns)
    write_json(folder / LABELS, list(labels))


def load(root: Path) -> Prepared:
    """Read what `save` wrote below the project's folder: arrays are memory-mapped, all else takes about 1 kB a row."""
    from datasets import Dataset

    rows = Dataset.from_file(str(root / FOLDER / ROWS)).data
    return Prepared(
        ids=rows.column("id").to_pylist(),
        splits=rows.column("split").to_pylist(),
        inputs=rows.column("input").to_pylist(),
        classes=rows.column("label").fill_null(-1).to_numpy().astype(np.int64),
        encoded=encoded_rows.read(rows),
        labels=read_json(root / FOLDER / LABELS),
    )


def places(root: Path) -> list[tuple[str, int]]:
    """Source and place there of each row that `load` gives, in its order."""
    rows = read_table(root / FOLDER / ROWS)
    return list(zip(rows.column("file").to_pylist(), rows.column("number").to_pylist(), strict=True))
