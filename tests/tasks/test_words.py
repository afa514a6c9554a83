"""One row is no rows."""

from __future__ import annotations

from tasks.words import counted


def test_one_is_singular_and_none_is_not() -> None:
    assert [counted(count, "new row") for count in (0, 1, 2)] == ["0 new rows", "1 new row", "2 new rows"]
