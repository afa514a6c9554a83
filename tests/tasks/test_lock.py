"""Where two locks first differ."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tasks import lock
from tasks.lock import Difference

STAGES: dict[str, Any] = {
    "code": {"cmd": "python -m code", "outs": [{"path": "code.yaml", "md5": "0"}]},
    "first": {
        "cmd": "python -m first",
        "deps": [{"path": "rows.csv", "md5": "a", "size": 1}],
        "params": {
            "params.yaml": {"project.seed": 1, "data": {"where": {}, "test": None}},
            "code.yaml": {"first": "x"},
        },
        "outs": [{"path": "out", "md5": "b"}],
    },
    "second": {"cmd": "python -m second", "deps": [{"path": "out", "md5": "b"}], "outs": [{"path": "end", "md5": "c"}]},
}
ORDER = ["code", "first", "second"]


def changed(*paths: tuple[Any, ...]) -> dict[str, Any]:
    stages = deepcopy(STAGES)
    for *keys, last, value in paths:
        place: Any = stages
        for key in keys:
            place = place[key]
        place[last] = value
    return stages


CODE = ("first", "params", "code.yaml", "first", "y")
OUT = ("first", "outs", 0, "md5", "B")


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([("first", "cmd", "other")], Difference("first", "command", "cmd", "python -m first", "other")),
        (
            [("first", "deps", 0, "md5", "A"), OUT],
            Difference("first", "dep", "rows.csv", {"md5": "a", "size": 1}, {"md5": "A", "size": 1}),
        ),
        (
            [("first", "params", "params.yaml", "data", "test", 3), CODE],
            Difference("first", "param", "data.test", None, 3),
        ),
        ([CODE, OUT], Difference("first", "code", "first", "x", "y")),
        ([OUT, ("second", "cmd", "other")], Difference("first", "out", "out", {"md5": "b"}, {"md5": "B"})),
        ([("second", "outs", [])], Difference("second", "out", "end", {"md5": "c"}, None)),
    ],
)
def test_the_first_difference(paths: list[tuple[Any, ...]], expected: Difference) -> None:
    assert lock.first_difference(STAGES, changed(*paths), ORDER) == expected


def test_the_same() -> None:
    assert lock.first_difference(STAGES, deepcopy(STAGES), ORDER) is None
    assert lock.same_outputs(STAGES, changed(CODE)) and not lock.same_outputs(STAGES, changed(OUT))


def test_the_code_stage_is_told_by_those_whose_code_changed() -> None:
    other = changed(("code", "outs", 0, "md5", "1"))
    assert lock.first_difference(STAGES, other, ORDER) is None and lock.same_outputs(STAGES, other)


def test_a_stage_that_only_one_has() -> None:
    less = {name: STAGES[name] for name in ("code", "first")}
    assert lock.first_difference(STAGES, less, ORDER) == Difference("second", "stage", "second", STAGES["second"], None)
    assert lock.first_difference(less, STAGES, ORDER) == Difference("second", "stage", "second", None, STAGES["second"])


@pytest.mark.parametrize(
    "text", ["", "schema: '2.0'\n", "stages:\n  a:\n    cm", "stages:\n  a:\n    deps: []\n", "a: [\n"]
)
def test_half_a_lock(text: str) -> None:
    assert not lock.is_whole(text)
    assert lock.is_whole("schema: '2.0'\nstages:\n  a:\n    cmd: x\n")
