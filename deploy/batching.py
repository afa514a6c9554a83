"""Rows of many requests in one forward pass: an asyncio micro-batcher with a bounded queue."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.errors import GraftError


class Overloaded(GraftError):
    """The queue is full: the caller should come back later."""


class Closed(GraftError):
    """The batcher takes no more rows, since the server is stopping."""


@dataclass(eq=False)
class _Submission:
    """Rows that came together and whose logits go back together; `logits` fills up batch by batch."""

    rows: Sequence[Any]
    answer: asyncio.Future[np.ndarray]
    logits: dict[int, np.ndarray]

    def take(self, place: int, logits: np.ndarray) -> None:
        self.logits[place] = logits
        if len(self.logits) == len(self.rows) and not self.answer.done():
            self.answer.set_result(np.stack([self.logits[i] for i in range(len(self.rows))]))

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Batcher:
    """Collects rows while a forward pass runs and sends them into the next one, first come, first served.

    An idle batcher runs a request at once. After a pass, a batch that is not full waits a moment for the clients
    that were just answered. Must be made inside a running event loop.

    Args:
        run: forward pass of N encoded rows, giving logits (N, K); called in one thread of its own.
        batch_rows: rows of one pass, at most.
        wait_s: longest wait for a batch to fill, in seconds.
        queue_rows: rows that may wait; beyond, `submit` refuses.
        on_batch: told the rows of each pass.
    """

    def __init__(
        self,
        run: Callable[[list[Any]], np.ndarray],
        *,
        batch_rows: int = 16,
        wait_s: float = 0.002,
        queue_rows: int = 256,
        on_batch: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self._run, self._on_batch = run, on_batch
        self._batch_rows, self._wait_s, self._queue_rows = batch_rows, wait_s, queue_rows
        self._queue: deque[tuple[_Submission, int]] = deque()
        self._wake = asyncio.Event()
        self._idle = self._closing = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forward")
        self._worker = asyncio.get_running_loop().create_task(self._work())

    @property
    def waiting(self) -> int:
        """Rows in the queue."""
        return len(self._queue)

    async def submit(self, rows: Sequence[Any]) -> np.ndarray:
        """Logits (N, K) of N >= 1 rows, in their order.

        Raises:
            Overloaded: the queue has no place for all of them; none was taken.
            Closed: `close` was called.
            Exception: what `run` raised on a batch that held one of these rows.
        """
        assert rows, "a request without rows would wait for ever"
        if self._closing:
            raise Closed("The server is stopping: send the request to another one.")
        if self.waiting + len(rows) > self._queue_rows:
            raise Overloaded(f"The queue of {self._queue_rows} rows is full: try again in a second.")
        submission = _Submission(rows, asyncio.get_running_loop().create_future(), {})
        self._queue.extend((submission, place) for place in range(len(rows)))
        if self._idle or self.waiting >= self._batch_rows:
            self._wake.set()
        return await submission.answer

    async def close(self) -> None:
        """Refuse new rows, answer those that wait, and end."""
        self._closing = True
        self._wake.set()
        await self._worker
        self._thread.shutdown()

    async def _work(self) -> None:
        while True:
            await self._until_worthwhile()
            if batch := self._next_batch():
                await self._answer(batch)
            elif self._closing:
                return

    async def _until_worthwhile(self) -> None:
        if self._closing or self.waiting >= self._batch_rows:
            return
        self._wake.clear()
        self._idle = not self._queue
        timer = None if self._idle else asyncio.get_running_loop().call_later(self._wait_s, self._wake.set)
        await self._wake.wait()
        self._idle = False
        if timer:
            timer.cancel()

    def _next_batch(self) -> list[tuple[_Submission, int]]:
        batch: list[tuple[_Submission, int]] = []
        while self._queue and len(batch) < self._batch_rows:
            submission, place = self._queue.popleft()
            # Nobody waits for rows of a request that was cancelled or has failed in an earlier batch.
            if not submission.answer.done():
                batch.append((submission, place))
        return batch

    async def _answer(self, batch: list[tuple[_Submission, int]]) -> None:
        rows = [submission.rows[place] for submission, place in batch]
        try:
            self._on_batch(len(rows))
            logits = await asyncio.get_running_loop().run_in_executor(self._thread, self._run, rows)
            if len(logits) != len(rows):
                raise ValueError(f"{len(logits)} rows of logits for {len(rows)} rows")
        except Exception as error:
            for submission, _ in batch:
                submission.fail(error)
            return
        for (submission, place), row in zip(batch, logits, strict=True):
            submission.take(place, row)
