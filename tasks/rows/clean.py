"""Rows -> the rows that are used and the rows that are quarantined, each with its reason."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import InputError
from tasks.params import Data
from tasks.rows.read import read
from tasks.rows.split import SPLITS, Split, place, row_id

# The 64 bytes that continue a UTF-8 sequence, as they look when read as Windows-1252.
CONTINUATION = "".join(
    bytes([byte]).decode("cp1252" if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else "latin-1")
    for byte in range(0x80, 0xC0)
)
# Punctuation among them stands after a real Ã or Â too, at a word's end: "AMANHÃ…".
PUNCTUATION = "\N{HORIZONTAL ELLIPSIS}\N{EN DASH}\N{EM DASH}‘’“”"
MOJIBAKE = re.compile(
    f"[ÂÃ](?=[{re.escape(CONTINUATION)}])(?:[^{PUNCTUATION}]|[{PUNCTUATION}](?=\\w))"
    f"|(?:[ÐÑ][{re.escape(CONTINUATION)}]){{2}}|â€[{re.escape(CONTINUATION)}]|\ufffd"
)


@dataclass(frozen=True)
class Row:
    """One usable row; `file` and `number` say where it stands at its source."""

    id: str
    file: str
    number: int
    input: str
    label: str
    split: Split


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


def load(root: Path, data: Data) -> Clean:
    """Read the source, and its own test set where it has one, and validate the rows.

    Raises:
        InputError: what `read` refuses, fewer than two labels left, more than `data.max_labels`,
            or a split without rows.
    """
    # The test file first: of two copies the first keeps its place.
    sources: list[tuple[str, Split | None]] = [(data.test, "test")] if data.test is not None else []
    rows: list[Row] = []
    quarantined: list[Quarantined] = []
    left_out, faults = 0, []
    for path, fixed in [*sources, (data.path, None)]:
        try:
            found, out, without = _valid_rows(root / path, data, fixed)
        except InputError as error:
            faults += error.sentences
            continue
        rows, quarantined, left_out = rows + found, quarantined + out, left_out + without
    if faults:
        raise InputError(faults)
    rows, duplicates = _without_duplicates(rows, data.test is not None)
    rows, rare = _without_rare_labels(rows, data.min_rows_per_label)
    labels = sorted({row.label for row in rows})
    rows.sort(key=lambda row: (row.split == "test" and data.test is not None, row.number))
    quarantined += duplicates + rare
    _refuse_unusable(rows, labels, quarantined, data)
    return Clean(rows, quarantined, labels, left_out)


def _valid_rows(path: Path, data: Data, fixed: Split | None) -> tuple[list[Row], list[Quarantined], int]:
    raw = read(path, data)
    rows, faults = [], []
    for number, text, label in zip(raw.numbers, raw.inputs, raw.labels, strict=True):
        reason = _fault(text, label, data)
        if reason or text is None or label is None:
            faults.append(Quarantined(path.name, number, reason or "empty", text, label))
            continue
        identity = row_id(text)
        split = fixed or place(identity, 0 if data.test else data.test_share, data.validation_share)
        rows.append(Row(identity, path.name, number, text, label, split))
    return rows, faults, raw.left_out


def _fault(text: str | None, label: str | None, data: Data) -> str | None:
    if text is None or not text.strip():
        return "empty example"
    if label is None:
        return "empty label"
    if len(text) > data.max_characters:
        return f"longer than data.max_characters {data.max_characters}"
    if MOJIBAKE.search(text):
        return "broken encoding (UTF-8 read as another)"
    return None


def _without_duplicates(rows: list[Row], own_test: bool) -> tuple[list[Row], list[Quarantined]]:
    """Only training-side copies leave; the source's own test rows all stay where they were placed."""
    by_id: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_id[row.id].append(row)

    def reason(row: Row) -> str | None:
        copies = by_id[row.id]
        first = copies[0]
        if row.split == "test" and (own_test or row is first):
            return None
        if first.split == "test":
            return f"duplicate of test row {first.number} of {first.file}"
        if len({copy.label for copy in copies}) > 1:
            return "same example under another label"
        return None if row is first else f"duplicate of row {first.number} of {first.file}"

    return _partition(rows, reason)


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
