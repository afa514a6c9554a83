"""The four phases as Prefect tasks: each one call into `reproduce`, with streamed logs, an artifact and a state.

DVC decides what is fresh, so Prefect caches, retries and times out nothing here. Only paths and small
records pass between tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Crashed, Failed, State

from tasks.errors import BY_OUTCOME, GraftError
from tasks.receipt import render
from tasks.reproduce import Record, reproduce

# A refused input and a failed gate must not look like a crash to whoever reads the run's page.
STATE_NAMES = {"refused": "Refused", "gate": "Gate", "interrupted": "Interrupted", "crash": "Crashed"}


def _phase(root: str, phase: str) -> State[Any]:
    logger = get_run_logger()
    try:
        record = reproduce(Path(root), phase, logger.info)
    except GraftError as error:
        return failed(error)
    create_markdown_artifact(key=phase, markdown=markdown(Path(root), phase, record), description=f"Phase {phase}")
    return Completed(message=f"ran {', '.join(record.ran) or 'nothing'}", data={"ran": record.ran})


def failed(error: GraftError) -> State[Any]:
    """State that says what kind of end this was, with the sentences as its message."""
    make: Callable[..., State[Any]] = Crashed if error.outcome == "crash" else Failed
    return make(name=STATE_NAMES[error.outcome], message="\n".join(error.sentences))


def passed_on(state: State[Any]) -> State[Any]:
    """A task's end as the end of its flow: Prefect would fold the task's own state into "1/1 states failed"."""
    return type(state)(type=state.type, name=state.name, message=state.message)


def error_of(state: State[Any]) -> GraftError | None:
    """The error that `failed` put into a state; None for a completed one."""
    if state.is_completed():
        return None
    outcome = next((outcome for outcome, name in STATE_NAMES.items() if name == state.name), "crash")
    return BY_OUTCOME[outcome]((state.message or "The run ended without a message.").split("\n"))


def markdown(root: Path, phase: str, record: Record) -> str:
    """What a phase did, for Prefect's page."""
    ran = [f"- {name}: ran, {record.seconds.get(name, 0):.0f} s" for name in record.ran]
    fresh = [f"- {name}: up to date" for name in record.fresh]
    return "\n".join([f"# {phase.capitalize()}", "", *ran, *fresh, "", render.phase_markdown(root, phase)])


@task(name="selection", cache_policy=NO_CACHE, persist_result=False)
def selection(root: str) -> State[Any]:
    """Which pre-trained model, depth, pool and scope, and why."""
    return _phase(root, "selection")


@task(name="preparation", cache_policy=NO_CACHE, persist_result=False)
def preparation(root: str) -> State[Any]:
    """Validated, encoded rows; baselines."""
    return _phase(root, "preparation")


@task(name="adaptation", cache_policy=NO_CACHE, persist_result=False)
def adaptation(root: str) -> State[Any]:
    """The adapted model, its control, the receipt."""
    return _phase(root, "adaptation")


@task(name="deployment", cache_policy=NO_CACHE, persist_result=False)
def deployment(root: str) -> State[Any]:
    """The artefact chain, the bundle, the gate."""
    return _phase(root, "deployment")
