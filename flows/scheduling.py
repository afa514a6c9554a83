"""Where a project's work is scheduled, what is scheduled there, and the sentence that a promotion records about it."""

from __future__ import annotations

import os
import threading
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import background, deployments
from tasks.errors import GraftError, InputError
from tasks.params import load
from tasks.stage import STATE

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, StateType

WAIT_SECONDS = 3.0
CLIENT_SECONDS = 10.0
PLAN_SECONDS = 15.0
MOST = 200  # rows of one answer, which is what a server allows
NO_SERVER = "no Prefect server is configured: set PREFECT_API_URL or run `graft up`"
CUT_OFF = "The worker that ran this is gone, and the run with it."
# What completes the work of a flow that was cut off.
AGAIN = {"retrain": "graft retrain", "monitor": "graft monitor", "transfer-scheduled": "graft run"}


def state_of(root: Path) -> Path:
    """Where the project keeps its own server and worker."""
    return root / STATE / "prefect"


def configured() -> str | None:
    """The API's address that the environment or Prefect's active profile names; Prefect is not imported for it."""
    named = os.environ.get("PREFECT_API_URL")
    if named:
        return named
    home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect")
    path = Path(os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml").expanduser()
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    profile = tree.get("profiles", {}).get(os.environ.get("PREFECT_PROFILE") or tree.get("active"), {})
    url: str | None = profile.get("PREFECT_API_URL")
    return url


def server_of(root: Path) -> str | None:
    """The API's address of the server that schedules this project: the configured one, else its own if that runs."""
    own = background.alive(state_of(root), "server")
    return configured() or (own["url"] if own else None)


def answers(url: str, seconds: float = WAIT_SECONDS) -> bool:
    """Whether anything there speaks HTTP within that many seconds."""
    heard: list[bool] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=seconds):
                heard.append(True)
        except urllib.error.HTTPError:
            heard.append(True)
        except (OSError, ValueError):
            heard.append(False)

    # A name that does not resolve takes longer than any time-out of the connection.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return heard == [True]


@contextmanager
def client_of(url: str) -> Iterator[SyncPrefectClient]:
    """A client of the server at this address, with the credentials that Prefect is configured with.

    Raises:
        InputError: the server does not answer, or refuses.
    """
    if not answers(url):
        raise InputError(f"The Prefect server at {url} does not answer: start it, or correct PREFECT_API_URL.")
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    try:
        with (
            temporary_settings({PREFECT_API_URL: url, PREFECT_CLIENT_MAX_RETRIES: 0}),
            get_client(sync_client=True, httpx_settings={"timeout": CLIENT_SECONDS}) as client,
        ):
            yield client
    except PrefectHTTPStatusError as error:
        raise InputError(f"The Prefect server at {url} refused ({_first_line(error)}): mend that.") from None
    except (httpx.HTTPError, RuntimeError) as error:
        raise InputError(f"The Prefect server at {url} broke off ({_first_line(error)}): try again.") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def apply(root: Path) -> list[str]:
    """Bring the project's schedules and automation on its server to what `deploy/prefect.yaml` says.

    Returns:
        Names of what is scheduled, flow/deployment.

    Raises:
        InputError: there is no server, it does not answer, or the file cannot be used.
    """
    url = server_of(root)
    if url is None:
        raise InputError(f"Nothing is scheduled, because {NO_SERVER}.")
    with client_of(url) as client:
        return deployments.apply(client, root, load(root / "params.yaml").project.name)


def schedule_sentence(root: Path) -> str:
    """Schedule what watches the release that is being promoted, and say where; where that fails, say why.

    Never raises for a server: a release does not wait for its monitor.
    """
    url = server_of(root)
    if url is None:
        return f"Monitoring is not scheduled, because {NO_SERVER}."
    try:
        names = apply(root)
    except GraftError as error:
        return f"Monitoring is not scheduled: {' '.join(error.sentences)}"
    return f"Monitoring is scheduled on {url}: {', '.join(names)}."


def mark_crashed(client: SyncPrefectClient, name: str, worker: str) -> list[str]:
    """End, on the server, the runs that a worker which is gone took with it; else they would run for ever.

    Args:
        client: of the server.
        name: the project's name.
        worker: the name of the worker that is gone; runs of others are left alone.

    Returns:
        A sentence for each run.
    """
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed

    flows = {flow.id: flow.name for flow in client.read_flows(limit=MOST)}
    sentences = []
    for run in runs_of(client, name, [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]):
        if run.labels.get("prefect.worker.name", worker) != worker:
            continue
        client.set_flow_run_state(run.id, Crashed(message=CUT_OFF), force=True)
        flow = flows.get(run.flow_id, "a flow")
        how = f"`{AGAIN[flow]}` completes it" if flow in AGAIN else "its next run completes it"
        sentences.append(f"Run {run.name} of {flow} was cut off with its worker and is marked as crashed: {how}.")
    return sentences


def runs_of(client: SyncPrefectClient, name: str, states: list[StateType]) -> list[FlowRun]:
    """Runs of a project's deployments in these states, the latest planned first."""
    from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
    from prefect.client.schemas.sorting import FlowRunSort

    # Sort and limit are named, for a server with a newer FastAPI refuses the nulls that the client else sends.
    return client.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": states}}}),
        deployment_filter=DeploymentFilter.model_validate({"name": {"any_": [name]}}),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=MOST,
    )


def overview(url: str, names: list[str]) -> list[dict[str, Any]]:
    """What is known of each deployment, as plain JSON; waits a little for a new one to be planned.

    Args:
        url: of the server.
        names: flow/deployment.

    Returns:
        Per deployment name, schedules, paused, next, last, last_state, automations; times in UTC to the minute.
    """
    with client_of(url) as client:
        deadline = time.monotonic() + PLAN_SECONDS
        while True:
            records = [_record(client, name) for name in names]
            waiting = [one for one in records if one["schedules"] and not one["paused"] and not one["next"]]
            if not waiting or time.monotonic() > deadline:
                return records
            time.sleep(0.5)


def _record(client: SyncPrefectClient, name: str) -> dict[str, Any]:
    from prefect.client.schemas.objects import StateType

    deployment = client.read_deployment_by_name(name)
    active = [one.schedule for one in deployment.schedules if one.active]
    planned = _edge(client, deployment.id, [StateType.SCHEDULED], "EXPECTED_START_TIME_ASC")
    last = _edge(client, deployment.id, [one for one in StateType if one != StateType.SCHEDULED], "START_TIME_DESC")
    automations = client.read_resource_related_automations(f"prefect.deployment.{deployment.id}")
    return {
        "name": name,
        "schedules": [_schedule_text(one) for one in active],
        "paused": deployment.paused or (bool(deployment.schedules) and not active),
        "next": _minute(planned.expected_start_time) if planned else None,
        "last": _minute(last.start_time or last.expected_start_time) if last else None,
        "last_state": last.state_name if last else None,
        "automations": [one.name for one in automations],
    }


def _edge(client: SyncPrefectClient, deployment_id: UUID, states: list[StateType], sort: str) -> FlowRun | None:
    from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
    from prefect.client.schemas.sorting import FlowRunSort

    runs = client.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": states}}}),
        deployment_filter=DeploymentFilter.model_validate({"id": {"any_": [deployment_id]}}),
        sort=FlowRunSort[sort],
        limit=1,
    )
    return runs[0] if runs else None


def _schedule_text(schedule: Any) -> str:
    times = getattr(schedule, "cron", None) or getattr(schedule, "rrule", None) or f"every {schedule.interval}"
    return f"{times} {schedule.timezone or 'UTC'}"


def _minute(when: datetime | None) -> str | None:
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if when else None
