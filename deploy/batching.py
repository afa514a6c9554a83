"""Rows of many requests in one forward pass: an asyncio micro-batcher with a bounded queue."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.errors import GraftError

# Rows that may share a pass with the oldest are looked for among so many batches.
LOOK_BATCHES = 8
# Weight of the newest pass in the mean time of a row.
NEWEST = 0.1


def lasting(seconds: float) -> str:
    """1.0 -> "1 second", 0.02 -> "20 milliseconds", 6.04 -> "6 seconds"."""
    number, unit = (round(seconds, 1), "second") if seconds >= 1 else (round(seconds * 1e3, 2), "millisecond")
    return f"{number:g} {unit}{'' if number == 1 else 's'}"


class Overloaded(GraftError):
    """There is no room: the caller should come back later.

    Args:
        sentence: what is full.
        retry_s: when to come back, in whole seconds from 1.
    """

    def __init__(self, sentence: str, retry_s: float = 1) -> None:
        super().__init__(sentence)
        self.retry_s = max(1, math.ceil(retry_s))


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


@dataclass(frozen=True, eq=False)
class _Row:
    """A row that waits, and its tokens."""

    submission: _Submission
    place: int
    tokens: int


class Batcher:
    """Collects rows while forward passes run and sends them into the next one.

    A pass takes the row that has waited longest and those nearest to it in length, so that little of it is padding and
    no row is passed by for ever. Passes that are free share what waits, and a request runs at once. After a pass, a
    batch that is not full waits a moment for the clients that were just answered. Must be made inside a running event
    loop.

    Args:
        run: forward pass of N encoded rows, giving logits (N, K); called in threads of its own, `passes` at once.
        passes: forward passes at once, at most.
        tokens_of: tokens of one encoded row; without it, all rows count as one.
        batch_rows: rows of one pass, at most.
        batch_tokens: tokens of one pass with padding, at most; a longer row has a pass of its own.
        wait_s: longest wait for a batch to fill, in seconds.
        queue_rows: rows that may wait; beyond, `submit` refuses.
        longest_s: seconds that a row may have to wait as far as one can tell; beyond, `submit` refuses.
        on_batch: told the rows of each pass.
    """

    def __init__(
        self,
        run: Callable[[list[Any]], np.ndarray],
        *,
        passes: int = 1,
        tokens_of: Callable[[Any], int] = lambda row: 1,
        batch_rows: int = 16,
        batch_tokens: int = 128,
        wait_s: float = 0.002,
        queue_rows: int = 256,
        longest_s: float = math.inf,
        on_batch: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self._run, self._tokens_of, self._on_batch = run, tokens_of, on_batch
        self._batch_rows, self._batch_tokens = batch_rows, batch_tokens
        self._wait_s, self._queue_rows, self._longest_s = wait_s, queue_rows, longest_s
        self._queue: deque[_Row] = deque()
        self._running, self._row_s, self._newest_row_s = 0, 0.0, 0.0
        self._newest: deque[tuple[int, float]] = deque()  # rows and seconds of so many passes as fill one
        self._passes, self._busy, self._free = passes, 0, asyncio.Semaphore(passes)
        self._wake = asyncio.Event()
        self._idle = self._answered = self._closing = False
        self._thread = ThreadPoolExecutor(passes, thread_name_prefix="forward")
        self._worker = asyncio.get_running_loop().create_task(self._work())

    @property
    def waiting(self) -> int:
        """Rows in the queue."""
        return len(self._queue)

    def admit(self, rows: int, coming: int = 0) -> None:
        """Whether there is room for so many rows beside those that wait and `coming` others.

        Raises:
            Overloaded: the queue has no place for all of them, or they would wait too long.
        """
        before = self.waiting + coming
        # The slower of the two: when passes become slow, what waits already will be late. All passes are busy then.
        wait_s = (before + self._running) * max(self._row_s, self._newest_row_s) / self._passes
        if before + rows > self._queue_rows:
            raise Overloaded(f"The queue of {self._queue_rows} rows is full: try again in a second.", wait_s)
        if wait_s > self._longest_s:
            raise Overloaded(f"An answer would have to wait for {lasting(wait_s)}: try again later.", wait_s)

    async def submit(self, rows: Sequence[Any]) -> np.ndarray:
        """Logits (N, K) of N >= 1 rows, in their order; a caller that is cancelled takes back what has not run.

        Raises:
            Overloaded: as `admit`; none was taken.
            Closed: `close` was called.
            Exception: what `run` raised on a batch that held one of these rows.
        """
        assert rows, "a request without rows would wait for ever"
        if self._closing:
            raise Closed("The server is stopping: send the request to another one.")
        self.admit(len(rows))
        submission = _Submission(rows, asyncio.get_running_loop().create_future(), {})
        self._queue.extend(_Row(submission, place, self._tokens_of(row)) for place, row in enumerate(rows))
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
        async with asyncio.TaskGroup() as passes:
            while self._queue or not self._closing:
                await self._free.acquire()
                await self._until_worthwhile()
                if batch := self._next_batch():
                    self._busy, self._answered = self._busy + 1, False
                    passes.create_task(self._answer(batch))
                else:
                    self._free.release()

    async def _until_worthwhile(self) -> None:
        if self._closing or self.waiting >= self._batch_rows or (self._queue and not self._answered):
            return
        self._wake.clear()
        self._idle = not self._queue
        timer = None if self._idle else asyncio.get_running_loop().call_later(self._wait_s, self._wake.set)
        await self._wake.wait()
        self._idle = False
        if timer:
            timer.cancel()

    def _next_batch(self) -> list[_Row]:
        look: list[_Row] = []
        while self._queue and len(look) < LOOK_BATCHES * self._batch_rows:
            row = self._queue.popleft()
            # Nobody waits for rows of a request that was cancelled or has failed in an earlier batch.
            if not row.submission.answer.done():
                look.append(row)
        batch = self._alike(look, math.ceil(len(look) / (self._passes - self._busy)))
        taken = {id(row) for row in batch}
        self._queue.extendleft(row for row in reversed(look) if id(row) not in taken)
        return batch

    def _alike(self, look: list[_Row], share: int) -> list[_Row]:
        """The first row and those nearest to it in length, as many as one pass takes, or its share if that is less."""
        batch: list[_Row] = []
        longest = 0
        for row in sorted(look, key=lambda row: abs(row.tokens - look[0].tokens)):
            longest = max(longest, row.tokens)
            full = len(batch) in (self._batch_rows, share) or longest * (len(batch) + 1) > self._batch_tokens
            if full and batch:
                break
            batch.append(row)
        return batch

    async def _answer(self, batch: list[_Row]) -> None:
        rows = [row.submission.rows[row.place] for row in batch]
        self._running += len(rows)
        began = time.monotonic()
        try:
            self._on_batch(len(rows))
            logits = await asyncio.get_running_loop().run_in_executor(self._thread, self._run, rows)
            if len(logits) != len(rows):
                raise ValueError(f"{len(logits)} rows of logits for {len(rows)} rows")
        except Exception as error:
            for row in batch:
                row.submission.fail(error)
            return
        finally:
            self._free.release()
            self._busy, self._running, self._answered = self._busy - 1, self._running - len(rows), True
            self._took(len(rows), time.monotonic() - began)
        for row, answer in zip(batch, logits, strict=True):
            row.submission.take(row.place, answer)

    def _took(self, rows: int, seconds: float) -> None:
        # From 0 on, since a first pass is slow for reasons that do not come again.
        self._row_s += NEWEST * (seconds / rows - self._row_s)
        self._newest.append((rows, seconds))
        while sum(rows for rows, _ in self._newest) - self._newest[0][0] >= self._batch_rows:
            self._newest.popleft()
        answered = sum(rows for rows, _ in self._newest)
        # A single row that was held up says little of others.
        self._newest_row_s = sum(seconds for _, seconds in self._newest) / max(answered, self._batch_rows)
