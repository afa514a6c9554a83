"""The `graft` command: exit codes, sentences, tables and the keys of every --json."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from click.testing import Result
from typer.testing import CliRunner

from deploy.releases import Releases
from flows.commands import app
from tasks.manifest import read_manifest
from tasks.modalities.text.source import identity
from tasks.runtime import Runtime
from tests.bundles import tiny_bundle
from tests.factories import pass_gate, write_whole_lock
from tests.serving import released

HOUSE = Path(__file__).resolve().parents[2]
COMMANDS = [
    "upgrade", "check", "status", "schema", "run", "report", "predict", "serve", "promote", "rollback", "history",
    "export", "monitor", "feedback", "retrain", "up", "stop", "schedule", "reproduce",
]  # fmt: skip
ROWS = [
    ("1", "good", "good"),
    ("2", "bad, bad", "bad"),
    ("3", "", "good"),
    ("4", "good bad good", "bad"),
    ("5", "x" * 500, "good"),
]
MOVE = {"when", "action", "alias", "from", "to", "why", "context", "bundle_sha256"}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose champion is the tiny bundle."""
    root = tmp_path_factory.mktemp("project")
    shutil.copy(HOUSE / "params.yaml", root)
    released(root)
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    root = Path(shutil.copytree(template, tmp_path / "project"))
    table(root / "in.csv", ["id", "text", "label"], ROWS)
    return root


def table(path: Path, header: list[str], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def graft(root: Path, *arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(app, [*arguments, "--project", str(root)], **options)


def answered(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_help_lists_the_commands() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert [name for name in COMMANDS if f"  {name} " not in result.stdout] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_the_shared_options(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "--project" in result.stdout and "--debug" in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_where_there_is_no_project(name: str, tmp_path: Path) -> None:
    arguments = {"predict": ["-"], "feedback": ["late.csv"], "export": ["folder"]}.get(name, [])
    result = CliRunner().invoke(app, [name, *arguments, "--project", str(tmp_path)])
    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert "There is no params.yaml in this folder" in result.stderr


def test_check_prints_every_fault(project: Path) -> None:
    text = (
        (project / "params.yaml").read_text().replace("seed: 13", "seed: -1").replace("  threads: 2 ", "  thread: 2 ")
    )
    (project / "params.yaml").write_text(text)
    result = graft(project, "check")
    assert result.exit_code == 2
    for words in ("project.seed", "resources.thread is not a known key", "resources.threads is missing"):
        assert words in result.stdout
    as_json = graft(project, "check", "--json")
    assert as_json.exit_code == 2
    record = json.loads(as_json.stdout)
    assert set(record) == {"faults"} and len(record["faults"]) == 4, "the data are missing too"


def test_check_of_a_sound_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.check.check", lambda root, deep: [])
    result = graft(project, "check")
    assert (result.exit_code, result.stdout) == (0, "No faults.\n")


def test_schema_has_every_section(project: Path) -> None:
    result = graft(project, "schema")
    assert result.exit_code == 0
    sections = json.loads(result.stdout)["properties"]
    assert set(sections) == {
        "project", "data", "source", "resources", "selection", "preparation", "adaptation", "receipt", "deployment",
            "monitoring",
    }  # fmt: skip


def test_folder_without_a_project(tmp_path: Path) -> None:
    result = graft(tmp_path, "status")
    assert result.exit_code == 2
    assert "There is no params.yaml" in result.stderr and "Traceback" not in result.stderr


def test_report_without_a_receipt(project: Path) -> None:
    for arguments in (["report"], ["report", "--json"]):
        result = graft(project, *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "no receipt" in result.stderr


def test_a_report_of_several_runs_says_so(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.receipt.render.collect", lambda root: {"sentence": "It pays."})
    monkeypatch.setattr("tasks.receipt.render.text", lambda record: record["sentence"])
    write_whole_lock(project, without=["deployment_gate"])
    assert graft(project, "report").stdout == "It pays.\n", "a gate that said no has nothing to show"
    assert json.loads(graft(project, "report", "--json").stdout)["unfinished"] == []
    write_whole_lock(project, remade=["adaptation_receipt"])
    assert graft(project, "report").stdout.splitlines() == [
        "The last run did not finish, or is under way, and has not come to deployment, deployment_server: `graft run` "
        "completes it. What is told of these here, if anything, is of an earlier run.",
        "",
        "It pays.",
    ]
    record = json.loads(graft(project, "report", "--json").stdout)
    assert record == {"sentence": "It pays.", "unfinished": ["deployment", "deployment_server"]}


@pytest.mark.parametrize("arguments", [["run"], ["run", "--dry"], ["run", "--promote"]])
def test_refused_run_never_reaches_dvc(project: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    def called(*_: Any, **__: Any) -> None:
        raise AssertionError("DVC was asked")

    for name in ("reproduce", "stale", "_dvc"):
        monkeypatch.setattr(f"tasks.reproduce.{name}", called)
    result = graft(project, *arguments)
    assert result.exit_code == 2
    assert "support_tickets.csv" in result.stderr and "DVC was asked" not in result.stderr


def test_unforeseen_error_is_one_sentence(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("first\nsecond")

    monkeypatch.setattr("tasks.check.check", broken)
    result = graft(project, "check")
    assert result.exit_code == 1
    assert "broke with ValueError: first; run again with --debug" in result.stderr
    assert isinstance(graft(project, "check", "--debug").exception, ValueError)


def test_refused_write_exits_2(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tasks.check.check", full)
    assert graft(project, "check").exit_code == 2


def test_status_keys(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.reproduce.stale", lambda root: {"selection": "changed: x"})
    result = graft(project, "status", "--json")
    assert result.exit_code == 0
    record = json.loads(result.stdout)
    assert set(record) == {"stale", "champion", "challenger"} and len(record["champion"]) == 12
    text = graft(project, "status").stdout
    assert "selection: changed: x" in text and record["champion"] in text
    assert record["challenger"] is None and "Challenger" not in text


def test_history_keys(project: Path, tmp_path: Path) -> None:
    records = json.loads(graft(project, "history", "--json").stdout)
    assert [set(record) for record in records] == [MOVE]
    assert records[0]["to"] in graft(project, "history").stdout
    shutil.copy(project / "params.yaml", tmp_path)
    assert json.loads(graft(tmp_path, "history", "--json").stdout) == []
    assert "Nothing was released" in graft(tmp_path, "history").stdout


def test_a_challenger_is_tried_beside_the_champion_until_a_promotion(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.reproduce.stale", lambda root: {})
    releases = Releases(project / "releases")
    champion, tried = releases.current(), releases.add(tiny_bundle(tmp_path / "tried", project="tried"))
    assert champion
    refused = graft(project, "promote", champion, "--challenger")
    assert refused.exit_code == 2 and "cannot be tried beside itself" in refused.stderr
    result = graft(project, "promote", tried, "--challenger", "--json")
    assert json.loads(result.stdout) == {"challenger": tried, "changed": True}
    assert (releases.current("challenger"), releases.current()) == (tried, champion)
    record = releases.history()[-1]
    assert (record["alias"], record["from"], record["to"]) == ("challenger", None, tried)
    assert f"Challenger: {tried}." in graft(project, "status").stdout
    assert json.loads(graft(project, "status", "--json").stdout)["challenger"] == tried
    assert graft(project, "promote", "--challenger").exit_code == 2, "there is no bundle to be one"
    told = f"The trial of {tried} as challenger has ended."
    assert json.loads(graft(project, "promote", tried, "--json").stdout)["trial"] == told
    assert f"challenger: {tried} -> none" in graft(project, "history").stdout
    assert "trial" not in json.loads(graft(project, "rollback", "--json").stdout)
    graft(project, "promote", tried, "--challenger")
    assert told in graft(project, "promote", tried).stdout


def test_export_writes_the_bundle_of_the_last_run(project: Path, tmp_path: Path) -> None:
    refused = graft(project, "export", str(tmp_path / "exported"))
    assert (refused.exit_code, refused.stderr) == (
        2,
        "There is no bundle in this project yet: run `graft run` first.\n",
    )
    tiny_bundle(project / "data/deployment/bundle")
    (project / "data/adaptation/model").mkdir(parents=True)
    (project / "data/adaptation/model/config.json").write_text('{"model_type": "bert"}')
    write_whole_lock(project, without=["deployment_server", "deployment_gate"])
    refused = graft(project, "export", str(tmp_path / "exported"))
    assert refused.exit_code == 1 and "has not come to deployment_server, deployment_gate" in refused.stderr
    pass_gate(project)
    result = graft(project, "export", str(tmp_path / "exported"), "--json")
    version = read_manifest(project / "data/deployment/bundle").version
    assert json.loads(result.stdout) == {"version": version, "folder": str(tmp_path / "exported")}
    config = json.loads((tmp_path / "exported/config.json").read_text())
    assert config["id2label"] == {"0": "good", "1": "bad"}


def test_promote_and_rollback_refuse_what_is_not_there(project: Path) -> None:
    assert graft(project, "promote").exit_code == 2
    assert graft(project, "promote", "0123456789ab").exit_code == 2
    assert graft(project, "rollback").exit_code == 2


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
