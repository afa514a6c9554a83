"""Rows of many requests share a forward pass, and each request gets its own rows back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from deploy.batching import Batcher
from tests.gate import LONG_S, Gate, begun, expected, run, waiting


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
