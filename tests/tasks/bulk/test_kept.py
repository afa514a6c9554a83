"""What was answered before a kill counts for the same portions under the same terms, and for nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.bulk.kept import Answers, kept_beside
from tasks.errors import BusyError

TERMS = {"release": "0123456789ab", "threads": 1}
PORTIONS = [["good", None], ["bad", b"\x00"], ["good", "bad"]]


class Killed(BaseException):
    pass


def answers(portion: int) -> Answers:
    return [(f"label {portion}", 0.1 + 0.2), None]


def call(out: Path, terms: dict[str, object], portions: list[list[str | bytes | None]], until: int = 9) -> list[int]:
    """Which portions had to be answered; the call is killed before the one of the number `until`."""
    made: list[int] = []

    def answer(place: int) -> Answers:
        made.append(place)
        return answers(place)

    with kept_beside(out, terms) as kept:
        for place, portion in enumerate(portions):
            if place == until:
                raise Killed
            assert kept.recall(portion, lambda place=place: answer(place)) == answers(place)  # type: ignore[misc]
    return made


def killed(out: Path, until: int = 2) -> Path:
    with pytest.raises(Killed):
        call(out, TERMS, PORTIONS, until)
    return out.with_name(f".{out.name}.answers")


def test_a_killed_call_is_taken_up_and_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    kept = killed(out)
    assert kept.is_file()
    assert call(out, TERMS, PORTIONS) == [2]
    assert list(tmp_path.iterdir()) == []


def test_a_call_that_answered_nothing_leaves_nothing(tmp_path: Path) -> None:
    killed(tmp_path / "out.csv", until=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", TERMS)
def test_under_other_terms_nothing_counts(tmp_path: Path, key: str) -> None:
    out = tmp_path / "out.csv"
    killed(out)
    assert call(out, TERMS | {key: "other"}, PORTIONS) == [0, 1, 2]


def test_behind_a_portion_that_has_changed_nothing_counts(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    killed(out)
    assert call(out, TERMS, [PORTIONS[0], ["bad", b"\x01"], PORTIONS[2]]) == [1, 2]
    killed(out, until=2)
    assert call(out, TERMS, [["goo", "d"], PORTIONS[1]]) == [0, 1]


def test_examples_are_told_apart_where_their_bytes_are_the_same(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    with pytest.raises(Killed):
        call(out, TERMS, [["ab", "c"], []], until=1)
    assert call(out, TERMS, [["a", "bc"]]) == [0]


def test_a_portion_is_kept_once_it_is_answered(tmp_path: Path) -> None:
    path = tmp_path / ".out.csv.answers"
    with kept_beside(tmp_path / "out.csv", TERMS) as kept:
        for count, portion in enumerate(PORTIONS, start=2):
            kept.recall(portion, lambda: answers(0))
            assert path.read_bytes().count(b"\n") == count


def test_killed_twice(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    killed(out, until=1)
    killed(out, until=2)
    assert call(out, TERMS, PORTIONS) == [2]


def test_killed_again_before_the_first_answer(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    killed(out, until=2)
    killed(out, until=0)
    assert call(out, TERMS, PORTIONS) == [2]


@pytest.mark.parametrize(
    "damage", [lambda whole: whole[:-3], lambda whole: whole[:-1], lambda whole: whole[:-9] + b"\x00" * 8 + b"\n"]
)
def test_a_torn_line_is_answered_again(tmp_path: Path, damage: object) -> None:
    out = tmp_path / "out.csv"
    kept = killed(out)
    kept.write_bytes(damage(kept.read_bytes()))  # type: ignore[operator]
    assert call(out, TERMS, PORTIONS) == [1, 2]


def test_a_file_that_is_something_else_is_started_anew(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.with_name(".out.csv.answers").write_bytes(b"\xff\xfe something")
    killed(out)
    assert call(out, TERMS, PORTIONS) == [2]


def test_an_output_has_one_writer(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    with (
        kept_beside(out, TERMS),
        pytest.raises(BusyError, match=r"Another graft predict writes out\.csv"),
        kept_beside(out, TERMS),
    ):
        raise AssertionError("two at once")
