"""Edge of the receipt: how often the test rows were looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.artifacts import read_json
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
