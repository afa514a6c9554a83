"""The rows of a step, divided into forward and backward passes whose gradients add up to those of the whole step."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np


def passes(positions: Sequence[int], at_most: int) -> list[list[int]]:
    """Places of a step's rows, each in one pass, beside rows of like length.

    Args:
        positions: of each of N rows, what its cost grows with, such as tokens.
        at_most: positions of a pass, padding included. Two rows are a pass whatever they have: of a single one batch
            normalisation has no variance.
    """
    rows = max(1, at_most // max(positions))
    count = min(ceil(len(positions) / rows), max(1, len(positions) // 2))
    if count == 1:  # in the order given: the last bits depend on it
        return [list(range(len(positions)))]
    return [part.tolist() for part in np.array_split(np.argsort(positions, kind="stable"), count)]
