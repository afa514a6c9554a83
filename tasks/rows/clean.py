"""Rows -> the rows that are used and the rows that are quarantined, each with its reason."""

from __future__ import annotations

import posixpath
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tasks import modalities
from tasks.errors import InputError
from tasks.params import Data, Params
from tasks.rows.inspected import inspect
from tasks.rows.quarantine import refuse_too_many
from tasks.rows.read import RawRows, read, read_own
from tasks.rows.split import SPLITS, Split, place

# In the order that their rows stand in.
Source = Literal["path", "feedback", "test"]
SOURCES: tuple[Source, ...] = ("path", "feedback", "test")


@dataclass(frozen=True)
class Row:
    """One usable row.

    Attributes:
        id: hash of the example's content.
        file: name of its source.
        number: its place there.
        input: the example, or its path from the project's folder.
        label: as the source spells it.
        split: where it belongs.
        size: of the example, in the modality's unit.
        source: leaf of `data` that names its source.
    """

    id: str
    file: str
    number: int
    input: str
    label: str
    split: Split
    size: int
    source: Source = "path"


@dataclass(frozen=True)
class Quarantined:
    """One row that is not used, with the reason."""

    file: str
    number: int
    reason: str
    input: str | None
    label: str | None


@dataclass(frozen=True)
class Clean:
    """What validation leaves.

    Attributes:
        rows: usable rows in the order of their source, training file first.
        quarantined: all others that `data.where` kept.
        labels: the label set, sorted; a label's place in it is its class number.
        left_out: rows that `data.where` did not keep.
    """

    rows: list[Row]
    quarantined: list[Quarantined]
    labels: list[str]
    left_out: int

    def of(self, *splits: Split) -> list[Row]:
        """Rows of these splits, in order."""
        return [row for row in self.rows if row.split in splits]


def load(root: Path, params: Params) -> Clean:
    """Read the source, and its own test set where it has one, and validate the rows.

    Raises:
        InputError: what `read` refuses, fewer than two labels left, more than `data.max_labels`,
            a split without rows, or more than `data.max_quarantined_share` quarantined.
    """
    data, raws = params.data, _read_all(root, params)
    _refuse_unknown_descriptions(raws, data)
    own_test = "test" in raws or "test" in raws["path"].splits
    rows: list[Row] = []
    quarantined: list[Quarantined] = []
    # The test file first: of two copies the first keeps its place.
    for source in (one for one in ("test", "path") if one in raws):
        kept, out = _checked(root, source, raws[source], own_test, params)
        rows, quarantined = rows + kept, quarantined + out
    rows, duplicates = _without_duplicates(rows, own_test)
    quarantined += duplicates
    if "feedback" in raws:
        # Divided by hash even beside a test set of the source's own: nothing else could judge what it brings.
        later, out = _checked(root, "feedback", raws["feedback"], False, params)
        later, known = _without_known(later, rows)
        later, duplicates = _without_duplicates(later, False)
        rows, quarantined = rows + later, quarantined + out + known + duplicates
    rows, rare = _without_rare_labels(rows, data.min_rows_per_label)
    quarantined += rare
    labels = sorted({row.label for row in rows})
    rows.sort(key=lambda row: (SOURCES.index(row.source), row.number))
    refuse_too_many(quarantined, len(rows), data.max_quarantined_share, Path(data.path).name, root)
    _refuse_unusable(rows, labels, quarantined, data)
    return Clean(rows, quarantined, labels, sum(raw.left_out for raw in raws.values()))


def _read_all(root: Path, params: Params) -> dict[Source, RawRows]:
    """Rows of each source that is named; `where` selects among those of the user alone."""
    data = params.data
    found: dict[Source, RawRows] = {}
    faults: list[str] = []
    sources: tuple[Source, ...] = ("test", "path", "feedback")
    for source in sources:
        path = getattr(data, source)
        if path is None:
            continue
        try:
            _refuse_other_kind(root / path, params)
            found[source] = read_own(root / path, data) if source == "feedback" else read(root / path, data)
        except InputError as error:
            faults += error.sentences
    if faults:
        raise InputError(faults)
    return found


def _refuse_unknown_descriptions(raws: dict[Source, RawRows], data: Data) -> None:
    known = {label for raw in raws.values() for label in raw.labels}
    unknown = sorted(set(data.label_descriptions) - known)
    if unknown:
        raise InputError(
            f"data.label_descriptions describes {', '.join(map(repr, unknown))}, which no row has as its label: write "
            f"the labels as column {data.label_column!r} does."
        )


def _refuse_other_kind(path: Path, params: Params) -> None:
    """Files must lie in the folder that is named, so that DVC sees them all; cells stand in a table."""
    modality = params.project.modality
    if modalities.part(modality, "source").FILES:
        if path.is_file():
            raise InputError(
                f"{path.name} is a file, but the examples of modality {modality} are files of their own: name the "
                "folder that holds them, by label or beside their table."
            )
    elif path.is_dir():
        raise InputError(
            f"{path.name} is a folder, but the examples of modality {modality} stand in a table: name its file."
        )


def _checked(
    root: Path, source: Source, raw: RawRows, own_test: bool, params: Params
) -> tuple[list[Row], list[Quarantined]]:
    data = params.data
    path: str = getattr(data, source)
    name = Path(path).name
    fixed: Split | None = "test" if source == "test" else None
    rows: list[Row] = []
    quarantined: list[Quarantined] = []
    kind = modalities.part(params.project.modality, "source")
    own_validation = "validation" in raw.splits
    cells = [_from_root(path, cell) if kind.FILES and cell else cell for cell in raw.inputs]
    found = inspect(kind, [cell for cell in cells if cell], root, params.examples)
    columns = (raw.numbers, cells, raw.labels, raw.splits, raw.faults)
    for number, cell, label, said, fault in zip(*columns, strict=True):
        seen = next(found) if cell else None
        reason = (seen.fault if seen else "empty example") or (None if label else "empty label")
        if said == "test" and data.test and not fixed:
            reason = reason or "test row of a source whose test set data.test names"
        reason = reason or fault
        if reason or seen is None or cell is None or label is None:
            quarantined.append(Quarantined(name, number, reason or "empty example", cell, label))
            continue
        split = fixed or said
        if split in (None, "train"):
            test_share = 0 if own_test else data.test_share
            split = place(seen.id, test_share, 0 if own_validation else data.validation_share)
        assert split is not None
        rows.append(Row(seen.id, name, number, cell, label, split, seen.size, source))
    return rows, quarantined


def _from_root(path: str, cell: str) -> str:
    """What a cell names, from the project's folder; a path that leaves its own folder leads out of the project."""
    named = posixpath.normpath(cell)
    outside = named.startswith(("/", "../")) or named == ".."
    return f"../{named}" if outside else posixpath.join(path, named)


def _without_duplicates(rows: list[Row], own_test: bool) -> tuple[list[Row], list[Quarantined]]:
    """Only training-side copies leave; the source's own test rows all stay where they were placed."""
    by_id: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_id[row.id].append(row)

    def reason(row: Row) -> str | None:
        copies = by_id[row.id]
        first = next((copy for copy in copies if copy.split == "test"), copies[0])
        if row.split == "test" and (own_test or row is first):
            return None
        if first.split == "test":
            return f"duplicate of test row {first.number} of {first.file}"
        if len({copy.label for copy in copies}) > 1:
            return "same example under another label"
        return None if row is first else f"duplicate of row {first.number} of {first.file}"

    return _partition(rows, reason)


def _without_known(later: list[Row], rows: list[Row]) -> tuple[list[Row], list[Quarantined]]:
    """Rows that came later and are there already: those that are there stay as they are."""
    known = {row.id: row for row in rows}

    def reason(row: Row) -> str | None:
        if (first := known.get(row.id)) is None:
            return None
        if first.label != row.label:
            return f"same example under another label than row {first.number} of {first.file}"
        return f"duplicate of row {first.number} of {first.file}"

    return _partition(later, reason)


def _without_rare_labels(rows: list[Row], minimum: int) -> tuple[list[Row], list[Quarantined]]:
    """Counts on the training side: test rows of a label that cannot be learned say nothing about the model."""
    counts = Counter(row.label for row in rows if row.split != "test")

    def reason(row: Row) -> str | None:
        if counts[row.label] >= minimum:
            return None
        return f"label {row.label!r} has {counts[row.label]} training rows, under data.min_rows_per_label {minimum}"

    return _partition(rows, reason)


def _partition(rows: list[Row], reason_of: Callable[[Row], str | None]) -> tuple[list[Row], list[Quarantined]]:
    kept: list[Row] = []
    out: list[Quarantined] = []
    for row in rows:
        reason = reason_of(row)
        if reason is None:
            kept.append(row)
        else:
            out.append(Quarantined(row.file, row.number, reason, row.input, row.label))
    return kept, out


def _refuse_unusable(rows: list[Row], labels: list[str], quarantined: list[Quarantined], data: Data) -> None:
    name = Path(data.path).name
    if len(labels) < 2:
        reasons = Counter(fault.reason for fault in quarantined).most_common(1)
        lost = f" ({len(quarantined)} rows quarantined, {reasons[0][1]} of them: {reasons[0][0]})" if reasons else ""
        raise InputError(
            f"{name}: {len(labels)} label{'' if len(labels) == 1 else 's'} left with at least "
            f"{data.min_rows_per_label} rows, two are needed{lost}: check data.label_column, data.where and "
            "data.min_rows_per_label."
        )
    if len(labels) > data.max_labels:
        raise InputError(
            f"{name}: column {data.label_column!r} has {len(labels)} labels, over data.max_labels "
            f"{data.max_labels}: is it the label?"
        )
    present = {row.split for row in rows}
    for split in SPLITS:
        if split not in present:
            raise InputError(f"{name}: no row falls into the {split} split: add rows or raise its share in data.")
