"""What is beyond a limit is out, with its reason; few depths are measured, and all at the border."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.errors import InputError
from tasks.params import Limits
from tasks.selection.cost import Cost
from tasks.selection.limits import Out, by_cost, by_licence, refuse_nothing_left

# Depth 0 to 6 with 1 to 7 MB.
COSTS = [Cost(0, 1_000_000 * (depth + 1), 0) for depth in range(7)]


def limits(**changes: Any) -> Limits:
    return Limits(**({"max_milliseconds": None, "max_megabytes": None, "licences": None} | changes))


def never(depth: int) -> float:
    raise AssertionError("a clock was read without a limit on time")


def test_without_limits_all_is_inside_and_no_clock_is_read() -> None:
    assert by_cost(COSTS, never, limits()) == (7, None)
    assert by_licence(None, limits()) is None


@pytest.mark.parametrize(("megabytes", "inside"), [(0.5, 0), (3, 3), (3.9, 3), (6.9, 6)])
def test_a_limit_on_size(megabytes: float, inside: int) -> None:
    assert by_cost(COSTS, never, limits(max_megabytes=megabytes)) == (
        inside,
        f"its float32 weights are over selection.limits.max_megabytes {megabytes:g}",
    )
    assert by_cost(COSTS, never, limits(max_megabytes=7)) == (7, None)


@pytest.mark.parametrize("inside", range(8))
def test_a_limit_on_time_measures_few_depths(inside: int) -> None:
    asked: list[int] = []

    def milliseconds(depth: int) -> float:
        asked.append(depth)
        return 5.0 if depth < inside else 5.1

    count, reason = by_cost(COSTS, milliseconds, limits(max_milliseconds=5))
    assert count == inside
    assert reason == (None if inside == 7 else "a row takes longer than selection.limits.max_milliseconds 5")
    assert asked[0] == 6 and len(asked) == len(set(asked)) <= 4


def test_what_is_too_large_is_not_measured() -> None:
    asked: list[int] = []
    found = by_cost(COSTS, lambda depth: asked.append(depth) or 1.0, limits(max_megabytes=4, max_milliseconds=2))
    assert found == (4, "its float32 weights are over selection.limits.max_megabytes 4")
    assert asked == [3]
    assert by_cost(COSTS, never, limits(max_megabytes=0.1, max_milliseconds=2))[0] == 0


def test_licences_are_compared_without_case() -> None:
    wanted = limits(licences=["MIT", "apache-2.0"])
    assert by_licence("mit", wanted) is None and by_licence("Apache-2.0", wanted) is None
    assert by_licence("cc-by-nc-4.0", wanted) == "its licence cc-by-nc-4.0 is not in selection.limits.licences"


def test_a_licence_that_is_not_known_is_refused_where_one_is_asked_for() -> None:
    assert by_licence(None, limits(licences=["mit"])) == (
        "no README, package or hub names its licence, so it is not in selection.limits.licences"
    )


def test_what_is_out_in_words() -> None:
    assert Out("path:m", "r", 0, "too large").sentence == "path:m is out: too large."
    assert Out("path:m", "r", 4, "too slow").sentence == "path:m from depth 4 up is out: too slow."


def test_nothing_left_is_one_sentence() -> None:
    refuse_nothing_left(1, [Out("path:m", "r", 4, "too slow")])
    with pytest.raises(InputError) as found:
        refuse_nothing_left(0, [Out("path:m", "r", 0, "too slow"), Out("path:n", "r", 0, "too large")])
    assert found.value.sentences == [
        "selection.limits leave no candidate (path:m: too slow; path:n: too large): raise a limit or add a candidate."
    ]
