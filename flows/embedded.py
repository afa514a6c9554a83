"""Prefect inside a command: its server, embedded where no other is named, and what must not reach that one."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.errors import InputError
from tasks.stage import die_with_parent

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.states import State

# Without these, start-up waits on telemetry that goes nowhere.
QUIET = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
# On a machine that has much else to do, 20 seconds, which Prefect waits, are too few for its server to start.
PATIENT = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120"}


def configure() -> None:
    """No telemetry, and time to start; to be called before Prefect is imported."""
    for name, value in (QUIET | PATIENT).items():
        os.environ.setdefault(name, value)


def without_empty_tracebacks() -> None:
    """Prefect logs every failed task with its exception, and "NoneType: None" where the task returned its state."""
    logging.getLogger("prefect.task_runs").addFilter(_forget_no_exception)


def _forget_no_exception(record: logging.LogRecord) -> bool:
    if record.exc_info and record.exc_info[0] is None:
        record.exc_info = None
    return True


def start(url: str | None = None) -> None:
    """Make Prefect ready to run a flow in this process.

    Args:
        url: of the API; without one, the configured server or an embedded one.

    Raises:
        InputError: the server that was named does not answer.
    """
    configure()
    without_empty_tracebacks()
    # Without a handler a process dies of these at once, and nobody ends the embedded server.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, _interrupt)
    if url:
        os.environ["PREFECT_API_URL"] = url
    from prefect.client.orchestration import get_client

    with sessions_apart():
        client = get_client(sync_client=True)  # starts the embedded server where no other is named
    if fault := client.api_healthcheck():
        place = re.sub(r"//[^/@]*@", "//", str(client.api_url))  # without the password
        raise InputError(
            f"No Prefect server answers at {place} ({type(fault).__name__}): start it, correct PREFECT_API_URL, or "
            "unset it for the embedded one."
        )


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def recorded(flow: Flow[..., State[Any]], root: Path) -> State[Any]:
    """Run a flow to its end, whatever that is.

    Args:
        flow: takes a project's folder.
        root: the project's folder.

    Raises:
        InputError: the server cannot keep the record of the run, as on a full disk.
    """
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        state: State[Any] = flow(str(root), return_state=True)
    except PrefectHTTPStatusError as error:
        raise InputError(
            f"The Prefect server could not record the run (HTTP {error.response.status_code}): make room where it "
            "writes, which is PREFECT_HOME for the embedded one, and run again."
        ) from error
    return state


class _Apart(subprocess.Popen[Any]):
    """A class, since what is imported meanwhile may name one."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named | {"start_new_session": True, "preexec_fn": die_with_parent})


@contextmanager
def sessions_apart() -> Iterator[None]:
    """Let processes that are started here meanwhile have a session of their own, which no signal to our group reaches.

    Ctrl-C on a terminal goes to the whole group of processes, and so does what a supervisor sends. The embedded server
    must not die of it: the run tells it how it ended, and would ask a dead one again for minutes. It dies with a run
    that is killed, which can tell nothing. Prefect, which starts it, has no setting for either.
    """
    popen = subprocess.Popen
    subprocess.Popen = _Apart  # type: ignore[misc]
    try:
        yield
    finally:
        subprocess.Popen = popen  # type: ignore[misc]
