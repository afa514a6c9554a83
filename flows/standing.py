"""The Prefect server and the worker of a project: started, found again, ended."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flows import background, deployments, scheduling
from flows.embedded import QUIET
from tasks.artifacts import read_json
from tasks.errors import CrashError, GraftError
from tasks.params import load
from tasks.stage import one_writer
from tasks.words import counted

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

HOST = "127.0.0.1"
START_SECONDS = 120.0
PORT_SECONDS = 5.0  # a killed server's threads hold its port a moment longer than it lives
# Old runs, their logs and events go after 90 days, which is Prefect's own default once it is asked to.
TIDY = {"PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs"}
# Seconds between a worker's looks for runs: as long may an alarm wait for its retrain.
PROMPT = {"PREFECT_WORKER_QUERY_SECONDS": "5"}


@dataclass(frozen=True)
class Up:
    """What `up` found and did.

    Attributes:
        url: of the API.
        started: `server`, `worker`, or neither.
        crashed: a sentence for each run that had been cut off.
        scheduled: names of the deployments, flow/deployment.
    """

    url: str
    started: list[str]
    crashed: list[str]
    scheduled: list[str]


def up(root: Path) -> Up:
    """Start what is not running, and apply the schedules.

    Where Prefect is configured with a server, that one is used; else the project gets its own.

    Raises:
        InputError: the configured server does not answer, or deploy/prefect.yaml cannot be used.
        CrashError: server or worker did not come up.
    """
    name, folder = load(root / "params.yaml").project.name, scheduling.state_of(root)
    with one_writer(folder / "up.lock"):
        url, started = scheduling.configured(), []
        if url is None:
            own = background.alive(folder, "server")
            url = own["url"] if own else _start_server(folder)
            started = [] if own else ["server"]
        with scheduling.client_of(url) as client:
            scheduled = deployments.apply(client, root, name)
            crashed = []
            if not scheduling.has_worker(root, url):
                background.end(folder, "worker")
                before = background.last(folder, "worker").get("project", name)
                crashed = scheduling.mark_crashed(client, before, worker_name(before))
                _start_worker(folder, client, url, name)
                started.append("worker")
    return Up(url, started, crashed, scheduled)


def stop(root: Path) -> list[str]:
    """End the worker, its runs and the server that `up` started here, and wait until they are gone.

    Neither a server that is ill nor a broken params.yaml keeps anything from being ended.

    Returns:
        A sentence for each thing that was ended.
    """
    folder = scheduling.state_of(root)
    if not folder.is_dir():
        return []
    with one_writer(folder / "up.lock"):
        url, ended = scheduling.server_of(root), []
        runs = background.end(folder, "worker")
        if runs is not None:
            with_it = f", and {counted(runs, 'run')} with it" if runs else ""
            ended.append(f"The worker is ended{with_it}.")
        name = background.last(folder, "worker").get("project")
        if url and name:
            ended += _mark_crashed(url, name)
        if background.end(folder, "server") is not None:
            ended.append("The Prefect server is ended; its database stays.")
    return ended


def _mark_crashed(url: str, name: str) -> list[str]:
    try:
        with scheduling.client_of(url) as client:
            return scheduling.mark_crashed(client, name, worker_name(name))
    except Exception as error:
        why = error.sentences[0] if isinstance(error, GraftError) else scheduling.first_line(error)
        return [f"Runs that were cut off are not marked as crashed, which the next `graft up` does. {why}"]


def worker_name(name: str) -> str:
    """The name under which this machine's worker for a project stands on Prefect's page."""
    return f"{name}@{os.uname().nodename}"


def _plain() -> dict[str, str]:
    """The environment without settings of Prefect: they are for another server."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}


def _start_server(folder: Path) -> str:
    port = _port(folder)
    url = f"http://{HOST}:{port}/api"
    # As settings, not as options: the page asks the API where these say.
    place = {
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_SERVER_API_HOST": HOST,
        "PREFECT_SERVER_API_PORT": str(port),
    }
    background.start(folder, "server", ["server", "start"], _plain() | QUIET | TIDY | place, url=url)
    _await(folder, "server", "The Prefect server", lambda: scheduling.answers(url, 1.0))
    return url


def _port(folder: Path) -> int:
    """The port of the last time, so that addresses stay, if it is free; else a free one."""
    try:
        remembered = urlsplit(read_json(folder / "server.json")["url"]).port or 0
    except (FileNotFoundError, ValueError, KeyError):
        remembered = 0
    deadline = time.monotonic() + PORT_SECONDS
    while not (port := _free(remembered)):
        if time.monotonic() > deadline:
            return _free(0)
        time.sleep(0.1)
    return port


def _free(port: int) -> int:
    """The port, or a free one for 0; 0 if it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return 0
        return int(probe.getsockname()[1])


def _start_worker(folder: Path, client: SyncPrefectClient, url: str, name: str) -> None:
    own = scheduling.configured() is None
    environment = (_plain() | PROMPT | {"PREFECT_HOME": str(folder / "home")}) if own else dict(os.environ)
    said = worker_name(name)
    options = ["--pool", deployments.POOL, "--type", deployments.POOL_TYPE, "--work-queue", name, "--name", said]
    before = _heartbeat(client, said)
    environment |= QUIET | {"PREFECT_API_URL": url}
    background.start(folder, "worker", ["worker", "start", *options], environment, url=url, project=name)
    _await(folder, "worker", "The worker", lambda: _heartbeat(client, said) != before)


def _heartbeat(client: SyncPrefectClient, name: str) -> object:
    from prefect.exceptions import ObjectNotFound

    try:
        workers = client.read_workers_for_work_pool(deployments.POOL, offset=0, limit=deployments.MOST)
    except ObjectNotFound:
        return None
    return next((worker.last_heartbeat_time for worker in workers if worker.name == name), None)


def _await(folder: Path, name: str, what: str, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        if background.alive(folder, name) is None:
            raise CrashError(f"{what} ended at once ({background.last_words(folder, name)}): see {folder}/{name}.log.")
        if time.monotonic() > deadline:
            background.end(folder, name)
            raise CrashError(f"{what} did not come up within {START_SECONDS:.0f} s: see {folder}/{name}.log.")
        time.sleep(0.2)
