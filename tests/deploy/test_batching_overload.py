"""Rows for which the queue has no room, or which would wait too long, are refused, and told when to come back."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest

from deploy import batching
from deploy.batching import Batcher, Overloaded, lasting
from tests.gate import Gate, begun, expected, run, waiting


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
