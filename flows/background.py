"""Processes that outlive the terminal: each in a session of its own, with a record of it and a bounded log.

.graft/prefect/
├── server.json  worker.json    process number, when it began, what it was started with
├── server.log   worker.log     what it says: never more than MAX_LOG_BYTES
└── home/                       Prefect's own: the server's database
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.artifacts import read_json, write_json

HOUSE = Path(__file__).resolve().parents[1]
PARENT = "GRAFT_PARENT"
MAX_LOG_BYTES = 5_000_000
LOOK_SECONDS = 20.0
GRACE_SECONDS = 15.0


def start(folder: Path, name: str, arguments: Sequence[str], environment: Mapping[str, str], **facts: Any) -> int:
    """Start `prefect ARGUMENTS` and record it.

    Args:
        folder: where record and log lie.
        name: of both.
        arguments: of the `prefect` command.
        environment: of the process.
        facts: kept in the record, as plain JSON.

    Returns:
        The process number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.background", *arguments],
            cwd=folder,
            env={**environment, **_paths()},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    write_json(folder / f"{name}.json", {"pid": process.pid, "began": _began(process.pid), **facts})
    return process.pid


def _paths() -> dict[str, str]:
    """The commands of this environment and the code of this house come first."""
    before = {"PATH": str(Path(sys.executable).parent), "PYTHONPATH": str(HOUSE)}
    return {name: os.pathsep.join(filter(None, [first, os.environ.get(name)])) for name, first in before.items()}


def last(folder: Path, name: str) -> dict[str, Any]:
    """The record of the process that was started last, whether it runs or not; empty if there is none."""
    try:
        record: dict[str, Any] = read_json(folder / f"{name}.json")
    except (FileNotFoundError, ValueError):
        return {}
    return record


def alive(folder: Path, name: str) -> dict[str, Any] | None:
    """The record of a process that still runs, else None."""
    record = last(folder, name)
    # A process number comes again, and then belongs to another process, which began at another time.
    return record if record.get("began") is not None and record["began"] == _began(record["pid"]) else None


def end(folder: Path, name: str) -> int | None:
    """End a process with all that descends from it, and wait until they are gone.

    Returns:
        How many children it had, which end first; None if it was not running.
    """
    record, number = alive(folder, name), 0
    if record:
        pid = record["pid"]
        children = [child for child, parent in _parents().items() if parent == pid]
        number = len(children)
        family = {one: _began(one) for one in (pid, *_descendants(pid))}
        for first in (children, [pid]):
            _signal(first, signal.SIGTERM)
            _wait(first, GRACE_SECONDS)
        left = [one for one, began in family.items() if began and began == _began(one)]
        _signal(left, signal.SIGKILL)
        _wait(left, GRACE_SECONDS)
    return number if record else None


def last_words(folder: Path, name: str) -> str:
    """The last line of a log that is not empty."""
    path = folder / f"{name}.log"
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else []
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "nothing")


def _stat(pid: int) -> list[str] | None:
    """What Linux tells of a living process after its name: state, parent, ...; None of a dead one, zombies included."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields


def _began(pid: int) -> int | None:
    """Clock ticks from the machine's start to the process's."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def _parents() -> dict[int, int]:
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return {pid: int(fields[1]) for pid in pids if (fields := _stat(pid))}


def _descendants(pid: int) -> list[int]:
    parents, found = _parents(), [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _wait(pids: Iterable[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(_stat(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)


def shorten(log: int, limit: int) -> None:
    """Keep the last half of a log that outgrew its limit.

    Args:
        log: descriptor, open for appending, so that whoever else writes to it goes on behind what is kept.
        limit: bytes.
    """
    size = os.fstat(log).st_size
    if size <= limit:
        return
    with open(f"/proc/self/fd/{log}", "rb") as file:
        file.seek(size - limit // 2)
        kept = file.read().partition(b"\n")[2]
    os.ftruncate(log, 0)
    os.write(log, kept)


def _keep_short() -> None:
    while True:
        shorten(1, MAX_LOG_BYTES)
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    os.environ[PARENT] = str(os.getpid())
    threading.Thread(target=_keep_short, daemon=True).start()
    sys.argv[0] = "prefect"
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)
