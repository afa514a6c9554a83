"""What stands in two splits, or twice in one: only training-side rows leave, and no row that was placed moves.

Each function adds the rows that leave to `columns.reasons`, and returns those of them that another split has too.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from tasks.modalities.contract import Likeness
from tasks.rows.columns import Columns, same
from tasks.rows.near import alike
from tasks.rows.row import SOURCES
from tasks.rows.split import SPLITS, TEST, TRAIN, Split

LATER, OWN_TEST = SOURCES.index("feedback"), SOURCES.index("test")


def exact(columns: Columns, own_test: bool) -> list[int]:
    """Rows whose content stands there already: of copies in two splits test stays before validation before training.

    Args:
        columns: of all rows.
        own_test: whether the source itself says which rows are test; those all stay.
    """
    crossing: list[int] = []
    rank = _rank(columns)
    for copies in same(columns.keys, columns.used()):
        # Of copies in two splits that of lower rank stays, and within one the first, of the test file if that has it.
        copies = copies[np.lexsort((columns.sources[copies] != OWN_TEST, rank[copies]))]
        is_later = columns.sources[copies] == LATER
        old, later = copies[~is_later].tolist(), copies[is_later].tolist()
        crossing += _copies(columns, old, own_test)
        known = [place for place in old if place not in columns.reasons]
        if known:
            for place in later:
                differ = _differ(columns, [known[-1], place])
                what = "same example under another label than" if differ else "duplicate of"
                crossing += _leaves(columns, place, known[-1], f"{what} {_row(columns, known[-1])}")
        else:
            crossing += _copies(columns, later, False)
    return crossing


def _copies(columns: Columns, copies: list[int], own_test: bool) -> list[int]:
    crossing: list[int] = []
    differ = _differ(columns, copies)
    for place in copies:
        first = copies[0]
        if columns.splits[place] == TEST and (own_test or place == first):
            continue
        if differ and columns.splits[first] != TEST:
            columns.reasons[place] = "same example under another label"
        elif place != first:
            crossing += _leaves(columns, place, first, f"duplicate of {_named(columns, first)}")
    return crossing


def groups(columns: Columns) -> list[int]:
    """Rows of a group of which other rows are in a split that stays: test before validation before training."""
    crossing: list[int] = []
    used = columns.used()
    if columns.groups is None:
        return crossing
    rank = _rank(columns)
    for members in same(columns.groups, used[columns.groups[used].any(axis=1)]):
        first = members[np.argmin(rank[members])]
        for place in members[columns.splits[members] != columns.splits[first]].tolist():
            crossing += _leaves(columns, place, first, f"in one group with {_named(columns, first)}")
    return crossing


def near(columns: Columns, likeness: Likeness, signatures: np.ndarray) -> tuple[list[int], dict[Split, int]]:
    """Rows that are nearly one of another split; and split -> rows that stay beside a near duplicate of that split.

    Args:
        columns: of all rows.
        likeness: of the modality.
        signatures: (N, B, R) of all rows.
    """
    used, rank = columns.used(), _rank(columns)

    def examples(places: np.ndarray) -> list[str]:
        return [cell or "" for cell in columns.cells.take(places)]

    pairs = alike(likeness, signatures, rank, used, examples)
    crossing: list[int] = []
    # What stays is settled from the lowest rank up.
    for place, other in pairs[np.argsort(rank[pairs[:, 0]], kind="stable")].tolist():
        if columns.splits[place] != columns.splits[other] and not {place, other} & columns.reasons.keys():
            crossing += _leaves(columns, place, other, f"near duplicate of {_named(columns, other)}")
    staying = {place for place, other in pairs.tolist() if not {place, other} & columns.reasons.keys()}
    counts = Counter(SPLITS[columns.splits[place]] for place in staying)
    return crossing, {split: counts[split] for split in SPLITS}


def _rank(columns: Columns) -> np.ndarray:
    """(N,) of two rows in two splits that of lower rank stays: the one that was there before, else nearer to test."""
    rank = (columns.sources == LATER) * len(SPLITS) + (TEST - columns.splits)
    return np.asarray(rank, dtype=np.uint8)


def _differ(columns: Columns, places: list[int]) -> bool:
    return len(set(columns.labels[places].tolist())) > 1


def _leaves(columns: Columns, place: int, other: int, reason: str) -> list[int]:
    columns.reasons[place] = reason
    return [place] if columns.splits[place] != columns.splits[other] else []


def _row(columns: Columns, place: int) -> str:
    return f"row {columns.numbers[place]} of {columns.files[columns.sources[place]]}"


def _named(columns: Columns, place: int) -> str:
    split = columns.splits[place]
    return _row(columns, place) if split == TRAIN else f"{SPLITS[split]} {_row(columns, place)}"
