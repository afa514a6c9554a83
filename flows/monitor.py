"""The monitor flow: measure drift; over the limit, raise the alarm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event
from prefect.states import Completed, State

from deploy import watch
from tasks import phases
from tasks.errors import GraftError
from tasks.params import load
from tasks.stage import STATE, one_writer

EVENT = "graft.drift"


@flow(name="monitor", persist_result=False, validate_parameters=False)
def monitor(project: str = ".") -> State[Any]:
    """Judge the answers that came since the last look; an alarm is an event and a state of its own.

    Args:
        project: the project's folder.
    """
    root = Path(project).resolve()
    try:
        found = look(root, alarm=True)
    except GraftError as error:
        return phases.failed(error)
    name = load(root / "params.yaml").project.name
    create_markdown_artifact(key=f"drift-{name}", markdown=watch.markdown(found), description=watch.sentence(found))
    return Completed(name="Drift" if found.alarms else None, message=watch.sentence(found))


def look(root: Path, alarm: bool) -> watch.Look:
    """One look at the prediction log; what it judged counts once the alarm is out.

    Args:
        root: the project's folder.
        alarm: whether to send the event to a Prefect server.
    """
    releases, state = root / "releases", root / STATE / "monitor"
    with one_writer(state / "lock"):
        watching = watch.Watch(releases, watch.log_of(releases), state / "seen.json")
        found = watching.look()
        if alarm and found.alarms:
            _raise_alarm(load(root / "params.yaml").project.name, found)
        watching.remember()
    return found


def _raise_alarm(project: str, found: watch.Look) -> None:
    last = found.alarms[-1]
    emit_event(
        EVENT,
        resource={"prefect.resource.id": f"graft.project.{project}", "prefect.resource.name": project},
        payload={
            "version": found.version,
            "windows": len(found.windows),
            "alarms": len(found.alarms),
            "measures": last.alarms,
            "distances": last.distances,
            "limits": found.limits,
        },
    )
