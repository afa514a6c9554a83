"""The embedded server ends with the command that started it, whichever signal that gets."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flows import embedded
from tests.factories import REPO
from tests.forked import alive
from tests.toy import within

COMMAND = """
import time
from flows import embedded
embedded.start()
from prefect.settings import get_current_settings
try:
    print(get_current_settings().server.ephemeral.startup_timeout_seconds, flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    from prefect.client.orchestration import get_client
    print("fault:", get_client(sync_client=True).api_healthcheck(), flush=True)
"""


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_ends_takes_its_server_with_it(tmp_path: Path, number: signal.Signals) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    command = subprocess.Popen(
        [sys.executable, "-c", COMMAND], cwd=REPO, env=environment | {"PREFECT_HOME": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    started: list[int] = []
    try:
        assert command.stdout is not None
        assert command.stdout.readline() == "120\n", "the server gets time to start on a busy machine"
        started = children(command.pid)
        assert started, "the server runs"
        os.killpg(command.pid, number)  # as a supervisor does
        if number == signal.SIGTERM:
            assert command.stdout.readline() == "fault: None\n", "the run can still tell how it ended"
        command.wait(timeout=30)
        assert within(10, lambda: not any(map(alive, started)))
    finally:
        command.kill()
        for pid in started:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


def test_a_task_that_returns_a_failed_state_is_logged_without_an_empty_traceback() -> None:
    from prefect.logging.configuration import setup_logging

    embedded.without_empty_tracebacks()
    setup_logging(incremental=False)  # as Prefect does when a flow begins
    logger = logging.getLogger("prefect.task_runs")
    error = (ValueError, ValueError(), None)
    for given, kept in (((None, None, None), None), (error, error)):
        record = logger.makeRecord("x", logging.ERROR, "x", 1, "Task run failed", (), given)
        assert logger.filter(record) and record.exc_info == kept
