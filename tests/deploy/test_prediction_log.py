"""The prediction log of a server: what reaches the files, what is dropped, and that nothing ever waits or fails."""

from __future__ import annotations

import logging
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy import prediction_log
from deploy.prediction_log import PredictionLog
from deploy.predictions import read
from deploy.settings import Settings
from deploy.telemetry import Metrics
from tasks.problems.classification.answer import Answer

VERSION, OTHER = "0123456789ab", "ba9876543210"


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 11, 24, 15, 59, 59, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def later(self, **duration: float) -> None:
        self.time += timedelta(**duration)


class Log:
    """A log with a clock of its own, flushed by hand; names of requests are numbers."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder, self.clock, self.metrics, self._count = folder, Clock(), Metrics(), 0
        self.log = PredictionLog(folder, Settings(threads=1, **settings), self.metrics, self.clock)

    def add(self, rows: int = 1, version: str = VERSION, width: int = 2, inputs: list[str] | None = None) -> None:
        projection = np.full((rows, width), self._count, dtype=np.float32)
        self.log.add(str(self._count), version, [Answer("good", 0.5)] * rows, projection, inputs)
        self._count += 1

    def files(self) -> dict[str, list[str]]:
        """Hour -> names of its rows' requests; a test with two files an hour counts them itself."""
        return {name[:13]: table.column("request_id").to_pylist() for name, table in read(self.folder)}

    def count(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"graft_log_{name}_total")


def refusal(folder: Path, why: str) -> str:
    return (
        f"The log cannot be written to {folder} ({why}): let GRAFT_LOG_FOLDER name a folder that has room and that the "
        "server's user may write, or set it to nothing for no log."
    )


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, Any]]:
    return [(record.getMessage(), getattr(record, "fields", {}).get("reason")) for record in caplog.records]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system refuses larger files, as it does on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_file_only_grows_at_its_end(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.add(rows=2)
    log.add()
    log.log.flush()
    assert log.files() == {"2026-11-24T15": ["0", "0", "1"]}
    log.add(rows=2)
    log.log.flush()
    assert log.files() == {"2026-11-24T15": ["0", "0", "1", "2", "2"]}
    [(_, table)] = read(tmp_path)
    assert table.column("row").to_pylist() == [0, 1, 0, 0, 1]
    assert table.column("projection").to_pylist() == [[0, 0], [0, 0], [1, 1], [2, 2], [2, 2]]


def test_servers_share_a_folder(tmp_path: Path) -> None:
    logs = [Log(tmp_path) for _ in range(4)]
    for later in (0, 0, 3600):
        for log in logs:
            log.clock.later(seconds=later)
            log.add()
            log.log.flush()
    rows = {name: table.num_rows for name, table in read(tmp_path)}
    assert len({name[13:] for name in rows}) == 8 and sorted(rows.values()) == [1] * 4 + [2] * 4
    shorter = Log(tmp_path, log_hours=1)
    shorter.clock.later(seconds=3600)
    shorter.log.flush()
    assert [table.num_rows for _, table in read(tmp_path)] == [1] * 4, "one removes what is too old, of all"
    for log in logs:
        log.add()
        log.log.flush()
    assert [table.num_rows for _, table in read(tmp_path)] == [2] * 4


def test_without_new_rows_nothing_is_written(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    log.log.flush()
    assert not log.folder.exists()
    log.add()
    log.log.flush()
    [path] = log.folder.iterdir()
    before = path.stat().st_ino, path.stat().st_mtime_ns
    log.log.flush()
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == before


def test_every_hour_has_its_file(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.add()
    log.clock.later(seconds=2)
    log.add()
    log.log.flush()
    log.add()
    log.log.flush()
    assert log.files() == {"2026-11-24T15": ["0"], "2026-11-24T16": ["1", "2"]}


def test_a_row_that_comes_late_overwrites_nothing(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.add()
    log.clock.later(seconds=2)
    log.log.flush()
    log.clock.later(seconds=-2)  # the clock was set, or a thread stood still between the time and the queue
    log.add()
    log.log.flush()
    assert sorted(table.column("request_id").to_pylist() for _, table in read(tmp_path)) == [["0"], ["1"]]


def test_releases_have_files_of_their_own_since_their_projections_differ(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.add()
    log.add(version=OTHER, width=3)
    log.add()
    log.log.flush()
    found = [
        (table.column("version")[0].as_py(), table.column("projection").to_pylist()) for _, table in read(tmp_path)
    ]
    assert sorted(found) == [(VERSION, [[0, 0], [2, 2]]), (OTHER, [[1, 1, 1]])]


def test_rows_over_the_bound_are_dropped_and_counted_until_the_next_hour(tmp_path: Path) -> None:
    log = Log(tmp_path, log_rows=4)
    for _ in range(3):
        log.add(rows=3)
        log.log.flush()
    log.add()
    assert log.count("dropped_rows") == 6
    log.clock.later(seconds=2)
    log.log.flush()
    log.add(rows=4)
    log.log.flush()
    assert log.files() == {"2026-11-24T15": ["0", "0", "0", "3"], "2026-11-24T16": ["4"] * 4}
    assert log.count("dropped_rows") == 6


def test_long_inputs_take_the_place_of_rows(tmp_path: Path) -> None:
    log = Log(tmp_path, log_rows=10)
    log.add(inputs=["x" * 9_000])
    log.add(inputs=["y"])
    log.log.flush()
    assert log.files() == {"2026-11-24T15": ["0"]} and log.count("dropped_rows") == 1


def test_files_that_are_too_old_are_removed(tmp_path: Path) -> None:
    log = Log(tmp_path, log_hours=2)
    for _ in range(4):
        log.add()
        log.log.flush()
        log.clock.later(hours=1)
    assert list(log.files()) == ["2026-11-24T17", "2026-11-24T18"]
    log.log.flush()
    assert list(log.files()) == ["2026-11-24T18"], "also without new rows"


def test_a_full_disk_is_told_once_and_costs_no_row(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = Log(tmp_path)
    log.add()
    log.log.flush()
    with caplog.at_level(logging.INFO), files_of_at_most(1_000):
        for _ in range(3):
            log.add(inputs=["secret"])
            log.log.flush()
    assert log.files() == {"2026-11-24T15": ["0"]} and len(list(tmp_path.iterdir())) == 1
    assert (
        told(caplog) == [("prediction log refused", refusal(tmp_path, "File too large"))]
        and log.count("refused_writes") == 3
    )
    log.clock.later(hours=1)
    log.add()
    with caplog.at_level(logging.INFO):
        log.log.flush()
    assert log.files() == {"2026-11-24T15": ["0", "1", "2", "3"], "2026-11-24T16": ["4"]}
    assert told(caplog)[1:] == [("prediction log written again", None)]


def test_what_waits_in_an_outage_is_bounded(tmp_path: Path) -> None:
    log = Log(tmp_path, log_rows=3)
    with files_of_at_most(0):
        for _ in range(5):
            log.add()
            log.log.flush()
            log.clock.later(hours=1)
    log.log.flush()
    assert list(log.files().values()) == [["0"], ["1"], ["2"]] and log.count("dropped_rows") == 2


def test_a_folder_that_cannot_be_made_is_an_outage_like_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    log = Log(tmp_path / "file/log")
    log.add()
    log.log.flush()
    assert told(caplog) == [("prediction log refused", refusal(tmp_path / "file/log", "Not a directory"))]
    (tmp_path / "file").unlink()
    log.log.flush()
    assert log.files() == {"2026-11-24T15": ["0"]}


def test_an_error_that_nobody_foresaw_does_not_end_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log(tmp_path)
    log.add()
    with monkeypatch.context() as patch:
        patch.setattr(prediction_log, "write", lambda *_: {}["secret"])
        log.log.flush()
    assert told(caplog) == [("prediction log refused", refusal(tmp_path, "KeyError"))]
    log.log.flush()
    assert log.files() == {"2026-11-24T15": ["0"]}


def test_its_thread_writes_by_itself_and_at_the_end(tmp_path: Path) -> None:
    log = Log(tmp_path, log_seconds=0.01)
    log.log.start()
    log.add()
    deadline = time.monotonic() + 30
    while not log.files():
        assert time.monotonic() < deadline, "nothing was written"
        time.sleep(0.005)
    log.add()
    log.log.close()
    assert log.files() == {"2026-11-24T15": ["0", "1"]}


def test_a_disk_that_hangs_holds_up_neither_requests_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go = threading.Event(), threading.Event()

    def hanging(*_: Any) -> None:
        begun.set()
        assert go.wait(timeout=30)

    monkeypatch.setattr(prediction_log, "write", hanging)
    monkeypatch.setattr(prediction_log, "CLOSE_SECONDS", 0.01)
    log = Log(tmp_path, log_rows=10, log_seconds=0.01)
    log.log.start()
    log.add()
    assert begun.wait(timeout=30)
    for _ in range(20):
        log.add()
    assert log.count("dropped_rows") == 11
    log.log.close()
    go.set()


def test_a_log_that_never_began_ends() -> None:
    Log(Path("nowhere")).log.close()
