"""Rows -> the rows that are used and the rows that are quarantined, each with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tasks import modalities
from tasks.errors import InputError
from tasks.params import Data, Params
from tasks.rows import duplicates, unlabelled
from tasks.rows.columns import Clean, Columns, Quarantine, Rows
from tasks.rows.gathered import Gathered
from tasks.rows.quarantine import refuse_too_many
from tasks.rows.read import RawRows, batches, own
from tasks.rows.row import SOURCES, Quarantined, Row, Source, kind
from tasks.rows.split import SPLITS, TEST, Split

OWN_TEST_ROWS = "where a source says of some rows where they belong, it or data.test must name usable test rows"

__all__ = ["Clean", "Quarantined", "Row", "Rows", "load"]


def load(root: Path, params: Params) -> Clean:
    """Read the source, and its own test set where it has one, and validate the rows.

    Raises:
        InputError: what `batches` refuses, fewer than two labels left, more than `data.max_labels`, a split without
            rows, more than `data.max_quarantined_share` quarantined, or, if `data.leaks` says so, a row that is in two
            splits; where no row has a label, also what `unlabelled.refuse_unusable` refuses.
    """
    data = params.data
    described = _only_described(root, params)
    gathered = _read_all(root, params, not described)
    own_test = gathered.own_test()
    columns = gathered.columns(own_test)
    waits = unlabelled.waits(columns, data)
    if described:
        unlabelled.refuse_unusable(root, params)
    elif not columns.names:
        raise InputError(
            f"{Path(data.path).name}: no row has a label in column {data.label_column!r}: correct data.label_column, "
            "or describe the labels in data.label_descriptions, by whose words rows are answered then."
        )
    elif not waits:
        _refuse_unknown_descriptions(columns, data)
    crossing = duplicates.exact(columns, own_test) + duplicates.groups(columns)
    near: dict[Split, int] = dict.fromkeys(SPLITS, 0)
    if gathered.likeness:
        leaving, near = duplicates.near(columns, gathered.likeness, gathered.taken("signatures"))
        crossing += leaving
    if data.leaks == "refuse" and crossing:
        _refuse(columns, crossing)
    if not described:
        _leave_rare_labels(columns, data.min_rows_per_label)
    rows, quarantine = Rows(columns, columns.used()), Quarantine(columns)
    labels = sorted(data.label_descriptions if described else rows.per_label())
    if waits:
        unlabelled.refuse_missing(labels, data)
    else:
        refuse_too_many(quarantine, len(rows), data.max_quarantined_share, Path(data.path).name, root)
    _refuse_unusable(rows, labels, quarantine, data, own_test)
    return Clean(rows, quarantine, labels, gathered.left_out, near)


def _only_described(root: Path, params: Params) -> bool:
    """Whether the labels are described and no row has one; what cannot be read is told by who reads it in full."""
    if not params.data.label_descriptions:
        return False
    try:
        every = (raw for source in _sources(params.data) for raw in _batches(root, params, source))
        return not any(label for raw in every for label in raw.labels)
    except InputError:
        return False


def _sources(data: Data) -> list[Source]:
    return [source for source in SOURCES if getattr(data, source) is not None]


def _batches(root: Path, params: Params, source: Source) -> Iterator[RawRows]:
    """Rows of one source; `where` selects among those of the user alone."""
    data = params.data
    reading = {"path": data, "test": data.model_copy(update={"split_column": None}), "feedback": own(data)}
    path = root / getattr(data, source)
    refuse_other_kind(path, params)
    yield from batches(path, reading[source], checked=source == "feedback")


def _read_all(root: Path, params: Params, labelled: bool) -> Gathered:
    """Rows of each source that is named."""
    gathered = Gathered(root, params, labelled)
    faults: list[str] = []
    for source in _sources(params.data):
        try:
            for raw in _batches(root, params, source):
                gathered.add(source, raw)
        except InputError as error:
            faults += error.sentences
    if faults:
        raise InputError(faults)
    return gathered


def _refuse_unknown_descriptions(columns: Columns, data: Data) -> None:
    unknown = sorted(set(data.label_descriptions).difference(columns.names))
    if unknown:
        raise InputError(
            f"data.label_descriptions describes {', '.join(map(repr, unknown))}, which no row has as its label: write "
            f"the labels as column {data.label_column!r} does."
        )


def refuse_other_kind(path: Path, params: Params) -> None:
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


def _refuse(columns: Columns, crossing: list[int]) -> None:
    first = min(crossing)
    count, file = len(crossing), columns.files[columns.sources[first]]
    raise InputError(
        f"{count} training-side row{'' if count == 1 else 's'} would leak into another split, first row "
        f"{columns.numbers[first]} of {file} ({columns.reasons[first]}): take them out, or set data.leaks to mend."
    )


def _leave_rare_labels(columns: Columns, minimum: int) -> None:
    """Counts on the training side: test rows of a label that cannot be learned say nothing about the model."""
    used = columns.used()
    labels = columns.labels[used]
    counts = np.bincount(labels[columns.splits[used] != TEST], minlength=len(columns.names))
    for place in used[counts[labels] < minimum].tolist():
        label = columns.labels[place]
        columns.reasons[place] = (
            f"label {columns.names[label]!r} has {counts[label]} training rows, under data.min_rows_per_label {minimum}"
        )


def _refuse_unusable(rows: Rows, labels: list[str], quarantine: Quarantine, data: Data, own_test: bool) -> None:
    name = Path(data.path).name
    if len(labels) < 2:
        reasons = Counter(kind(fault.reason) for fault in quarantine).most_common(1)
        lost = f" ({len(quarantine)} rows quarantined, {reasons[0][1]} of them: {reasons[0][0]})" if reasons else ""
        raise InputError(
            f"{name}: {len(labels)} label{'' if len(labels) == 1 else 's'} left with at least "
            f"{data.min_rows_per_label} rows, two are needed{lost}: check data.label_column, data.where, "
            "data.near_duplicate_similarity and data.min_rows_per_label."
        )
    if len(labels) > data.max_labels:
        raise InputError(
            f"{name}: column {data.label_column!r} has {len(labels)} labels, over data.max_labels "
            f"{data.max_labels}: is it the label?"
        )
    present = np.unique(rows.splits)
    for number, split in enumerate(SPLITS):
        if number not in present:
            remedy = "add rows or raise its share in data"
            if split == "test" and own_test:
                remedy = "set data.test_from to an earlier time" if data.time_column else OWN_TEST_ROWS
            if split == "validation" and not data.validation_share:
                remedy = "name usable validation rows, or none and raise data.validation_share"
            raise InputError(f"{name}: no row falls into the {split} split: {remedy}.")
