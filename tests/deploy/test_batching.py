"""Rows of many requests share a forward pass, and each request gets its own rows back.

The forward pass of these tests answers row r with (r, 2 r). A `Gate` holds it back, so that what waits meanwhile
is known and nothing depends on time.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deploy import batching
from deploy.batching import Batcher, Closed, Overloaded, lasting

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


def test_each_submission_gets_its_own_rows() -> None:
    async def test() -> None:
        batcher = Batcher(Gate(), batch_rows=4)
        submissions = [list(range(10 * i, 10 * i + size)) for i, size in enumerate((1, 3, 4, 9, 2))]
        answers = await asyncio.gather(*[batcher.submit(rows) for rows in submissions])
        for rows, answer in zip(submissions, answers, strict=True):
            np.testing.assert_array_equal(answer, expected(rows))
        await batcher.close()

    run(test())


def test_an_idle_batcher_runs_at_once() -> None:
    async def test() -> None:
        gate = Gate()
        batcher = Batcher(gate, wait_s=LONG_S)
        await asyncio.sleep(0)
        for row in (1, 2, 3):  # each is answered before the next is sent; one wait would outlast the test
            np.testing.assert_array_equal(await batcher.submit([row]), expected([row]))
        assert gate.batches == [[1], [2], [3]]
        await batcher.close()

    run(test())


def test_rows_that_come_during_a_pass_share_the_next_up_to_its_size() -> None:
    async def test() -> None:
        gate, sizes = Gate(is_open=False), list[int]()
        batcher = Batcher(gate, batch_rows=4, on_batch=sizes.append)
        await asyncio.sleep(0)
        first = asyncio.create_task(batcher.submit([0]))
        await begun(gate, 1)
        others = [asyncio.create_task(batcher.submit([row, row + 1])) for row in (1, 3, 5)]
        await waiting(batcher, 6)
        gate.open()
        await asyncio.gather(first, *others)
        assert gate.batches == [[0], [1, 2, 3, 4], [5, 6]] and sizes == [1, 4, 2]
        assert len(gate.threads) == 1
        await batcher.close()

    run(test())


def test_as_many_passes_run_at_once_as_are_wanted() -> None:
    async def test() -> None:
        gate = Gate(is_open=False)
        batcher = Batcher(gate, passes=2)
        await asyncio.sleep(0)
        tasks = []
        for number, row in enumerate((0, 1), start=1):
            tasks.append(asyncio.create_task(batcher.submit([row])))
            await begun(gate, number)
        tasks += [asyncio.create_task(batcher.submit([row])) for row in (2, 3)]
        await waiting(batcher, 2)
        assert gate.batches == [[0], [1]]
        closing = asyncio.create_task(batcher.close())
        gate.open()
        for row, answer in enumerate(await asyncio.gather(*tasks)):
            np.testing.assert_array_equal(answer, expected([row]))
        await closing
        assert sorted(row for batch in gate.batches for row in batch) == [0, 1, 2, 3] and len(gate.threads) == 2

    run(test())


def test_free_passes_share_what_comes_together_without_a_wait() -> None:
    async def test() -> None:
        gate = Gate(is_open=False)
        batcher = Batcher(gate, passes=2, wait_s=LONG_S)
        await asyncio.sleep(0)
        rows = asyncio.create_task(batcher.submit([0, 1, 2, 3, 4]))
        await begun(gate, 2)
        gate.open()
        np.testing.assert_array_equal(await rows, expected(range(5)))
        assert sorted(gate.batches) == [[0, 1, 2], [3, 4]]
        await batcher.close()

    run(test())


def test_a_batch_that_is_not_full_waits_for_those_just_answered() -> None:
    async def test() -> None:
        gate = Gate(is_open=False)
        batcher = Batcher(gate, batch_rows=2, wait_s=LONG_S)
        await asyncio.sleep(0)
        first = asyncio.create_task(batcher.submit([0]))
        await begun(gate, 1)
        second = asyncio.create_task(batcher.submit([1]))
        await waiting(batcher, 1)
        gate.open()
        await first
        assert gate.batches == [[0]]
        np.testing.assert_array_equal(await batcher.submit([2]), expected([2]))
        await second
        assert gate.batches == [[0], [1, 2]]
        await batcher.close()

    run(test())


def test_the_wait_for_a_full_batch_ends() -> None:
    async def test() -> None:
        gate = Gate(is_open=False)
        batcher = Batcher(gate, batch_rows=2, wait_s=0.001)
        await asyncio.sleep(0)
        tasks = [asyncio.create_task(batcher.submit([0]))]
        await begun(gate, 1)
        tasks.append(asyncio.create_task(batcher.submit([1])))
        await waiting(batcher, 1)
        gate.open()
        await asyncio.gather(*tasks)
        assert gate.batches == [[0], [1]]
        await batcher.close()

    run(test())


def test_a_full_queue_refuses_all_rows_of_a_submission_and_recovers() -> None:
    async def test() -> None:
        gate = Gate(is_open=False)
        batcher = Batcher(gate, batch_rows=4, queue_rows=4)
        await asyncio.sleep(0)
        tasks = [asyncio.create_task(batcher.submit([0]))]
        await begun(gate, 1)
        tasks.append(asyncio.create_task(batcher.submit([1, 2, 3])))
        await waiting(batcher, 3)
        with pytest.raises(Overloaded, match="queue of 4 rows is full"):
            await batcher.submit([4, 5])
        assert batcher.waiting == 3
        tasks.append(asyncio.create_task(batcher.submit([6])))
        gate.open()
        await asyncio.gather(*tasks)
        assert sorted(row for batch in gate.batches for row in batch) == [0, 1, 2, 3, 6]
        np.testing.assert_array_equal(await batcher.submit([4, 5]), expected([4, 5]))
        await batcher.close()

    run(test())


async def passes_after_first(batcher: Batcher, gate: Gate, rows: Sequence[int]) -> list[list[int]]:
    """Passes of rows that came one by one while another pass, of row 0, was running."""
    await asyncio.sleep(0)
    tasks = [asyncio.create_task(batcher.submit([0]))]
    await begun(gate, 1)
    for row in rows:
        tasks.append(asyncio.create_task(batcher.submit([row])))
        await asyncio.sleep(0)
    await waiting(batcher, len(rows))
    gate.open()
    for row, answer in zip([0, *rows], await asyncio.gather(*tasks), strict=True):
        np.testing.assert_array_equal(answer, expected([row]))
    await batcher.close()
    return gate.batches[1:]


def test_a_pass_takes_the_oldest_row_and_those_nearest_to_it_in_length() -> None:
    async def test() -> None:
        gate = Gate(is_open=False)
        batcher = Batcher(gate, tokens_of=abs, batch_rows=2, batch_tokens=1000)
        assert await passes_after_first(batcher, gate, [50, 3, 49, 4, 8]) == [[50, 49], [3, 4], [8]]

    run(test())


def test_a_pass_keeps_to_its_tokens_with_padding_and_a_longer_row_runs_alone() -> None:
    async def test() -> None:
        gate = Gate(is_open=False)
        batcher = Batcher(gate, tokens_of=abs, batch_rows=16, batch_tokens=30)
        # Three rows of 10, padded, are 30; with one of 11 they would be 33 or more. 99 is over the budget by itself.
        found = await passes_after_first(batcher, gate, [10, 10, 99, 9, 11, 10])
        assert found == [[10, 10, 10], [99], [9, 11]]

    run(test())


def test_no_row_is_passed_by_for_ever() -> None:
    async def test() -> None:
        gate = Gate(is_open=False)
        batcher = Batcher(gate, tokens_of=abs, batch_rows=2, batch_tokens=1000)
        found = await passes_after_first(batcher, gate, [5, 90, 5, 5, 5, 5])
        assert found == [[5, 5], [90, 5], [5, 5]], "the second pass is that of the row that waited longest"

    run(test())


@pytest.mark.parametrize(("passes", "row_s"), [(1, 2.0), (2, 4.0)])
def test_rows_that_would_wait_too_long_are_refused_and_told_when_to_come_back(
    passes: int, row_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(batching, "time", SimpleNamespace(monotonic=lambda: now))  # not the loop's own

    class Slow(Gate):
        def __call__(self, rows: list[int]) -> np.ndarray:
            nonlocal now
            answer = super().__call__(rows)
            now += row_s * len(rows)  # two seconds a row of all passes together
            return answer

    async def test() -> None:
        nonlocal now
        gate = Slow()
        batcher = Batcher(gate, passes=passes, batch_rows=1, longest_s=5.0)
        await asyncio.sleep(0)
        await batcher.submit([1])
        gate.close()
        tasks = [asyncio.create_task(batcher.submit([row])) for row in (2, 3)]
        await begun(gate, 1 + passes)
        batcher.admit(1)  # behind two that run or wait: 4 seconds
        with pytest.raises(Overloaded, match=r"wait for 6 seconds.*\.$") as refused:
            batcher.admit(1, coming=1)
        assert refused.value.retry_s == 6
        gate.open()
        await asyncio.gather(*tasks)
        now = 0.0
        batcher._took(1, 0.0)  # one quick pass: the mean of those before it counts still
        with pytest.raises(Overloaded):
            batcher.admit(1, coming=20)
        await batcher.close()

    run(test())


def test_one_row_that_was_held_up_refuses_nobody_and_many_do() -> None:
    async def test() -> None:
        batcher = Batcher(Gate(), batch_rows=4, longest_s=5.0)
        await asyncio.sleep(0)
        batcher._took(1, 4.0)  # the very first
        batcher.admit(1, coming=4)
        for _ in range(20):
            batcher._took(2, 0.2)
        batcher._took(1, 4.0)
        batcher.admit(1, coming=4)
        for _ in range(3):
            batcher._took(1, 4.0)
        with pytest.raises(Overloaded, match=r"wait for 16 seconds:"):
            batcher.admit(1, coming=4)
        await batcher.close()

    run(test())


def test_an_exception_reaches_the_callers_of_its_batch_alone() -> None:
    async def test() -> None:
        gate = Gate(is_open=False)
        batcher = Batcher(gate, batch_rows=2)
        await asyncio.sleep(0)
        first = asyncio.create_task(batcher.submit([0]))
        await begun(gate, 1)
        rows = ([-1, 1, 2], [3], [4])  # batches: (-1, 1), which fails, so that 2 is dropped, then (3, 4)
        others = [asyncio.create_task(batcher.submit(part)) for part in rows]
        await waiting(batcher, 5)
        gate.open()
        failed, third, fourth = await asyncio.gather(*others, return_exceptions=True)
        assert isinstance(failed, ValueError)
        np.testing.assert_array_equal([await first, third, fourth], [expected([0]), expected([3]), expected([4])])
        assert gate.batches == [[0], [-1, 1], [3, 4]]
        await batcher.close()

    run(test())


def test_an_answer_of_another_length_is_an_error_and_not_a_mix_up() -> None:
    async def test() -> None:
        batcher = Batcher(lambda rows: expected(rows[:-1]))
        with pytest.raises(ValueError, match="1 rows of logits for 2 rows"):
            await batcher.submit([1, 2])
        await batcher.close()

    run(test())


def test_rows_of_a_cancelled_request_are_not_run() -> None:
    async def test() -> None:
        gate = Gate(is_open=False)
        batcher = Batcher(gate)
        await asyncio.sleep(0)
        first = asyncio.create_task(batcher.submit([0]))
        await begun(gate, 1)
        gone, stays = (asyncio.create_task(batcher.submit([row])) for row in (1, 2))
        await waiting(batcher, 2)
        gone.cancel()
        gate.open()
        await asyncio.gather(first, stays)
        assert gate.batches == [[0], [2]] and gone.cancelled()
        await batcher.close()

    run(test())


def test_a_request_that_is_cancelled_while_it_runs_harms_no_other() -> None:
    async def test() -> None:
        gate = Gate(is_open=False)
        batcher = Batcher(gate)
        await asyncio.sleep(0)
        gone = asyncio.create_task(batcher.submit([0]))
        await begun(gate, 1)
        gone.cancel()
        stays = asyncio.create_task(batcher.submit([1]))
        await waiting(batcher, 1)
        gate.open()
        np.testing.assert_array_equal(await stays, expected([1]))
        assert gone.cancelled()
        await batcher.close()

    run(test())


def test_close_answers_those_that_wait_and_refuses_others() -> None:
    async def test() -> None:
        gate = Gate(is_open=False)
        batcher = Batcher(gate, batch_rows=2, wait_s=LONG_S)
        await asyncio.sleep(0)
        tasks = [asyncio.create_task(batcher.submit([0]))]
        await begun(gate, 1)
        tasks.append(asyncio.create_task(batcher.submit([1, 2, 3])))
        await waiting(batcher, 3)
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0)
        with pytest.raises(Closed, match="stopping"):
            await batcher.submit([4])
        gate.open()
        await closing
        assert all(task.done() for task in tasks)
        np.testing.assert_array_equal(await tasks[1], expected([1, 2, 3]))

    run(test())


def test_an_idle_batcher_closes() -> None:
    async def test() -> None:
        batcher = Batcher(Gate())
        await asyncio.sleep(0)
        await batcher.close()

    run(test())


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.001, "1 millisecond"),
        (0.00032, "0.32 milliseconds"),
        (0.02, "20 milliseconds"),
        (1.0, "1 second"),
        (1.04, "1 second"),
        (1.5, "1.5 seconds"),
        (30.0, "30 seconds"),
        (3600.0, "3600 seconds"),
    ],
)
def test_a_time_is_told_in_the_number_and_the_unit_that_it_has(seconds: float, told: str) -> None:
    assert lasting(seconds) == told
