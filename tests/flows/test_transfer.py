"""The transfer flow on a temporary Prefect server: order of the phases, states, streamed logs, artifacts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.states import State, StateType
from typer.testing import CliRunner

from flows.commands import app
from flows.transfer import transfer
from tasks import phases
from tasks.errors import CrashError, GateError, GraftError, InputError, InterruptError
from tasks.reproduce import PHASES, Record
from tests.factories import REPO

pytestmark = pytest.mark.usefixtures("server")


@dataclass
class Phases:
    """Stands in for DVC: each phase runs one stage and says one line, unless it has an error."""

    called: list[str] = field(default_factory=list)
    errors: dict[str, GraftError] = field(default_factory=dict)

    def reproduce(self, root: Path, phase: str, log: Callable[[str], None]) -> Record:
        self.called.append(phase)
        log(f"{phase} of {root.name} says a line")
        if phase in self.errors:
            raise self.errors[phase]
        return Record([phase], [f"{phase}_fresh"], {phase: 4.2})


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> Phases:
    made = Phases()
    monkeypatch.setattr(phases, "reproduce", made.reproduce)
    monkeypatch.setattr("tasks.receipt.render.phase_markdown", lambda root, phase: f"{phase} left this.")
    return made


def run(root: Path) -> State[object]:
    state: State[object] = transfer(str(root), return_state=True)
    return state


def artifacts(state: State[object]) -> dict[str, dict[str, Any]]:
    """Key -> artifact of one run of the flow."""
    run_id = str(state.state_details.flow_run_id)
    with get_client(sync_client=True) as client:
        answer = client.request("POST", "/artifacts/filter", json={"flow_runs": {"id": {"any_": [run_id]}}})
    return {artifact["key"]: artifact for artifact in answer.json()}


def test_four_phases_run_in_order_with_their_lines_and_an_artifact_each(
    faked: Phases, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = run(tmp_path)
    assert (state.type, state.message) == (StateType.COMPLETED, "All four phases are up to date.")
    assert phases.error_of(state) is None
    assert faked.called == list(PHASES)
    lines = [record for record in caplog.records if "says a line" in record.getMessage()]
    assert [record.name for record in lines] == ["prefect.task_runs"] * len(PHASES)
    said = [(vars(line)["task_name"], line.getMessage()) for line in lines]
    assert said == [(phase, f"{phase} of {tmp_path.name} says a line") for phase in PHASES]
    made = artifacts(state)
    assert set(made) == set(PHASES)
    for phase, artifact in made.items():
        assert artifact["type"] == "markdown"
        for words in (f"# {phase.capitalize()}", f"{phase}: ran, 4 s", f"{phase}_fresh: up to date", "left this."):
            assert words in artifact["data"], words


@pytest.mark.parametrize(
    ("error", "name", "kind"),
    [
        (InputError(["The rows are odd: mend them.", "No model."]), "Refused", StateType.FAILED),
        (CrashError("Stage preparation broke."), "Crashed", StateType.CRASHED),
    ],
)
def test_a_phase_that_fails_ends_the_flow_with_its_own_state(
    faked: Phases, tmp_path: Path, error: GraftError, name: str, kind: StateType
) -> None:
    faked.errors["preparation"] = error
    state = run(tmp_path)
    assert (state.type, state.name, state.message) == (kind, name, "\n".join(error.sentences))
    assert faked.called == ["selection", "preparation"]
    found = phases.error_of(state)
    assert type(found) is type(error) and found.sentences == error.sentences


@pytest.mark.parametrize("error", [InputError, GateError, InterruptError, CrashError])
def test_graft_run_ends_with_the_sentences_and_the_exit_code_of_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[GraftError]
) -> None:
    told = error(["The rows are odd: mend them.", "No model."])
    shutil.copy(REPO / "params.yaml", tmp_path)
    monkeypatch.setattr("tasks.check.check", lambda root, deep: [])
    monkeypatch.setattr("tasks.reproduce.stale", lambda root: {"selection": "changed"})
    monkeypatch.setattr("flows.transfer.transfer", lambda root, return_state: phases.failed(told))
    result = CliRunner().invoke(app, ["run", "--project", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (error.exit_code, "")
    assert result.stderr.splitlines()[-2:] == told.sentences


def test_server_that_cannot_record_the_run_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        request = httpx.Request("POST", "http://127.0.0.1:9/api/flow_runs/")
        raise PrefectHTTPStatusError("disk I/O error", request=request, response=httpx.Response(500, request=request))

    shutil.copy(REPO / "params.yaml", tmp_path)
    monkeypatch.setattr("tasks.check.check", lambda root, deep: [])
    monkeypatch.setattr("tasks.reproduce.stale", lambda root: {"selection": "changed"})
    monkeypatch.setattr("flows.transfer.transfer", refused)
    result = CliRunner().invoke(app, ["run", "--project", str(tmp_path)])
    assert result.exit_code == 2
    assert "HTTP 500" in result.stderr.splitlines()[-1] and "PREFECT_HOME" in result.stderr
