"""How far a run or a job is: a bar on a terminal, and elsewhere, for rows, a line now and then; never on stdout."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_SECONDS = 10.0
# As `tasks/training/pace.py` says it.
TRAINS = re.compile(r"step \d+ of \d+: \d+ rows a second, about (.+) left")
STARTED = re.compile(r"Running stage '([^']+)'")


class StageBar(logging.Handler):
    """Moves a bar from the lines that stages are announced with, and tells what a training has left.

    Args:
        bar: a `rich.progress.Progress`.
        seconds: stage -> expected seconds, for the stages that wait; the bar moves by these.
    """

    def __init__(self, bar: Progress, seconds: Mapping[str, float]) -> None:
        super().__init__()
        self.bar, self.left = bar, dict(seconds)
        self.running: str | None = None
        self.total = sum(self.left.values())
        self.task = bar.add_task("starting", total=self.total)

    def emit(self, record: logging.LogRecord) -> None:
        if self.running and (trains := TRAINS.search(record.getMessage())):
            self.bar.update(self.task, description=f"{self.running}, this training about {trains[1]} left")
        match = STARTED.search(record.getMessage())
        if match and match[1] in self.left:
            if self.running:
                self.left.pop(self.running)
            self.running = match[1]
            minutes = max(1, round(sum(self.left.values()) / 60))
            text = f"{self.running}, about {minutes} min left"
            self.bar.update(self.task, completed=self.total - sum(self.left.values()), description=text)


@contextmanager
def stage_bar(seconds: Callable[[], Mapping[str, float]]) -> Iterator[Callable[[], None]]:
    """Show the bar while the block runs; where stderr is no terminal, nothing is asked or shown.

    Yields:
        What lets the bar follow the log, to be called once Prefect has set its logging up, which drops other handlers.
    """
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    # Prefect's handler takes hold of stderr when it is imported: only from here on its lines go above the bar.
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        handler = StageBar(bar, seconds())
        logger = logging.getLogger("prefect.task_runs")
        try:
            yield lambda: logger.addHandler(handler)
        finally:
            logger.removeHandler(handler)


@contextmanager
def row_progress(total: int, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show how many of `total` rows are done while the block runs.

    Args:
        total: rows in all.
        quiet: show nothing, for a program reads stderr, or the rows themselves run over the terminal.

    Yields:
        What takes the rows done so far, and how many of them an earlier call had done.
    """
    if quiet or not sys.stderr.isatty():
        yield (lambda done, found: None) if quiet else RowLines(total, time.monotonic).show
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("rows"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("rows", total=total)
        yield lambda done, _: bar.update(task, completed=done)


class RowLines:
    """A line to stderr every `LINE_SECONDS`: rows done, share, rate, what may be left.

    Args:
        total: rows in all.
        clock: seconds.
    """

    def __init__(self, total: int, clock: Callable[[], float]) -> None:
        self._total, self._clock = total, clock
        self._start = self._last = clock()

    def show(self, done: int, found: int) -> None:
        """Say, if it is time to, that `done` rows are; `found` of them cost this call nothing."""
        now = self._clock()
        if now - self._last < LINE_SECONDS:
            return
        self._last = now
        rate = (done - found) / (now - self._start)
        left = f", {_about((self._total - done) / rate / 60)} left" if rate else ""
        told = f"{done:,} of {self._total:,} rows ({done / self._total:.0%}), {rate:,.0f} a second{left}"
        print(told, file=sys.stderr, flush=True)


def _about(minutes: float) -> str:
    return f"about {minutes:.0f} min" if minutes >= 1 else "under a minute"
