"""The monitor flow: measure drift; over the limit, raise the alarm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.events import Event, Resource
from prefect.states import Completed, State

from deploy import watch
from deploy.releases import releases_of
from flows.scheduling import client_of, server_of
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
        found = look(root, server_of(root))
    except GraftError as error:
        return phases.failed(error)
    name = load(root / "params.yaml").project.name
    create_markdown_artifact(key=f"drift-{name}", markdown=watch.markdown(found), description=watch.sentence(found))
    return Completed(name="Drift" if found.alarms else None, message=watch.sentence(found))


def look(root: Path, url: str | None) -> watch.Look:
    """One look at the prediction log; what it judged counts once the alarm is out.

    Args:
        root: the project's folder.
        url: of the Prefect server that takes the alarm, None if there is none.

    Raises:
        InputError: what `watch.Watch` refuses, or the server did not take the alarm; the next look judges again.
    """
    releases, state = releases_of(root), root / STATE / "monitor"
    with one_writer(state / "lock"):
        watching = watch.Watch(releases, watch.log_of(releases), state / "seen.json")
        found = watching.look()
        if url and found.alarms:
            _raise_alarm(url, load(root / "params.yaml").project.name, found)
        watching.remember()
    return found


def _raise_alarm(url: str, project: str, found: watch.Look) -> None:
    """Sent here and now: Prefect's own way only queues an event, and says nothing when nobody takes it."""
    last = found.alarms[-1]
    event = Event(
        event=EVENT,
        resource=Resource({"prefect.resource.id": f"graft.project.{project}", "prefect.resource.name": project}),
        payload={
            "version": found.version,
            "windows": len(found.windows),
            "alarms": len(found.alarms),
            "measures": last.alarms,
            "distances": last.distances,
            "limits": found.limits,
        },
    )
    with client_of(url) as client:
        client.request("POST", "/events", json=[event.model_dump(mode="json")]).raise_for_status()
