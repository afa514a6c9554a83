"""The monitor: one look, an artifact, and over the limit one event, which must be out before the look counts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from typer.testing import CliRunner

from flows import monitor
from flows.commands import app
from tests.factories import REPO
from tests.house import House

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def house(tmp_path: Path) -> House:
    shutil.copy(REPO / "params.yaml", tmp_path)
    return House(tmp_path)


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(monitor, "emit_event", lambda name, **what: sent.append({"event": name} | what))
    return sent


def test_drift_is_a_state_an_event_and_an_artifact(house: House, events: list[dict[str, Any]]) -> None:
    house.answer(10)
    house.answer(20, good=1.0)
    state = monitor.monitor(str(house.folder), return_state=True)
    assert (state.name, state.type.value) == ("Drift", "COMPLETED")
    assert state.message.startswith("Drift: 2 of 3 windows")
    (event,) = events
    assert event["event"] == "graft.drift" and event["payload"]["alarms"] == 2
    assert event["resource"]["prefect.resource.id"] == "graft.project.support-tickets"
    ran = {"flow_runs": {"id": {"any_": [str(state.state_details.flow_run_id)]}}}
    with get_client(sync_client=True) as client:
        answer = client.request("POST", "/artifacts/filter", json=ran)
    (artifact,) = answer.json()
    assert artifact["key"] == "drift-support-tickets" and "| limit |" in artifact["data"]
    assert monitor.monitor(str(house.folder), return_state=True).name == "Completed"
    assert len(events) == 1


def test_without_drift_there_is_no_event(house: House, events: list[dict[str, Any]]) -> None:
    house.answer(20)
    state = monitor.monitor(str(house.folder), return_state=True)
    assert (state.name, events) == ("Completed", [])


def test_an_alarm_that_could_not_be_sent_is_raised_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.answer(10, good=1.0)

    def broken(*_: object, **__: object) -> None:
        raise ConnectionError("no server")

    monkeypatch.setattr(monitor, "emit_event", broken)
    with pytest.raises(ConnectionError):
        monitor.look(house.folder, alarm=True)
    assert len(monitor.look(house.folder, alarm=False).alarms) == 1


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


def test_without_the_server_that_takes_alarms_nothing_is_judged(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.scheduling.server_of", lambda root: "http://127.0.0.1:9/api")
    house.answer(10, good=1.0)
    refused = CliRunner().invoke(app, ["monitor", "--project", str(house.folder)])
    assert refused.exit_code == 2 and "does not answer, and takes no alarm" in refused.stderr
    assert len(house.look().alarms) == 1


def test_a_log_that_is_off_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFT_LOG_FOLDER", "")
    state = monitor.monitor(str(house.folder), return_state=True)
    assert state.name == "Refused" and "GRAFT_LOG_FOLDER" in state.message
