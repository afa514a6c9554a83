"""Many rows in little memory: what is known of each in arrays, the examples themselves on disk."""

from __future__ import annotations

import heapq
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa

from tasks.artifacts import sha256_text
from tasks.rows.row import SOURCES, Quarantined, Row, Source
from tasks.rows.split import SPLITS, Split, ids_of

BATCH_ROWS = 4096


class Cells:
    """Cells of all rows in a file without a name, which is gone with this object.

    Args:
        folder: on whose file system it is.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  open as long as this object
        weakref.finalize(self, self._file.close)
        self._writer = pa.ipc.new_file(self._file, pa.schema([("cell", pa.large_string())]))
        self._starts = [0]
        self._reader: pa.ipc.RecordBatchFileReader | None = None
        self._last: tuple[int, pa.Array] | None = None

    def append(self, cells: Sequence[str | None]) -> None:
        """Add the cells of further rows."""
        for start in range(0, len(cells), BATCH_ROWS):
            part = pa.array(cells[start : start + BATCH_ROWS], type=pa.large_string())
            self._writer.write_batch(pa.record_batch({"cell": part}))
            self._starts.append(self._starts[-1] + len(part))

    def take(self, places: np.ndarray) -> list[str | None]:
        """Cells of these rows, (N,) ascending; nothing can be appended from then on."""
        found: list[str | None] = []
        batches = np.searchsorted(self._starts, places, side="right") - 1
        for batch in np.unique(batches):
            found += self._batch(int(batch)).take(pa.array(places[batches == batch] - self._starts[batch])).to_pylist()
        return found

    def _batch(self, number: int) -> pa.Array:
        if self._reader is None:
            self._writer.close()
            self._reader = pa.ipc.open_file(self._file)
        if self._last is None or self._last[0] != number:
            self._last = number, self._reader.get_batch(number).column(0)
        return self._last[1]


@dataclass(frozen=True)
class Columns:
    """All rows that were read, in the order of `SOURCES`. Splits, labels, sources are numbers; -1 where there is none.

    Attributes:
        cells: example or path of each row.
        keys: (N, 2) uint64, the id of its example.
        sources: (N,) places in `SOURCES`.
        numbers: (N,) place at its source, from 1.
        labels: (N,) places in `names`.
        splits: (N,) places in `SPLITS`.
        sizes: (N,) in the modality's unit.
        groups: (N, 2) uint64, zero where a row is in none; None if there are no groups.
        names: labels as the source spells them.
        files: name of the file of each source.
        reasons: place of a row that is not used -> why.
    """

    cells: Cells
    keys: np.ndarray
    sources: np.ndarray
    numbers: np.ndarray
    labels: np.ndarray
    splits: np.ndarray
    sizes: np.ndarray
    groups: np.ndarray | None
    names: Sequence[str]
    files: Sequence[str]
    reasons: dict[int, str]

    def used(self) -> np.ndarray:
        """Places of the rows that have no reason not to be, ascending."""
        kept = np.ones(len(self.numbers), dtype=bool)
        kept[list(self.reasons)] = False
        return np.flatnonzero(kept)


def same(keys: np.ndarray, places: np.ndarray) -> Iterator[np.ndarray]:
    """Of some places those that share their key with others, together and ascending; keys are (N, 2) of all places."""
    order = places[np.lexsort((keys[places, 1], keys[places, 0]))]
    differ = np.zeros(max(len(order) - 1, 0), dtype=bool)
    for half in keys.T:
        ordered = half[order]
        differ |= ordered[1:] != ordered[:-1]
    new = np.flatnonzero(differ) + 1
    starts, ends = np.concatenate([[0], new]), np.concatenate([new, [len(order)]])
    several = ends - starts > 1
    for start, end in zip(starts[several].tolist(), ends[several].tolist(), strict=True):
        yield np.sort(order[start:end])


class Quarantine(Sequence[Quarantined]):
    """Rows that are not used, by file and number.

    Args:
        columns: of all rows.
    """

    def __init__(self, columns: Columns) -> None:
        places = np.array(sorted(columns.reasons), dtype=np.int64)
        names = np.unique(columns.files, return_inverse=True)[1]
        self._columns = columns
        self._places = places[np.lexsort((columns.numbers[places], names[columns.sources[places]]))]

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Quarantined: ...
    @overload
    def __getitem__(self, place: slice) -> list[Quarantined]: ...
    def __getitem__(self, place: int | slice) -> Quarantined | list[Quarantined]:
        if isinstance(place, slice):
            return list(self._made(self._places[place]))
        return next(self._made(self._places[range(len(self))[place], None]))

    def __iter__(self) -> Iterator[Quarantined]:
        for start in range(0, len(self), BATCH_ROWS):
            yield from self._made(self._places[start : start + BATCH_ROWS])

    def _made(self, places: np.ndarray) -> Iterator[Quarantined]:
        known, order = self._columns, np.sort(places)
        cells = dict(zip(order.tolist(), known.cells.take(order), strict=True))
        for place in places.tolist():
            label = known.names[known.labels[place]] if known.labels[place] >= 0 else None
            file, number = known.files[known.sources[place]], int(known.numbers[place])
            yield Quarantined(file, number, known.reasons[place], cells[place], label)


class Rows(Sequence[Row]):
    """Rows of some splits, made into `Row` when they are asked for.

    Args:
        columns: of all rows.
        places: (N,) of these among them, ascending.
    """

    def __init__(self, columns: Columns, places: np.ndarray) -> None:
        self._columns, self._places = columns, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> Rows: ...
    def __getitem__(self, place: int | slice) -> Row | Rows:
        if isinstance(place, slice):
            return Rows(self._columns, self._places[place])
        return next(iter(Rows(self._columns, self._places[range(len(self))[place], None])))

    def __iter__(self) -> Iterator[Row]:
        known = self._columns
        for start in range(0, len(self), BATCH_ROWS):
            part = self._places[start : start + BATCH_ROWS]
            values = (known.sources, known.numbers, known.labels, known.splits, known.sizes)
            for id_, cell, source, number, label, split, size in zip(
                ids_of(known.keys[part]), known.cells.take(part), *(v[part].tolist() for v in values), strict=True
            ):
                assert cell is not None
                file = known.files[source]
                name = known.names[label] if label >= 0 else None
                yield Row(id_, file, number, cell, name, SPLITS[split], size, SOURCES[source])

    def inputs(self) -> Iterator[str]:
        """Example or path of each row, a batch of them in memory at a time."""
        for start in range(0, len(self), BATCH_ROWS):
            for cell in self._columns.cells.take(self._places[start : start + BATCH_ROWS]):
                assert cell is not None
                yield cell

    def of(self, *splits: Split) -> Rows:
        """Rows of these splits, in order."""
        wanted = [SPLITS.index(split) for split in splits]
        return Rows(self._columns, self._places[np.isin(self.splits, wanted)])

    def from_source(self, source: Source) -> Rows:
        """Those that this leaf of `data` names, in order."""
        return Rows(self._columns, self._places[self._columns.sources[self._places] == SOURCES.index(source)])

    def sample(self, most: int, seed: int) -> Rows:
        """At most `most` rows, in order; which ones depends on their content and the seed alone."""
        if len(self) <= most:
            return self
        ids = ids_of(self._columns.keys[self._places])
        drawn = heapq.nsmallest(most, range(len(self)), key=lambda i: sha256_text(f"{seed}{ids[i]}"))
        return Rows(self._columns, self._places[np.sort(drawn)])

    def in_two_splits(self) -> int:
        """Contents that rows of two splits have."""
        copies = same(self._columns.keys, self._places)
        return sum(len(np.unique(self._columns.splits[places])) > 1 for places in copies)

    @property
    def splits(self) -> np.ndarray:
        """(N,) places in `SPLITS`."""
        return np.asarray(self._columns.splits[self._places])

    @property
    def sizes(self) -> np.ndarray:
        """(N,) in the modality's unit."""
        return np.asarray(self._columns.sizes[self._places])

    def per_label(self) -> Counter[str]:
        """Label -> count of rows."""
        labels = self._columns.labels[self._places]
        counts = np.bincount(labels[labels >= 0], minlength=len(self._columns.names))
        return Counter({name: int(count) for name, count in zip(self._columns.names, counts, strict=True) if count})


@dataclass(frozen=True)
class Clean:
    """What validation leaves.

    Attributes:
        rows: usable rows in the order of their source, training file first.
        quarantined: all others that `data.where` kept, by file and number.
        labels: the label set, sorted; a label's place in it is its class number. Where no row has a label, those that
            `data.label_descriptions` describes.
        left_out: rows that `data.where` did not keep.
        near: split -> rows that have a near duplicate in the same split.
    """

    rows: Rows
    quarantined: Quarantine
    labels: list[str]
    left_out: int
    near: dict[Split, int]

    def of(self, *splits: Split) -> Rows:
        """Rows of these splits, in order."""
        return self.rows.of(*splits)

    @property
    def labelled(self) -> bool:
        """Whether the rows have labels; either all of them have, or none."""
        return bool(self.rows.per_label())
