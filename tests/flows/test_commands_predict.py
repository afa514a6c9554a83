"""`graft predict`: what it adds to rows, how it scores them, where it writes, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from deploy.releases import Releases
from tasks.modalities.text.source import identity
from tasks.runtime import Runtime
from tests.bundles import tiny_bundle
from tests.commanding import ROWS, graft, table
from tests.commanding import project as project
from tests.commanding import template as template


def answered(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_predict_adds_columns_and_keeps_the_order(project: Path) -> None:
    result = graft(project, "predict", str(project / "in.csv"))
    assert result.exit_code == 0, result.stderr
    rows = answered(result.stdout)
    assert list(rows[0]) == ["id", "text", "label", "prediction", "probability"]
    assert [row["id"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row["text"] for row in rows] == [row[1] for row in ROWS]
    assert [row["prediction"] for row in rows] == ["good", "bad", "", "good", ""]
    assert float(rows[0]["probability"]) == pytest.approx(0.982, abs=1e-3)
    assert rows[2]["probability"] == ""
    assert "5 rows" in result.stderr and "2 left empty" in result.stderr and "accuracy 66.7%" in result.stderr


def test_one_row_is_not_rows(project: Path) -> None:
    (project / "one.csv").write_text("text\ngood\n")
    assert graft(project, "predict", str(project / "one.csv")).stderr.startswith("1 row by release ")


def test_predict_json_goes_to_stderr(project: Path) -> None:
    result = graft(project, "predict", str(project / "in.csv"), "--json")
    record = json.loads(result.stderr)
    assert set(record) == {"rows", "unanswered", "version", "accuracy", "learned_from", "accuracy_of_others"}
    assert (record["learned_from"], record["accuracy_of_others"]) == (None, None), "the bundle does not tell"
    assert (record["rows"], record["unanswered"], record["accuracy"]) == (5, 2, pytest.approx(2 / 3, abs=1e-6))
    assert len(answered(result.stdout)) == 5


@pytest.mark.parametrize(
    ("learned", "told", "figures"),
    [
        ([], "accuracy 66.7% (if it learned from these rows, this says nothing).", (None, None)),
        (["else"], "accuracy 66.7% (it learned from none of these rows).", (0, 2 / 3)),
        ([" GOOD"], "accuracy 66.7% (it learned from 1 of these rows, on the 2 others 50.0%).", (1, 1 / 2)),
        (
            ["good", "bad, bad", "good bad good", "x" * 500],
            "accuracy 66.7% (it learned from these rows, so that this says nothing).",
            (3, None),
        ),
    ],
)
def test_predict_tells_which_rows_its_score_says_nothing_of(
    project: Path, tmp_path: Path, learned: list[str], told: str, figures: tuple[int | None, float | None]
) -> None:
    releases = Releases(project / "releases")
    bundle = tiny_bundle(tmp_path / "told", project="told", learned=[identity(text) for text in learned])
    releases.promote(releases.add(bundle), "r", {})
    assert graft(project, "predict", str(project / "in.csv")).stderr.strip().endswith(told)
    record = json.loads(graft(project, "predict", str(project / "in.csv"), "--json").stderr)
    assert (record["learned_from"], record["accuracy_of_others"]) == pytest.approx(figures, abs=1e-6)


@pytest.mark.parametrize("content", ['{"text": "good", "label": " good "}', '{"text": "good", "label": "good"}'])
def test_predict_reads_labels_as_training_does(project: Path, content: str) -> None:
    result = graft(project, "predict", "-", input=content + "\n")
    assert "accuracy 100.0%" in result.stderr


def test_predict_hands_columns_back_as_they_came(project: Path) -> None:
    table(project / "codes.csv", ["code", "when", "text"], [("007", "2026-03-02 07:55", "good")])
    (row,) = answered(graft(project, "predict", str(project / "codes.csv")).stdout)
    assert (row["code"], row["when"], row["prediction"]) == ("007", "2026-03-02 07:55", "good")


def test_predict_writes_json_that_others_read(project: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"text": ["good"], "score": [float("nan")]}), project / "in.parquet")
    out = project / "out.jsonl"
    assert graft(project, "predict", str(project / "in.parquet"), "-o", str(out)).exit_code == 0
    assert json.loads(out.read_text())["score"] is None and "NaN" not in out.read_text()


def test_predict_without_labels_tells_no_score(project: Path) -> None:
    table(project / "in.csv", ["text"], [("good",)])
    result = graft(project, "predict", str(project / "in.csv"), "--json")
    assert set(json.loads(result.stderr)) == {"rows", "unanswered", "version"}


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_predict_writes_files(project: Path, ending: str) -> None:
    out = project / f"out{ending}"
    result = graft(project, "predict", str(project / "in.csv"), "-o", str(out))
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    assert result.stderr.endswith(f" Written to {out}.\n")
    told = graft(project, "predict", str(project / "in.csv"), "-o", str(out), "--json").stderr
    assert json.loads(told)["out"] == str(out)
    if ending == ".parquet":
        rows = pyarrow.parquet.read_table(out).to_pylist()
    elif ending == ".jsonl":
        rows = [json.loads(line) for line in out.read_text().splitlines()]
    else:
        rows = answered(out.read_text())
    assert [row["prediction"] or None for row in rows] == ["good", "bad", None, "good", None]
    assert [str(row["id"]) for row in rows] == ["1", "2", "3", "4", "5"]
    assert not list(project.glob(".out*"))


def test_predict_reads_its_own_outputs_again(project: Path) -> None:
    out, again = project / "out.jsonl", project / "again.parquet"
    graft(project, "predict", str(project / "in.csv"), "-o", str(out))
    result = graft(project, "predict", str(out), "-o", str(again))
    assert result.exit_code == 0, result.stderr
    columns = pyarrow.parquet.read_table(again).column_names
    assert sorted(columns) == ["id", "label", "prediction", "probability", "text"]


@pytest.mark.parametrize("content", ["text\ngood\nbad\n", '{"text": "good"}\n{"text": "bad"}\n'])
def test_predict_reads_standard_input(project: Path, content: str) -> None:
    result = graft(project, "predict", "-", input=content)
    assert result.exit_code == 0, result.stderr
    assert [row["prediction"] for row in answered(result.stdout)] == ["good", "bad"]


@pytest.mark.parametrize("content", ['{"body": "good"}\n', "body\ngood\n"])
def test_standard_input_has_no_ending(project: Path, content: str) -> None:
    refused = graft(project, "predict", "-", input=content)
    assert refused.exit_code == 2 and refused.stderr.startswith("standard input has no column 'text'")


def test_predict_takes_up_what_was_cut_off(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table(project / "in.csv", ["text"], [("good",)] * 600)
    arguments = ["predict", str(project / "in.csv"), "-o", str(project / "out.csv")]
    answered, calls = Runtime.predict_usable, 0

    def predict_usable(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return answered(*arguments)

    monkeypatch.setattr(Runtime, "predict_usable", predict_usable)
    cut_off = graft(project, *arguments)
    assert (cut_off.exit_code, (project / "out.csv").exists()) == (130, False)
    taken_up = graft(project, *arguments)
    assert (taken_up.exit_code, calls) == (0, 4), "two portions more"
    table(project / "more.csv", ["text"], [("good",)] * 1200)
    assert graft(project, "predict", str(project / "more.csv")).stderr.startswith("1,200 rows by release ")
    assert "600 rows" in taken_up.stderr and "256 of them by a call before" in taken_up.stderr
    assert not list(project.glob(".out*"))


@pytest.mark.parametrize("name", ["in.csv", "link.csv", "./folder/../in.csv"])
def test_predict_does_not_write_over_its_input(project: Path, name: str) -> None:
    (project / "folder").mkdir()
    (project / "link.csv").hardlink_to(project / "in.csv")
    before = (project / "in.csv").read_bytes()
    refused = graft(project, "predict", str(project / "in.csv"), "-o", f"{project}/{name}")
    assert (refused.exit_code, (project / "in.csv").read_bytes()) == (2, before)
    assert "is what is to be answered, and would be overwritten: let -o name another file." in refused.stderr
    assert graft(project, "predict", str(project / "in.csv"), "-o", str(project / "out.csv")).exit_code == 0
    assert graft(project, "predict", str(project / "in.csv"), "-o", str(project / "out.csv")).exit_code == 0


def test_predict_refuses_in_a_sentence(project: Path) -> None:
    table(project / "other.csv", ["body", "label"], [("good", "good")])
    nested, doubled = project / "nested.jsonl", project / "doubled.csv"
    nested.write_text('{"text": "good", "tags": ["a"]}\n')
    table(doubled, ["text", "text"], [("good", "good")])
    cases = {
        "has no column 'text': it has body, label": [str(project / "other.csv")],
        "There is no file": [str(project / "gone.csv")],
        "only files ending in": [str(project / "in.csv"), "-o", str(project / "out.xlsx")],
        "There is no folder": [str(project / "in.csv"), "-o", str(project / "no/out.csv")],
        "nested column 'tags'": [str(nested)],
        "'text' more than once": [str(doubled)],
        "challenger": [str(project / "in.csv"), "--release", "challenger"],
    }
    for words, arguments in cases.items():
        result = graft(project, "predict", *arguments)
        assert (result.exit_code, result.stdout) == (2, ""), (words, result.output)
        assert words in result.stderr and "Traceback" not in result.stderr
