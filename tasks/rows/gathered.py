"""Batches of raw rows, each row checked by itself, gathered into columns."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from tasks import modalities
from tasks.errors import InputError
from tasks.params import Data, Params
from tasks.rows.columns import Cells, Columns
from tasks.rows.inspected import inspect
from tasks.rows.read import RawRows, label_text
from tasks.rows.row import SOURCES, Source
from tasks.rows.settings import moment
from tasks.rows.split import SPLITS, TRAIN, VALIDATION, Split, keys_of, places

NOBODY = "0" * 32
OTHER_TEST = "test row of a source whose test set data.test names"
NO_SPLIT = "data.split_column says neither train, validation nor test"
NO_TIME = "data.time_column holds no ISO 8601 date or time"


class Gathered:
    """What is known of the rows so far; they are added in the order of `SOURCES`.

    Args:
        root: the project's folder.
        params: of the project.
        labelled: whether a row needs a label.
    """

    def __init__(self, root: Path, params: Params, labelled: bool = True) -> None:
        self._labelled = labelled
        self._root, self._settings, self._data = root, params.examples, params.data
        self._modality = modalities.part(params.project.modality, "source")
        threshold = params.data.near_duplicate_similarity
        self.likeness = self._modality.likeness(threshold) if threshold else None
        self.left_out = 0
        self._cells = Cells(root)
        self.names: dict[str, int] = {}
        self._reasons: dict[int, str] = {}
        self._arrays: dict[str, np.ndarray] = {}
        self._count = 0

    def add(self, source: Source, raw: RawRows) -> None:
        """Check a batch of rows of one source, and keep what is known of them."""
        path: str = getattr(self._data, source)
        cells = [from_root(path, cell) if self._modality.FILES and cell else cell for cell in raw.inputs]
        found = inspect(self._modality, [cell for cell in cells if cell], self._root, self._settings)
        seen = [next(found) if cell else None for cell in cells]
        splits, misplaced = _said(source, raw, self._data)
        faults = [one.fault if one else "empty example" for one in seen]
        unlabelled = [None if label or not self._labelled else "empty label" for label in raw.labels]
        reasons = _first(faults, unlabelled, misplaced, raw.faults)
        self._reasons |= {place: reason for place, reason in enumerate(reasons, start=self._count) if reason}
        made = {
            "keys": keys_of(one.id if one else NOBODY for one in seen),
            "sources": np.full(len(seen), SOURCES.index(source), dtype=np.int8),
            "numbers": np.array(raw.numbers, dtype=np.int32),
            "labels": np.array([self._number(label) for label in raw.labels], dtype=np.int32),
            "splits": np.array([SPLITS.index(split) if split else -1 for split in splits], dtype=np.int8),
            "sizes": np.array([one.size if one else 0 for one in seen], dtype=np.int32),
        }
        if self._data.group_column:
            made["groups"] = keys_of(_group_id(value) for value in _values(source, raw, self._data.group_column))
        if self.likeness:
            usable = ["" if reason else cell or "" for cell, reason in zip(cells, reasons, strict=True)]
            made["signatures"] = self.likeness.signatures(usable)
        for name, part in made.items():
            self._append(name, part)
        self._cells.append(cells)
        self.left_out += raw.left_out
        self._count += len(seen)

    def _append(self, name: str, part: np.ndarray) -> None:
        """Grow in place: a list of parts that are joined in the end would take the memory twice."""
        whole = self._arrays.setdefault(name, np.empty((0, *part.shape[1:]), dtype=part.dtype))
        whole.resize((self._count + len(part), *part.shape[1:]), refcheck=False)
        whole[self._count :] = part

    def _number(self, label: str | None) -> int:
        return -1 if label is None else self.names.setdefault(label, len(self.names))

    def columns(self, own_test: bool) -> Columns:
        """All rows, each in its split.

        Args:
            own_test: as the method of this name says.

        Raises:
            InputError: the source names labelled validation rows, and the params would draw others by hash.
        """
        # Where no row has a label yet, those that come later are divided by hash, validation rows too.
        if ((self._arrays["splits"] == VALIDATION) & (self._arrays["labels"] >= 0)).any():
            refuse_two_validations(self._data, Path(self._data.path).name)
        taken = {name: self.taken(name) for name in ("keys", "sources", "numbers", "labels", "splits", "sizes")}
        groups = self.taken("groups") if "groups" in self._arrays else None
        _place(taken, groups, own_test, self._data)
        files = [Path(getattr(self._data, source) or "").name for source in SOURCES]
        return Columns(self._cells, **taken, groups=groups, names=[*self.names], files=files, reasons=self._reasons)

    def own_test(self) -> bool:
        """Whether the source itself says of its rows where they belong: then it has to name all test rows.

        Were some drawn by hash as long as it names none, the first one that it names would move them.
        """
        return self._data.test_from is not None or bool((self._arrays["splits"] >= 0).any())

    def taken(self, name: str) -> np.ndarray:
        """One column of all rows, (N, ...), which is not kept here any longer."""
        return self._arrays.pop(name)


def refuse_two_validations(data: Data, name: str) -> None:
    """Refuse a source that names validation rows where others are drawn: the params say which, and no row changes it.

    Raises:
        InputError: the params draw some by hash.
    """
    if data.validation_share and not data.validation_from:
        raise InputError(
            f"{name} names validation rows of its own, and data.validation_share {data.validation_share:g} would draw "
            "others from its training rows: set it to 0."
        )


def _place(taken: dict[str, np.ndarray], groups: np.ndarray | None, own_test: bool, data: Data) -> None:
    """Divide what nobody placed, and what was called training rows, by hash."""
    keys, splits, later = taken["keys"], taken["splits"], taken["sources"] == SOURCES.index("feedback")
    if groups is not None:
        keys = np.where(groups.any(axis=1, keepdims=True), groups, keys)
    validation_share = 0.0 if data.validation_from else data.validation_share
    by_hash = places(keys, 0 if own_test else data.test_share, validation_share)
    # Even beside a test set of the source's own: nothing else could judge what came later.
    by_hash[later] = places(keys[later], data.test_share, data.validation_share)
    left = splits <= TRAIN
    splits[left] = by_hash[left]


def _first(*checks: list[str | None]) -> list[str | None]:
    """Of several checks of the same rows, each a reason or None per row, the first reason."""
    return [next(filter(None, found), None) for found in zip(*checks, strict=True)]


def from_root(path: str, cell: str) -> str:
    """What a cell names, from the project's folder; a path that leaves its own folder leads out of the project."""
    named = posixpath.normpath(cell)
    outside = named.startswith(("/", "../")) or named == ".."
    return f"../{named}" if outside else posixpath.join(path, named)


def _said(source: Source, raw: RawRows, data: Data) -> tuple[list[Split | None], list[str | None]]:
    """Where each row belongs by its source, None if that does not say, and why it cannot be used there."""
    fine: list[str | None] = [None] * len(raw.numbers)
    if source == "test":
        return ["test"] * len(fine), fine
    if source == "feedback":
        return raw.splits, fine
    if data.time_column:
        times = [_time(value) for value in _values(source, raw, data.time_column)]
        return [_by_time(at, data) if at else None for at in times], [None if at else NO_TIME for at in times]
    if data.split_column:
        fine = [None if split else NO_SPLIT for split in raw.splits]
    if data.test:
        fine = [OTHER_TEST if split == "test" else reason for split, reason in zip(raw.splits, fine, strict=True)]
    return raw.splits, fine


def _values(source: Source, raw: RawRows, column: str) -> Iterable[Any]:
    """Cells of a column; what came later has none but example and label."""
    return [None] * len(raw.numbers) if source == "feedback" else raw.table.column(column).to_pylist()


def _group_id(value: Any) -> str:
    name = label_text(value)
    return hashlib.sha256(name.encode("utf-8")).hexdigest()[:32] if name else NOBODY


def _by_time(at: datetime, data: Data) -> Split:
    """Fixed dates, so that a newer row never moves an older one."""
    if data.test_from and at >= moment(data.test_from):
        return "test"
    return "validation" if data.validation_from and at >= moment(data.validation_from) else "train"


def _time(value: Any) -> datetime | None:
    try:
        return moment(value)
    except (TypeError, ValueError):
        return None
