"""Errors as states of Prefect and back: nothing of what a user is told may be lost on the way."""

from __future__ import annotations

import pytest
from prefect.states import Completed, Failed, State, StateType

from tasks.errors import CrashError, GateError, GraftError, InputError, InterruptError
from tasks.phases import error_of, failed, passed_on

SENTENCES = ["The rows are odd: mend them.", "The label is missing in 3 rows."]
CASES = [
    (InputError, "Refused", StateType.FAILED),
    (GateError, "Gate", StateType.FAILED),
    (InterruptError, "Interrupted", StateType.FAILED),
    (CrashError, "Crashed", StateType.CRASHED),
]


@pytest.mark.parametrize(("error", "name", "kind"), CASES)
def test_an_error_comes_back_from_its_state(error: type[GraftError], name: str, kind: StateType) -> None:
    first: State[object] = failed(error(SENTENCES))
    for state in (first, passed_on(first)):
        assert (state.type, state.name, state.message) == (kind, name, "\n".join(SENTENCES))
        found = error_of(state)
        assert type(found) is error and found.sentences == SENTENCES
        assert (found.exit_code, found.outcome) == (error.exit_code, error.outcome)


def test_a_completed_state_is_no_error() -> None:
    assert error_of(Completed(message="All four phases are up to date.")) is None


@pytest.mark.parametrize("message", ["Flow run encountered an exception: ValueError", None])
def test_a_state_that_prefect_made_is_a_crash(message: str | None) -> None:
    found = error_of(Failed(message=message))
    assert type(found) is CrashError
    assert found.sentences == [message or "The run ended without a message."]
