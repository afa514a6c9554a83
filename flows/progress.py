"""A bar under the log lines of a run, on a terminal only: which stage runs, how many are done, how long it may take."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

STARTED = re.compile(r"Running stage '([^']+)'")


class StageBar(logging.Handler):
    """Moves a bar from the lines that stages are announced with.

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
