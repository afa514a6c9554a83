"""Few tries, with back-off, for what is declared transient and for nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
CONNECT_SECONDS = 10
READ_SECONDS = 60
PAUSES = (0.5, 2.0)


def patiently(attempt: Callable[[], T], transient: Callable[[Exception], bool]) -> T:
    """The outcome of the first try that works; what is not transient, or fails to the end, is raised.

    Args:
        attempt: starts from nothing each time.
        transient: whether an error may go away by itself within seconds. Time-outs are none: they have waited already.
    """
    for pause in PAUSES:
        try:
            return attempt()
        except Exception as error:
            if not transient(error):
                raise
        time.sleep(pause)
    return attempt()
