"""What an interruption, a killed caller and the lock of another DVC leave of a phase: no process and no half output."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tasks import reproduce
from tasks.errors import BusyError, InterruptError
from tests.reproducing import fresh as fresh
from tests.reproducing import repeat
from tests.reproducing import template as template
from tests.toy import within

HOUSE = Path(__file__).resolve().parents[2]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG and /proc are Linux's")


def living(root: Path) -> set[int]:
    """Processes that work in this project; one that ended and waits to be collected has no folder."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if entry.readlink() == root:
                found.add(int(entry.parent.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def end(root: Path) -> None:
    """Leave nothing behind, whatever the test found."""
    for pid in living(root):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@LINUX
def test_interruption_ends_dvc_the_stage_and_what_the_stage_started(fresh: Path) -> None:
    (fresh / "mode.txt").write_text("selection help")
    seen: set[int] = set()

    def interrupt(line: str) -> None:
        if line.startswith("asleep"):
            seen.update(living(fresh))
            raise KeyboardInterrupt

    try:
        with pytest.raises((InterruptError, KeyboardInterrupt), match="nothing is half written") as found:
            reproduce.reproduce(fresh, "selection", interrupt)
        assert type(found.value) is InterruptError
        assert len(seen) >= 3, "dvc, the stage and its helper were running"
        assert within(10, lambda: living(fresh) == set())
    finally:
        end(fresh)
    assert not (fresh / "data/selection/out.txt").exists()


CALLER = """
import sys
from pathlib import Path
from tasks.reproduce import reproduce
reproduce(Path(sys.argv[1]), "selection", lambda line: print(line, flush=True))
"""


@LINUX
def test_dvc_and_the_stage_die_with_a_killed_caller_and_a_rerun_completes(fresh: Path) -> None:
    (fresh / "mode.txt").write_text("selection sleep")
    # DVC then runs stages by /bin/sh, which may stay as their parent.
    bare = {name: value for name, value in os.environ.items() if name != "SHELL"}
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, str(fresh)], cwd=HOUSE, env=bare, stdout=subprocess.PIPE, text=True
    )
    try:
        assert caller.stdout is not None
        pid = next(int(match[1]) for line in caller.stdout if (match := re.match(r"asleep (\d+)", line)))
        pids = living(fresh)
        assert pid in pids and len(pids) >= 2, "dvc and the stage were running"
        caller.kill()
        caller.wait(timeout=10)
        assert within(10, lambda: living(fresh) == set()), "an orphan would go on writing"
    finally:
        caller.kill()
        caller.communicate(timeout=10)
        end(fresh)
    (fresh / "mode.txt").write_text("none none")
    assert repeat(fresh, "selection").ran == ["selection"]
    assert (fresh / "data/selection/out.txt").is_file()


def held_by(root: Path, pid: int) -> None:
    holder = {"pid": pid, "cmd": "dvc repro selection"}
    path = root / ".dvc/tmp/rwlock"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"write": {str(root / "data/selection/out.txt"): holder}, "read": {}}))


@LINUX
def test_a_lock_of_a_process_that_is_not_dvc_holds_nothing(fresh: Path) -> None:
    # The number of a killed run's dvc, given to another process since.
    other = subprocess.Popen(["sleep", "60"])
    try:
        held_by(fresh, other.pid)
        assert repeat(fresh, "selection").ran == ["selection"]
    finally:
        other.kill()
        other.wait()


@LINUX
def test_a_lock_of_a_zombie_holds_nothing(fresh: Path) -> None:
    zombie = subprocess.Popen([sys.executable, "-c", "", "dvc"])
    try:
        assert within(10, lambda: " Z " in Path(f"/proc/{zombie.pid}/stat").read_text())
        held_by(fresh, zombie.pid)
        assert repeat(fresh, "selection").ran == ["selection"]
    finally:
        zombie.wait()


@LINUX
def test_a_living_dvc_holds_the_project(fresh: Path) -> None:
    living_dvc = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "dvc"])
    try:
        held_by(fresh, living_dvc.pid)
        with pytest.raises(BusyError, match="A run or another DVC command"):
            repeat(fresh, "selection")
    finally:
        living_dvc.kill()
        living_dvc.wait()
