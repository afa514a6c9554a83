"""The `graft` command: exit codes, sentences and the keys of every --json."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from deploy.releases import Releases
from flows.commands import app
from tasks.manifest import read_manifest
from tests.bundles import tiny_bundle
from tests.commanding import graft
from tests.commanding import project as project
from tests.commanding import template as template
from tests.factories import pass_gate, write_whole_lock

COMMANDS = [
    "upgrade", "check", "status", "schema", "run", "report", "predict", "serve", "promote", "rollback", "history",
    "export", "monitor", "feedback", "retrain", "up", "stop", "schedule", "reproduce",
]  # fmt: skip
MOVE = {"when", "action", "alias", "from", "to", "why", "context", "bundle_sha256"}


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
