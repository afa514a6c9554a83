"""Edge of the receipt: how often the test rows were looked at."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tasks.artifacts import read_json
from tasks.receipt import __main__ as edge
from tasks.receipt.__main__ import count_look
from tasks.stage import Stage
from tests.factories import params

TEST, OTHER_TEST = "a" * 64, "b" * 64


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage("adaptation_receipt", tmp_path, params(), tmp_path / ".graft/staging/adaptation_receipt")


def looks(stage: Stage, test_hash: str) -> int:
    return len(read_json(stage.state("looks") / f"{test_hash[:32]}.json"))


def test_the_same_receipt_again_is_no_new_look_and_another_is(stage: Stage) -> None:
    counted = []
    for receipt in ("first", "first", "second", "first", "second"):
        count_look(stage, TEST, receipt)
        counted.append(looks(stage, TEST))
    assert counted == [1, 1, 2, 2, 2]


def test_each_test_set_has_its_own_count(stage: Stage) -> None:
    for receipt in ("first", "second"):
        count_look(stage, TEST, receipt)
    count_look(stage, OTHER_TEST, "first")
    assert (looks(stage, TEST), looks(stage, OTHER_TEST)) == (2, 1)


def test_looks_of_two_runs_at_once_are_both_counted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    other = threading.Thread(target=count_look, args=(stage, TEST, "by hand"))

    def read_while_the_other_counts(path: Path) -> Any:
        monkeypatch.setattr(edge, "read_json", read_json)
        seen = read_json(path)
        other.start()
        other.join(timeout=0.5)
        return seen

    count_look(stage, TEST, "first")
    monkeypatch.setattr(edge, "read_json", read_while_the_other_counts)
    count_look(stage, TEST, "scheduled")
    other.join(timeout=10)
    assert looks(stage, TEST) == 3
    assert [path.name for path in stage.state("looks").glob("*.json")] == [f"{TEST[:32]}.json"]
