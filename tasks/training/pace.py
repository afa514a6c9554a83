"""How fast a training goes, and how long it may still take: a line now and then, and none for a short one."""

from __future__ import annotations

import time
from collections.abc import Callable

LINE_SECONDS = 20.0


class Pace:
    """Says what steps come to; early stopping may end a training sooner.

    Args:
        what: is trained, in words.
        say: receives a line every `LINE_SECONDS`.
        clock: seconds.
    """

    def __init__(self, what: str, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._say, self._clock = what, say, clock
        self._start = self._last = clock()
        self._steps = self._rows = 0

    def __call__(self, step: int, steps: int, rows: int) -> None:
        """One more step of this call is done.

        Args:
            step: its number in the training, from 1; what was done before a kill counts.
            steps: of the whole training.
            rows: of this step.
        """
        self._steps += 1
        self._rows += rows
        now = self._clock()
        if now - self._last < LINE_SECONDS:
            return
        self._last, spent = now, now - self._start
        left = in_words((steps - step) * spent / self._steps)
        self._say(f"{self._what}, step {step} of {steps}: {self._rows / spent:.0f} rows a second, about {left} left.")


def in_words(seconds: float) -> str:
    """Rounded as one would say it: seconds, minutes, hours and minutes."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
