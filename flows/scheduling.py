"""Where a project's work is scheduled, what is scheduled there, and the sentence that a promotion records about it."""

from __future__ import annotations

import os
import threading
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flows import background, deployments
from tasks.errors import GraftError, InputError
from tasks.params import load
from tasks.stage import STATE

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

WAIT_SECONDS = 3.0
CLIENT_SECONDS = 10.0
RETRIES = 3  # of a request that a busy SQLite refused, which is Prefect's 503
OPEN = ["PENDING", "RUNNING", "CANCELLING"]
NO_SERVER = "no Prefect server is configured: set PREFECT_API_URL or run `graft up`"
CUT_OFF = "The worker that ran this is gone, and the run with it."
# What completes by hand the work of a flow that was cut off; by `graft run` nothing would be committed.
AGAIN = {"retrain": "graft retrain", "monitor": "graft monitor"}


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


def has_worker(root: Path, url: str) -> bool:
    """Whether the worker that runs here takes this project's runs, by the name it has now, from that server."""
    worker = background.alive(state_of(root), "worker") or {}
    return (worker.get("url"), worker.get("project")) == (url, load(root / "params.yaml").project.name)


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
    from prefect.exceptions import PrefectException, PrefectHTTPStatusError
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    try:
        with (
            temporary_settings({PREFECT_API_URL: url, PREFECT_CLIENT_MAX_RETRIES: RETRIES}),
            get_client(sync_client=True, httpx_settings={"timeout": CLIENT_SECONDS}) as client,
        ):
            yield client
    except PrefectHTTPStatusError as error:
        raise InputError(f"The Prefect server at {url} refused ({first_line(error)}): mend that.") from None
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        raise InputError(f"The Prefect server at {url} broke off ({first_line(error)}): try again.") from None


def first_line(error: Exception) -> str:
    """What an error says, for a sentence."""
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

    Never raises: a release does not wait for its monitor.
    """
    url = server_of(root)
    if url is None:
        return f"Monitoring is not scheduled, because {NO_SERVER}."
    try:
        names = apply(root)
    except GraftError as error:
        return f"Monitoring is not scheduled. {' '.join(error.sentences)}"
    except Exception as error:
        return (
            f"Monitoring is not scheduled: {type(error).__name__}, {first_line(error)}; try `graft schedule --debug`."
        )
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
    from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter, WorkQueueFilter
    from prefect.client.schemas.sorting import FlowRunSort
    from prefect.states import Crashed

    runs = client.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": OPEN}}}),
        work_pool_filter=WorkPoolFilter.model_validate({"name": {"any_": [deployments.POOL]}}),
        work_queue_filter=WorkQueueFilter.model_validate({"name": {"any_": [name]}}),
        sort=FlowRunSort.START_TIME_DESC,
        limit=deployments.MOST,
    )
    flows = {flow.id: flow.name for flow in client.read_flows(limit=deployments.MOST)}
    sentences = []
    for run in runs:
        if run.labels.get("prefect.worker.name", worker) != worker:
            continue
        client.set_flow_run_state(run.id, Crashed(message=CUT_OFF), force=True)
        flow = flows.get(run.flow_id, "a flow")
        how = f"`{AGAIN[flow]}` completes it" if flow in AGAIN else "its next scheduled run completes it"
        sentences.append(f"Run {run.name} of {flow} was cut off with its worker and is marked as crashed: {how}.")
    return sentences
