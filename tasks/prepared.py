"""What preparation leaves for the phases after it: encoded rows in one Arrow file, and the label set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from tasks.artifacts import read_json, write_json, write_table
from tasks.modalities.contract import Arrays
from tasks.rows.clean import Row
from tasks.rows.split import Split

FOLDER = Path("data/preparation")
ROWS = "rows.arrow"
LABELS = "labels.json"
MODEL = "model"
PREFIX = "encoded_"


@dataclass(frozen=True)
class Prepared:
    """Rows of one or several splits.

    Attributes:
        ids: content hash of each row.
        splits: split of each row.
        inputs: raw example of each row.
        classes: (N,) class numbers, places in `labels`.
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

    def of(self, *splits: Split) -> Prepared:
        """Rows of these splits, in order."""
        kept = [i for i, split in enumerate(self.splits) if split in splits]
        return Prepared(
            [self.ids[i] for i in kept],
            [self.splits[i] for i in kept],
            [self.inputs[i] for i in kept],
            self.classes[kept],
            [self.encoded[i] for i in kept],
            self.labels,
        )


def save(folder: Path, rows: Sequence[Row], encoded: Sequence[Arrays], labels: Sequence[str]) -> None:
    """Write `rows.arrow` and `labels.json`."""
    place = {label: k for k, label in enumerate(labels)}
    columns: dict[str, pa.Array] = {
        "id": pa.array([row.id for row in rows]),
        "split": pa.array([row.split for row in rows]),
        "input": pa.array([row.input for row in rows]),
        "label": pa.array([place[row.label] for row in rows], type=pa.int32()),
    }
    for name in sorted(encoded[0]):
        columns[f"{PREFIX}{name}"] = pa.array([row[name] for row in encoded])
    write_table(folder / ROWS, pa.table(columns))
    write_json(folder / LABELS, list(labels))


def load(root: Path) -> Prepared:
    """Read what `save` wrote below the project's folder, memory-mapped."""
    from datasets import Dataset

    rows = Dataset.from_file(str(root / FOLDER / ROWS)).data
    names = [name for name in rows.column_names if name.startswith(PREFIX)]
    columns = {name.removeprefix(PREFIX): _arrays(rows.column(name).combine_chunks()) for name in names}
    return Prepared(
        ids=rows.column("id").to_pylist(),
        splits=rows.column("split").to_pylist(),
        inputs=rows.column("input").to_pylist(),
        classes=rows.column("label").to_numpy().astype(np.int64),
        encoded=[dict(zip(columns, arrays, strict=True)) for arrays in zip(*columns.values(), strict=True)],
        labels=read_json(root / FOLDER / LABELS),
    )


def _arrays(column: pa.ListArray) -> list[np.ndarray]:
    """Each row's values, without a copy."""
    return np.split(column.values.to_numpy(), column.offsets.to_numpy()[1:-1])
