"""`graft run --dry`: what would run, why, for how long, and that nothing ran."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from flows.commands import app
from flows.commands.run import _run_text
from flows.embedded import sessions_apart
from tasks.artifacts import write_json
from tests.factories import REPO

WAITING = {"selection": "changed: data/raw/rows.csv", "preparation": "follows selection"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound project in which selection took 90 s when it last ran, and preparation never did."""

    def called(*_: Any) -> None:
        raise AssertionError("a phase was asked to run")

    shutil.copy(REPO / "params.yaml", tmp_path)
    write_json(tmp_path / "data/selection/run.json", {"selection": {"seconds": 90.4}})
    monkeypatch.setattr("tasks.check.check", lambda root, deep: [])
    monkeypatch.setattr("tasks.reproduce.stale", lambda root: WAITING)
    monkeypatch.setattr("tasks.reproduce.reproduce", called)
    monkeypatch.setattr("tasks.reproduce._dvc", called)
    monkeypatch.setattr("flows.commands.run._transfer", called)
    monkeypatch.setattr("tasks.estimate.seconds", lambda root, params: {"selection": 1.0, "preparation": 30.0})
    monkeypatch.setattr("tasks.estimate.disk_gb", lambda root, params: 1.25)
    return tmp_path


def dry(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["run", "--dry", *arguments, "--project", str(root)])


def test_keys_and_values_of_a_dry_run(project: Path) -> None:
    result = dry(project, "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert set(record) == {"would_run", "seconds", "guessed", "disk_gb", "free_disk_gb"}
    assert record["would_run"] == WAITING
    assert record["seconds"] == {"selection": 90.4, "preparation": 30.0}, "what ran here is not guessed"
    assert (record["guessed"], record["disk_gb"]) == (["preparation"], 1.25)
    assert record["free_disk_gb"] > 0


def test_text_of_a_dry_run(project: Path) -> None:
    result = dry(project)
    assert result.exit_code == 0, result.output
    *stages, whole = result.stdout.splitlines()
    assert stages == [
        "selection: changed: data/raw/rows.csv; about 90 s",
        "preparation: follows selection; roughly 30 s",
    ]
    for words in ("About 2 min", "guessed", "1.25 GB of disk"):
        assert words in whole


def test_nothing_is_guessed_where_all_stages_ran_before(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def called(*_: Any) -> None:
        raise AssertionError("a guess was asked for")

    monkeypatch.setattr("tasks.estimate.seconds", called)
    write_json(project / "data/preparation/run.json", {"preparation": {"seconds": 2.0}})
    assert json.loads(dry(project, "--json").stdout)["guessed"] == []
    assert "as the last runs here took" in dry(project).stdout


def test_dry_run_of_what_is_up_to_date(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.reproduce.stale", lambda root: {})
    assert dry(project).stdout == "Nothing would run: everything is up to date.\n"
    record = json.loads(dry(project, "--json").stdout)
    assert (record["would_run"], record["seconds"], record["guessed"], record["disk_gb"]) == ({}, {}, [], 0.0)


def test_what_is_started_meanwhile_has_a_session_of_its_own_and_nothing_later() -> None:
    script = "import os; print(os.getsid(0) == os.getpid())"

    def apart() -> str:
        return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()

    with sessions_apart():
        assert apart() == "True"
    assert apart() == "False"


def test_prefect_server_that_does_not_answer_is_named_without_its_password() -> None:
    url = "http://me:secret@127.0.0.1:9/api"
    script = "from flows import embedded; embedded.start()"
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | {"PREFECT_API_URL": url}, cwd=REPO, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    said = done.stderr.splitlines()[-1]
    assert said.startswith("tasks.errors.InputError: No Prefect server answers at http://127.0.0.1:9/api"), said
    assert "PREFECT_API_URL" in said and "secret" not in done.stderr


@pytest.mark.parametrize(("champion", "advised"), [("b" * 12, False), ("a" * 12, True), (None, True)])
def test_promotion_is_advised_while_another_release_is_live(champion: str | None, advised: bool) -> None:
    text = _run_text({"ran": [], "sentence": "Figures.", "bundle": "b" * 12, "champion": champion})
    assert f"Champion: {champion or 'none'}." in text
    assert ("`graft promote`" in text) is advised
