"""`graft feedback`: rows with their examples, or labels of answers that the log has."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from deploy import predictions
from deploy.releases import Releases
from flows.commands import app
from tasks.problems.classification.answer import Answer
from tests.bundles import tiny_bundle
from tests.factories import REPO


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copy(REPO / "params.yaml", tmp_path)
    return tmp_path


def log(root: Path, request_id: str, *answers: str, inputs: list[str] | None = None) -> None:
    given = [Answer(answer, 0.9) for answer in answers]
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    request = predictions.Request(now, request_id, "0123456789ab", given, np.zeros((len(given), 2)), inputs)
    path = predictions.new_path(root / "releases/predictions", "2026-11-24T12")
    predictions.write(path, predictions.table_of([request]))


def feedback(root: Path, content: str, *options: str) -> tuple[int, str, str]:
    (root / "late.csv").write_text(content)
    done = CliRunner().invoke(app, ["feedback", str(root / "late.csv"), "--project", str(root), *options])
    return done.exit_code, done.stdout, done.stderr


def told(root: Path, content: str) -> dict[str, Any]:
    code, out, _ = feedback(root, content, "--json")
    assert code == 0
    record: dict[str, Any] = json.loads(out)
    return record


def test_rows_with_their_examples(root: Path) -> None:
    content = "text,label,channel\nwhere is it,delivery,chat\nhello,,chat\n"
    assert told(root, content) == {
        "taken": 1,
        "known": 0,
        "refused": {"empty label": 1},
        "new_labels": [],
        "live": None,
    }
    assert feedback(root, content) == (
        0, "0 rows taken, 1 known already: `graft retrain` learns from what is new.\n1 refused: empty label.\n", ""
    )  # fmt: skip


def test_labels_of_answers_whose_inputs_were_kept(root: Path) -> None:
    log(root, "r1", "delivery", "billing", inputs=["where is it", "I paid twice"])
    content = "request_id,row,label\nr1,0,delivery\nr1,1,refund\nr9,0,refund\n"
    found = told(root, content)
    assert (found["taken"], found["live"]) == (2, {"joined": 2, "right": 1, "unknown": 1})
    (batch,) = (root / ".graft/feedback").glob("0*/rows.csv")
    assert sorted(batch.read_text().splitlines()[1:]) == ["I paid twice,refund", "where is it,delivery"]


def test_labels_of_answers_whose_inputs_were_not_kept_are_refused(root: Path) -> None:
    log(root, "r1", "delivery")
    code, _, err = feedback(root, "request_id,label\nr1,delivery\n")
    assert code == 2 and "GRAFT_LOG_INPUTS=1" in err and "'text'" in err


def test_examples_with_the_request_they_came_in_say_how_good_the_answers_were(root: Path) -> None:
    log(root, "r1", "delivery")
    found = told(root, "request_id,text,label\nr1,where is it,billing\n")
    assert (found["taken"], found["live"]) == (1, {"joined": 1, "right": 0, "unknown": 0})


def test_a_file_without_labels_is_refused(root: Path) -> None:
    code, _, err = feedback(root, "text,topic\nwhere is it,delivery\n")
    assert code == 2 and "has no column 'label'" in err
    code, _, err = feedback(root, "request_id,topic\nr1,delivery\n")
    assert code == 2 and "has no column 'label'" in err


@pytest.mark.parametrize("place", ["first", "1.5"])
def test_a_place_that_is_no_number_is_refused(root: Path, place: str) -> None:
    log(root, "r1", "delivery", inputs=["where is it"])
    code, _, err = feedback(root, f"request_id,row,label\nr1,{place},delivery\n")
    assert code == 2 and "Column 'row' of late.csv holds other things than whole numbers" in err


def test_requests_that_the_log_does_not_have_are_refused(root: Path) -> None:
    code, _, err = feedback(root, "request_id,label\ngone,delivery\n")
    assert code == 2 and "names no request that the prediction log has" in err


def test_labels_that_the_champion_does_not_know_are_told(root: Path) -> None:
    releases = Releases(root / "releases")
    releases.promote(releases.add(tiny_bundle(root / "bundle")), "test", {})
    _, out, _ = feedback(root, "text,label\nfine,good\nodd,goood\n")
    assert out.splitlines()[-1] == "The champion does not know these labels: goood."


def test_other_columns_are_told_of_the_file_and_not_of_the_params(root: Path) -> None:
    code, _, err = feedback(root, "message,department\nwhere is it,delivery\n")
    assert code == 2 and "rename its columns" in err and "set data." not in err
