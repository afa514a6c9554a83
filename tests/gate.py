"""A forward pass that a test holds back, and waits until rows have come to it: what the tests of batching share.

It answers row r with (r, 2 r). A `Gate` holds it back, so that what waits meanwhile is known and nothing depends
on time.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any

import numpy as np

from deploy.batching import Batcher

LONG_S = 3600.0


class Gate:
    """A forward pass that remembers its batches and waits for `open` before it answers."""

    def __init__(self, is_open: bool = True) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()
        self._open = threading.Event()
        if is_open:
            self._open.set()

    def open(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._open.clear()

    def __call__(self, rows: list[int]) -> np.ndarray:
        self.batches.append(rows)
        self.threads.add(threading.current_thread().name)
        assert self._open.wait(timeout=30)
        if -1 in rows:
            raise ValueError("row -1")
        return expected(rows)


def expected(rows: Sequence[int]) -> np.ndarray:
    return np.array([[row, 2 * row] for row in rows], dtype=np.float32)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, timeout=30))


async def begun(gate: Gate, batches: int) -> None:
    """Until that many batches have reached the forward pass."""
    while len(gate.batches) < batches:
        await asyncio.sleep(0.001)


async def waiting(batcher: Batcher, rows: int) -> None:
    """Until that many rows stand in the queue."""
    while batcher.waiting != rows:
        await asyncio.sleep(0.001)
