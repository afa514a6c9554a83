"""The transfer flow on a temporary Prefect server: order of the phases, states, streamed logs, artifacts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_HOME, PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
from prefect.states import State, StateType
from prefect.testing.utilities import prefect_test_harness

from flows.transfer import transfer
from tasks import phases
from tasks.errors import CrashError, GraftError, InputError
from tasks.reproduce import PHASES, Record

Reproduce = Callable[[Path, str, Callable[[str], None]], Record]


@pytest.fixture(scope="module", autouse=True)
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A server and a home of its own, which report to nobody."""
    home = tmp_path_factory.mktemp("prefect")
    quiet = {PREFECT_HOME: home, PREFECT_SERVER_ANALYTICS_ENABLED: False}
    with pytest.MonkeyPatch.context() as patch, temporary_settings(updates=quiet):
        patch.setenv("DO_NOT_TRACK", "1")
        with prefect_test_harness(server_startup_timeout=120):
            yield


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Phases that were reproduced, in order; each ran one stage and says one line."""
    names: list[str] = []

    def reproduce(root: Path, phase: str, log: Callable[[str], None]) -> Record:
        names.append(phase)
        log(f"{phase} of {root.name} says a line")
        return Record([phase], [f"{phase}_fresh"], {phase: 4.2})

    monkeypatch.setattr(phases, "reproduce", reproduce)
    monkeypatch.setattr("tasks.receipt.render.phase_markdown", lambda root, phase: f"{phase} left this.")
    return names


def refuses(phase: str, error: GraftError, before: Reproduce) -> Reproduce:
    def reproduce(root: Path, name: str, log: Callable[[str], None]) -> Record:
        record = before(root, name, log)
        if name == phase:
            raise error
        return record

    return reproduce


def run(root: Path) -> State[object]:
    state: State[object] = transfer(str(root), return_state=True)
    return state


def artifacts(key: str) -> list[dict[str, Any]]:
    with get_client(sync_client=True) as client:
        answer = client.request("POST", "/artifacts/filter", json={"artifacts": {"key": {"any_": [key]}}})
    found: list[dict[str, Any]] = answer.json()
    return found


def test_four_phases_run_in_order_with_their_lines_and_an_artifact_each(
    called: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = run(tmp_path)
    assert (state.type, state.message) == (StateType.COMPLETED, "All four phases are up to date.")
    assert phases.error_of(state) is None
    assert called == list(PHASES)
    lines = [record for record in caplog.records if "says a line" in record.getMessage()]
    assert [record.name for record in lines] == ["prefect.task_runs"] * len(PHASES)
    said = [(vars(line)["task_name"], line.getMessage()) for line in lines]
    assert said == [(phase, f"{phase} of {tmp_path.name} says a line") for phase in PHASES]
    for phase in PHASES:
        (artifact,) = artifacts(phase)
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
    called: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: GraftError, name: str, kind: StateType
) -> None:
    monkeypatch.setattr(phases, "reproduce", refuses("preparation", error, phases.reproduce))
    state = run(tmp_path)
    assert (state.type, state.name, state.message) == (kind, name, "\n".join(error.sentences))
    assert called == ["selection", "preparation"]
    found = phases.error_of(state)
    assert type(found) is type(error) and found.sentences == error.sentences
