"""The prediction log of a server: no request waits for it, and none fails of it."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deploy.predictions import HOUR, Request, new_path, remove_before, table_of, write
from deploy.settings import Settings
from deploy.telemetry import LOG, Metrics

if TYPE_CHECKING:
    import pyarrow as pa

CLOSE_SECONDS = 10.0


@dataclass
class _Hour:
    """All rows of one hour and release, and whether they stand in the file."""

    path: Path
    tables: list[pa.Table] = field(default_factory=list)
    size: int = 0
    written: bool = True


class PredictionLog:
    """Writes what it is handed to files by the hour, in a thread of its own.

    The current hour stays in memory, and its file is written anew whenever there are new rows: whatever kills the
    server, the file can be read and lacks the last `log_seconds` at most. While the system refuses to write, rows
    stay in memory, up to `log_rows`; beyond, they are dropped.

    Args:
        folder: made when there is something to write.
        settings: of the server, those that begin with `log`.
        metrics: where dropped rows and refused writes are counted.
        now: the time in UTC.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        metrics: Metrics,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._folder, self._settings, self._metrics, self._now = folder, settings, metrics, now
        # The event loop appends and adds to `_added`, the thread takes and adds to `_gone`: no lock to wait for.
        self._waiting: deque[Request] = deque()
        self._added = self._gone = 0
        self._hours: dict[tuple[str, str], _Hour] = {}
        self._outage = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="prediction-log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def add(
        self,
        request_id: str,
        version: str,
        answers: Sequence[Any],
        projection: np.ndarray,
        inputs: Sequence[str] | None = None,
    ) -> None:
        """Hand over one request's answers, as `Request` has them; neither waits nor raises. For one thread."""
        request = Request(self._now(), request_id, version, answers, projection, inputs)
        if self._added - self._gone + request.size > self._settings.log_rows:
            self._metrics.log_dropped.inc(len(answers))
            return
        self._added += request.size
        self._waiting.append(request)

    def close(self) -> None:
        """Write what waits, if the system takes it within seconds, and end."""
        self._closing.set()
        if self._thread.ident:
            self._thread.join(CLOSE_SECONDS)

    def flush(self) -> None:
        """Write every file that has new rows and remove those that are too old; a refusal is told once per outage."""
        now = self._now()
        try:
            self._take()
            remove_before(self._folder, (now - timedelta(hours=self._settings.log_hours - 1)).strftime(HOUR))
            for hour in self._hours.values():
                self._write(hour)
        except Exception as error:  # whatever befalls one write, the thread is there for the next
            self._metrics.log_refused.inc()
            self._tell(error)
            return
        self._tell(None)
        self._let_go_before(now.strftime(HOUR))

    def _work(self) -> None:
        import pyarrow.parquet  # noqa: F401  while the release is loading, so that no request waits for it

        while not self._closing.wait(self._settings.log_seconds):
            self.flush()
        self.flush()

    def _take(self) -> None:
        requests: defaultdict[tuple[str, str], list[Request]] = defaultdict(list)
        while self._waiting:
            request = self._waiting.popleft()
            requests[request.hour, request.version].append(request)
        for key, fresh in requests.items():
            # A file for each release, since they differ in the length of their projections.
            hour = self._hours.setdefault(key, _Hour(new_path(self._folder, key[0])))
            hour.size += sum(request.size for request in fresh)
            hour.tables.append(table_of(fresh))
            hour.written = False

    def _write(self, hour: _Hour) -> None:
        import pyarrow as pa

        if not hour.written:
            hour.tables = [pa.concat_tables(hour.tables).combine_chunks()]
            write(hour.path, hour.tables[0])
            hour.written = True

    def _let_go_before(self, now: str) -> None:
        """Free the memory of past hours; a row that still comes opens another file, so that none is overwritten."""
        for key in [key for key in self._hours if key[0] < now]:
            self._gone += self._hours.pop(key).size

    def _tell(self, error: Exception | None) -> None:
        if error and not self._outage:
            told = getattr(error, "strerror", None) or type(error).__name__
            reason = (
                f"The log cannot be written to {self._folder} ({told}): let GRAFT_LOG_FOLDER name a folder that has "
                "room and that the server's user may write, or set it to nothing for no log."
            )
            LOG.error("prediction log refused", extra={"fields": {"reason": reason}})
        if self._outage and not error:
            LOG.info("prediction log written again")
        self._outage = error is not None
