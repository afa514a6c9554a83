"""The transfer flow on a schedule, with stand-ins for worktree and phases: what is committed, tagged and pushed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prefect.states import State

from flows import scheduled as flow
from tasks import phases
from tasks.errors import BusyError, CrashError, GateError, GraftError, InputError

pytestmark = pytest.mark.usefixtures("server")


@dataclass
class Checkout:
    """Stands in for the worktree and the phases: remembers in which order what was done."""

    home: Path
    root: Path
    done: list[str] = field(default_factory=list)
    name: str | None = None
    changed: bool = True
    failure: State[Any] | None = None

    @contextmanager
    def scheduled(self, home: Path, log: Callable[[str], None]) -> Iterator[Checkout]:
        assert home == self.home
        log("held")
        yield self
        self.done.append("left")

    def run_phases(self, root: Path) -> State[Any] | None:
        assert root == self.root
        self.done.append("ran")
        return self.failure

    def commit(self, paths: Sequence[str], message: str) -> str | None:
        assert (paths, message) == ([], "Scheduled run of the four phases")
        if not self.changed:
            return None
        self.done.append("committed")
        self.name = "graft/run-0007"
        return "c0ffee"

    def tag(self) -> str | None:
        self.done += ["tagged"] if self.name else []
        return self.name

    def push(self) -> str:
        self.done.append("pushed")
        return "Pushed."

    def run(self) -> State[Any]:
        state: State[Any] = flow.transfer_on_branch(str(self.home), return_state=True)
        return state


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    made = Checkout(tmp_path, tmp_path / ".graft/worktree")
    monkeypatch.setattr(flow, "scheduled", made.scheduled)
    monkeypatch.setattr(flow, "run_phases", made.run_phases)
    return made


def test_what_the_phases_made_is_committed_tagged_and_pushed(checkout: Checkout) -> None:
    state = checkout.run()
    assert (state.name, state.message) == ("Completed", "Committed as graft/run-0007. Pushed.")
    assert checkout.done == ["ran", "committed", "tagged", "pushed", "left"], "all of it before the next run's turn"


def test_where_nothing_ever_ran_and_nothing_changed_nothing_is_pushed(checkout: Checkout) -> None:
    checkout.changed = False
    state = checkout.run()
    assert (state.name, state.type.value) == ("NothingNew", "COMPLETED")
    assert state.message == "All four phases were up to date: nothing was committed."
    assert checkout.done == ["ran", "left"]


def test_with_nothing_new_the_commit_of_the_last_run_is_tagged_and_its_data_pushed(checkout: Checkout) -> None:
    checkout.changed, checkout.name = False, "graft/run-0006"
    state = checkout.run()
    assert state.name == "NothingNew" and state.message.endswith("nothing was committed. Pushed.")
    assert checkout.done == ["ran", "tagged", "pushed", "left"]


@pytest.mark.parametrize("error", [InputError, GateError, CrashError])
def test_a_phase_that_fails_commits_nothing_and_its_state_is_the_flows(
    checkout: Checkout, error: type[GraftError]
) -> None:
    checkout.failure = phases.passed_on(phases.failed(error(["The rows are odd.", "Mend them."])))
    state = checkout.run()
    assert (state.type, state.name, state.message) == (
        checkout.failure.type, phases.STATE_NAMES[error.outcome], "The rows are odd.\nMend them.",
    )  # fmt: skip
    assert checkout.done == ["ran", "left"]


@pytest.mark.parametrize("error", [BusyError("Another scheduled run works here."), InputError("Nothing is committed.")])
def test_a_worktree_that_cannot_be_had_is_refused_in_words(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch, error: GraftError
) -> None:
    @contextmanager
    def refused(home: Path, log: Callable[[str], None]) -> Iterator[Checkout]:
        raise error
        yield checkout

    monkeypatch.setattr(flow, "scheduled", refused)
    state = checkout.run()
    assert (state.name, state.message, checkout.done) == ("Refused", str(error), [])
