"""The monitor: one look, an artifact, and over the limit one event, which must be out before the look counts."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL
from typer.testing import CliRunner

from flows import monitor
from flows.commands import app
from tasks.errors import BusyError, InputError
from tasks.stage import one_writer
from tests.factories import REPO
from tests.house import House

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def house(tmp_path: Path) -> House:
    shutil.copy(REPO / "params.yaml", tmp_path)
    return House(tmp_path)


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> str:
    """Of the Prefect server that takes alarms."""
    found = str(PREFECT_API_URL.value())
    monkeypatch.setattr(monitor, "server_of", lambda root: found)
    return found


def events(project: str) -> list[dict[str, Any]]:
    """What the server has of a project's drift."""
    wanted = {"filter": {"event": {"name": ["graft.drift"]}, "resource": {"id": [f"graft.project.{project}"]}}}
    with get_client(sync_client=True) as client:
        return list(client.request("POST", "/events/filter", json=wanted).json()["events"])


def named(house: House, project: str) -> House:
    params = house.folder / "params.yaml"
    params.write_text(params.read_text().replace("name: support-tickets", f"name: {project}"))
    return house


def test_drift_is_a_state_an_event_and_an_artifact(house: House, url: str) -> None:
    named(house, "loud").answer(10)
    house.answer(20, good=1.0)
    state = monitor.monitor(str(house.folder), return_state=True)
    assert (state.name, state.type.value) == ("Drift", "COMPLETED")
    assert state.message.startswith("Drift: 2 of 3 windows")
    deadline = time.monotonic() + 20
    while not (found := events("loud")) and time.monotonic() < deadline:
        time.sleep(0.2)
    (event,) = found
    assert event["payload"]["alarms"] == 2 and event["payload"]["measures"] == ["features", "predictions"]
    ran = {"flow_runs": {"id": {"any_": [str(state.state_details.flow_run_id)]}}}
    with get_client(sync_client=True) as client:
        (artifact,) = client.request("POST", "/artifacts/filter", json=ran).json()
    assert artifact["key"] == "drift-loud" and "| limit |" in artifact["data"]
    assert monitor.monitor(str(house.folder), return_state=True).name == "Completed"
    assert len(events("loud")) == 1


def test_without_drift_there_is_no_event(house: House, url: str) -> None:
    named(house, "quiet").answer(20)
    state = monitor.monitor(str(house.folder), return_state=True)
    assert (state.name, events("quiet")) == ("Completed", [])


def test_an_alarm_that_nobody_took_is_raised_again(house: House) -> None:
    house.answer(10, good=1.0)
    with pytest.raises(InputError, match="does not answer"):
        monitor.look(house.folder, "http://127.0.0.1:9/api")
    assert len(monitor.look(house.folder, None).alarms) == 1
    assert monitor.look(house.folder, None).windows == []


def test_an_alarm_that_the_server_refused_is_raised_again(
    house: House, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.answer(10, good=1.0)
    with monkeypatch.context() as patch, pytest.raises(InputError, match="refused"):
        patch.setattr(monitor.Event, "model_dump", lambda *_, **__: {"no": "event"})
        monitor.look(house.folder, url)
    assert len(monitor.look(house.folder, None).alarms) == 1


def test_two_looks_at_once_judge_nothing_twice(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.stage.WAIT_SECONDS", 0.1)
    house.answer(10)
    with one_writer(house.folder / ".graft/monitor/lock"), pytest.raises(BusyError):
        monitor.look(house.folder, None)
    assert len(monitor.look(house.folder, None).windows) == 1


def test_a_project_without_a_champion_is_refused_in_words(tmp_path: Path) -> None:
    state = monitor.monitor(str(tmp_path), return_state=True)
    assert state.name == "Refused" and "no champion to watch" in state.message


def test_the_command_says_what_it_saw_and_ends_with_1_for_drift(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.scheduling.server_of", lambda root: None)
    house.answer(10)
    quiet = CliRunner().invoke(app, ["monitor", "--project", str(house.folder), "--json"])
    record = json.loads(quiet.stdout)
    assert quiet.exit_code == 0 and set(record) == {
        "version",
        "windows",
        "waiting",
        "passed_over",
        "window_rows",
        "limits",
    }
    assert set(record["windows"][0]) == {"since", "until", "rows", "distances", "alarms"}
    house.answer(10, good=1.0)
    loud = CliRunner().invoke(app, ["monitor", "--project", str(house.folder)])
    assert loud.exit_code == 1 and loud.stdout.startswith("Drift: 1 of 1 windows")
    assert "No event was sent" in loud.stdout


def test_a_log_that_is_off_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFT_LOG_FOLDER", "")
    state = monitor.monitor(str(house.folder), return_state=True)
    assert state.name == "Refused" and "GRAFT_LOG_FOLDER" in state.message
