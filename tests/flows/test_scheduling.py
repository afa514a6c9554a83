"""Where a project is scheduled, and what a promotion records of it where that is nowhere or nobody answers."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from typer.testing import CliRunner

from deploy.releases import Releases
from flows import background, scheduling
from flows.commands import app
from tasks.artifacts import write_json
from tasks.errors import GateError, InputError
from tests.factories import REPO, write_whole_lock
from tests.serving import released


@pytest.fixture(autouse=True)
def unconfigured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect home"))


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/api"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """With a release that is the champion already."""
    root = tmp_path / "project"
    root.mkdir()
    shutil.copy(REPO / "params.yaml", root)
    released(root)
    return root


def test_the_environment_comes_before_the_profile_and_that_before_the_projects_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scheduling.server_of(tmp_path) is None
    monkeypatch.setattr(background, "alive", lambda folder, name: {"url": "http://own/api"})
    assert scheduling.server_of(tmp_path) == "http://own/api"
    profiles = tmp_path / "prefect home/profiles.toml"
    profiles.parent.mkdir()
    profiles.write_text('active = "a"\n[profiles.a]\nPREFECT_API_URL = "http://a/api"\n[profiles.b]\nX = "1"\n')
    assert scheduling.server_of(tmp_path) == "http://a/api"
    monkeypatch.setenv("PREFECT_PROFILE", "b")
    assert scheduling.configured() is None, "that profile names none"
    monkeypatch.setenv("PREFECT_API_URL", "http://e/api")
    assert scheduling.server_of(tmp_path) == "http://e/api"
    monkeypatch.delenv("PREFECT_API_URL")
    profiles.write_text("active = ")
    assert scheduling.configured() is None


def test_a_server_that_died_schedules_nothing(tmp_path: Path) -> None:
    write_json(scheduling.state_of(tmp_path) / "server.json", {"pid": 1, "began": 0, "url": "http://own/api"})
    assert scheduling.server_of(tmp_path) is None


def test_without_a_server_the_sentence_says_what_to_do(project: Path) -> None:
    sentence = scheduling.schedule_sentence(project)
    assert "not scheduled, because no Prefect server is configured" in sentence
    assert "PREFECT_API_URL" in sentence and "`graft up`" in sentence
    with pytest.raises(InputError, match="no Prefect server is configured"):
        scheduling.apply(project)


def test_a_silent_server_holds_a_release_up_for_three_seconds(
    project: Path, monkeypatch: pytest.MonkeyPatch, silent: str
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", silent)
    started = time.monotonic()
    sentence = scheduling.schedule_sentence(project)
    assert time.monotonic() - started < 4
    assert "not scheduled" in sentence and f"{silent} does not answer" in sentence


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/api", "no address", "http://no-such-host.invalid/api"])
def test_no_server_at_all_is_a_sentence_too(project: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PREFECT_API_URL", url)
    assert f"{url} does not answer" in scheduling.schedule_sentence(project)


def test_what_breaks_while_scheduling_does_not_stop_a_release(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(root: Path) -> list[str]:
        raise KeyError("first\nsecond")

    monkeypatch.setenv("PREFECT_API_URL", "http://e/api")
    monkeypatch.setattr(scheduling, "apply", broken)
    assert "not scheduled: KeyError" in scheduling.schedule_sentence(project)


def test_a_promotion_records_where_it_is_watched(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://e/api")
    monkeypatch.setattr(scheduling, "apply", lambda root: ["monitor/support-tickets"])
    (version,) = Releases(project / "releases").versions()
    (project / "releases/aliases/champion").unlink()
    result = CliRunner().invoke(app, ["promote", version, "--project", str(project)])
    assert result.exit_code == 0, result.output
    sentence = "Monitoring is scheduled on http://e/api: monitor/support-tickets."
    assert result.stdout.splitlines()[1:] == [sentence]
    assert Releases(project / "releases").history()[-1]["context"]["monitoring"] == sentence
    again = CliRunner().invoke(app, ["promote", version, "--json", "--project", str(project)])
    assert json.loads(again.stdout) == {"champion": version, "changed": False, "monitoring": sentence}


def test_what_is_not_promoted_is_not_watched(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def called(root: Path) -> str:
        raise AssertionError("asked to schedule")

    monkeypatch.setattr(scheduling, "schedule_sentence", called)
    result = CliRunner().invoke(app, ["promote", "0123456789ab", "--project", str(project)])
    assert result.exit_code == 2 and "asked to schedule" not in result.output
    from flows.promotion import add_and_promote

    bundle = project / "data/deployment/bundle"
    shutil.copytree(Releases(project / "releases").path_of(), bundle)
    write_whole_lock(project, without=["deployment_gate"])
    monkeypatch.setattr("tasks.receipt.gate.passed", lambda root, params: False)
    with pytest.raises(GateError):
        add_and_promote(project, "why")


def test_prefect_is_not_imported_where_no_server_is_configured(project: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from flows.scheduling import schedule_sentence; "
        f"schedule_sentence(Path({str(project)!r})); print('prefect' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["False"], done.stderr


class Runs:
    """Stands for the client: runs that are open in the project's queue."""

    def __init__(self, *runs: tuple[str, str, dict[str, str]]) -> None:
        self.ended: list[str] = []
        names = sorted({flow for _, flow, _ in runs})
        self.flows = [SimpleNamespace(id=number, name=name) for number, name in enumerate(names)]
        self.runs = [
            SimpleNamespace(id=run, name=run, flow_id=names.index(flow), labels=labels) for run, flow, labels in runs
        ]

    def read_flow_runs(self, **_: Any) -> list[SimpleNamespace]:
        return self.runs

    def read_flows(self, **_: Any) -> list[SimpleNamespace]:
        return self.flows

    def set_flow_run_state(self, run: str, state: Any, force: bool) -> None:
        assert state.is_crashed() and force
        self.ended.append(run)


def test_runs_of_another_machines_worker_are_left_alone() -> None:
    ours, theirs = ({"prefect.worker.name": f"parcels@{machine}"} for machine in ("here", "there"))
    client = Runs(("own", "retrain", ours), ("other", "retrain", theirs), ("not yet taken", "monitor", {}))
    said = scheduling.mark_crashed(cast(Any, client), "parcels", "parcels@here")
    assert client.ended == ["own", "not yet taken"]
    assert [sentence.split()[1] for sentence in said] == ["own", "not"]


def test_what_completes_a_run_that_was_cut_off_is_told() -> None:
    client = Runs(*[(flow, flow, {}) for flow in ("retrain", "monitor", "transfer-scheduled", "mine")])
    said = scheduling.mark_crashed(cast(Any, client), "parcels", "parcels@here")
    assert [sentence.partition(": ")[2] for sentence in said] == [
        "`graft retrain` completes it.",
        "`graft monitor` completes it.",
        "its next scheduled run completes it.",  # `graft run` would work in the checkout and commit nothing
        "its next scheduled run completes it.",
    ]


class Busy(BaseHTTPRequestHandler):
    """Stands for a server whose database is locked for a moment."""

    asked = 0

    def do_GET(self) -> None:
        Busy.asked += not self.path.endswith("/health")
        self.send_response(503 if Busy.asked == 1 else 200)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_a_request_that_a_busy_database_refused_is_made_again() -> None:
    with HTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with scheduling.client_of(f"http://127.0.0.1:{server.server_port}/api") as client:
            assert client.hello().status_code == 200 and Busy.asked == 2
        server.shutdown()
