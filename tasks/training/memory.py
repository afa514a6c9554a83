"""A GPU whose memory does not hold a pass: from there on a step is computed in passes of half the size."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import torch

from tasks.errors import lacked_memory
from tasks.training.resuming import Progress

# A CPU's allocator says it in other words, and by the time it does so the machine has nothing left to try with.
GPU_TEXT = re.compile(r"out of memory|ALLOC_FAILED")


def fitted(
    compute: Callable[[int], float],
    positions: Callable[[], Sequence[int]],
    at_most: int,
    progress: Progress,
    forget: Callable[[], None],
    say: Callable[[str], None],
    divisible: bool,
) -> float:
    """The loss of a step, in passes that the memory holds.

    Args:
        compute: takes positions of a pass at most, leaves the step's gradients, gives its loss; the same when repeated.
        positions: of each row of the step.
        at_most: as the params say.
        progress: knows what that was lowered to before, and is told what it is lowered to now.
        forget: drops gradients that a failed attempt left.
        say: receives one line each time.
        divisible: whether a step may be computed in several passes.

    Raises:
        RuntimeError: as the library says it, where passes of two rows are too much, or the step has one pass alone.
    """
    while True:
        limit = progress.pass_positions or at_most
        try:
            return compute(limit)
        except RuntimeError as error:
            longest, rows = max(positions()), len(positions())
            if not divisible or not GPU_TEXT.search(str(error)) or limit <= 2 * longest:
                raise
            refused = lacked_memory(error)
        # Not before the error is gone: its traceback holds what the attempt had allocated.
        forget()
        torch.cuda.empty_cache()
        progress.pass_positions = max(2 * longest, min(limit, longest * rows) // 2)
        say(
            f"The GPU does not hold a pass of this step ({refused}): from here on passes have "
            f"{progress.pass_positions} positions at most."
        )
