"""A row's split depends on its content alone."""

from __future__ import annotations

import hashlib

import pytest

from tasks.rows.split import normalise, place, row_id


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("  Hello\n\tWORLD ", "hello world"),
        ("ﬁne Maß", "fine mass"),
        ("Ｆｕｌｌ", "full"),
        ("cafe\u0301", "café"),
    ],
)
def test_case_space_and_compatibility_forms_make_no_other_row(written: str, same: str) -> None:
    assert normalise(written) == same
    assert row_id(written) == row_id(same)


def test_a_row_id_is_half_a_sha256_of_the_normalised_text() -> None:
    assert row_id(" A  b") == hashlib.sha256(b"a b").hexdigest()[:32]
    assert row_id("a b") != row_id("ab")


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
    placed = [place(row_id(f"text {i}"), 0.25, 0.2) for i in range(4000)]
    # Expected 1000 and 600; four standard deviations are 110 and 90.
    assert abs(placed.count("test") - 1000) < 110
    assert abs(placed.count("validation") - 600) < 90


def test_another_validation_share_never_touches_the_test_split() -> None:
    ids = [row_id(f"text {i}") for i in range(300)]
    assert [place(i, 0.25, 0.1) == "test" for i in ids] == [place(i, 0.25, 0.6) == "test" for i in ids]
