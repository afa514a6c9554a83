"""A row's split depends on its content alone."""

from __future__ import annotations

import hashlib

import pytest

from tasks.rows.split import place


def drawn(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()[:32]


@pytest.mark.parametrize(
    ("identity", "split"),
    [
        ("3" + "f" * 9 + "0" * 22, "test"),  # just under a quarter
        ("4" + "0" * 15 + "0" * 16, "validation"),  # a quarter exactly is not under it
        ("4" + "0" * 15 + "7" + "f" * 9 + "0" * 6, "validation"),
        ("4" + "0" * 15 + "8" + "0" * 15, "train"),
        ("f" * 32, "train"),
    ],
)
def test_place_by_hand(identity: str, split: str) -> None:
    assert place(identity, 0.25, 0.5) == split


def test_shares_of_zero_leave_everything_to_training() -> None:
    assert place("0" * 32, 0, 0) == "train"


def test_shares_are_kept_within_chance() -> None:
    placed = [place(drawn(i), 0.25, 0.2) for i in range(4000)]
    # Expected 1000 and 600; four standard deviations are 110 and 90.
    assert abs(placed.count("test") - 1000) < 110
    assert abs(placed.count("validation") - 600) < 90


def test_another_validation_share_never_touches_the_test_split() -> None:
    ids = [drawn(i) for i in range(300)]
    assert [place(i, 0.25, 0.1) == "test" for i in ids] == [place(i, 0.25, 0.6) == "test" for i in ids]
