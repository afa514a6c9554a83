"""A run that its worker starts, and one whose worker died while it started."""

from __future__ import annotations

import os
import subprocess
import sys

from flows.background import PARENT
from tests.factories import REPO


def engine(parent: int | None) -> str:
    """What a run says that Prefect's engine, once it gets so far, refuses for want of a flow run."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", PARENT))}
    named = {} if parent is None else {PARENT: str(parent)}
    done = subprocess.run(
        [sys.executable, "-m", "flows.engine"],
        cwd=REPO,
        env=environment | named,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode
    return done.stderr


def test_a_run_whose_worker_died_before_it_could_bind_itself_to_it_does_nothing() -> None:
    assert engine(2**30).strip() == "The worker that started this run is gone: nothing was run."


def test_a_run_of_its_own_worker_or_of_one_that_graft_did_not_start_goes_on() -> None:
    for parent in (os.getpid(), None):
        assert "prefect" in (said := engine(parent)) and "is gone" not in said
