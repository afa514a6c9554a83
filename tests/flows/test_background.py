"""Processes in the background: found again, ended with all that descends from them, their logs kept short."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flows import background
from tasks.artifacts import read_json, write_json

# A worker, a run that ignores being asked to end, and what that run started in a session of its own.
FAMILY = """
import subprocess, sys, time
inner = "import time; time.sleep(600)"
outer = f'''
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", {inner!r}], start_new_session=True)
print("ready", flush=True)
time.sleep(600)
'''
subprocess.Popen([sys.executable, "-c", outer])
time.sleep(600)
"""


def until(met: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def record(folder: Path, pid: int) -> None:
    write_json(folder / "worker.json", {"pid": pid, "began": background._began(pid), "url": "http://x/api"})


def test_end_leaves_no_descendant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "GRACE_SECONDS", 0.5)
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", FAMILY], stdout=log, start_new_session=True)
    until(lambda: b"ready" in (tmp_path / "worker.log").read_bytes())
    until(lambda: len(background._descendants(process.pid)) == 2)
    record(tmp_path, process.pid)
    assert background.alive(tmp_path, "worker") is not None
    family = [process.pid, *background._descendants(process.pid)]
    assert background.end(tmp_path, "worker") == 1, "it had one child"
    assert [pid for pid in family if background._stat(pid)] == []
    assert background.alive(tmp_path, "worker") is None
    assert background.end(tmp_path, "worker") is None, "nothing is left to end"


def test_another_process_with_the_same_number_is_left_alone(tmp_path: Path) -> None:
    record(tmp_path, os.getpid())
    assert background.alive(tmp_path, "worker")
    write_json(tmp_path / "worker.json", read_json(tmp_path / "worker.json") | {"began": 1})
    assert background.alive(tmp_path, "worker") is None
    assert background.end(tmp_path, "worker") is None


def test_a_dead_or_unreadable_record_is_nothing_alive(tmp_path: Path) -> None:
    assert background.alive(tmp_path, "worker") is None
    (tmp_path / "worker.json").write_text("{")
    assert background.alive(tmp_path, "worker") is None
    gone = subprocess.Popen([sys.executable, "-c", ""])
    until(lambda: background._stat(gone.pid) is None)  # a zombie, for nobody has waited for it
    write_json(tmp_path / "worker.json", {"pid": gone.pid, "began": None})
    assert background.alive(tmp_path, "worker") is None
    gone.wait()


def test_a_log_stays_short_while_others_write_to_it(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    with path.open("ab") as ours, path.open("ab") as theirs:
        for number in range(1000):
            theirs.write(b"line %d\n" % number)
        theirs.flush()
        background.shorten(ours.fileno(), 100_000)
        assert path.stat().st_size > 8000, "a short one is left as it is"
        background.shorten(ours.fileno(), 2000)
        theirs.write(b"after\n")
    lines = path.read_text().splitlines()
    assert path.stat().st_size <= 1006
    assert lines[0] in [f"line {number}" for number in range(880, 900)], "a whole line"
    assert lines[-2:] == ["line 999", "after"]
    assert background.last_words(tmp_path, "worker") == "after"
    assert background.last_words(tmp_path, "server") == "nothing"
