"""A forward pass that fails, a request that is gone and a batcher that closes harm no row of another."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from deploy.batching import Batcher, Closed
from tests.gate import LONG_S, Gate, begun, expected, run, waiting


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
