"""Where a row belongs: a threshold on a hash of its content, so that every phase computes the same split."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = range(len(SPLITS))


def keys_of(ids: Iterable[str]) -> np.ndarray:
    """Ids of 32 hex digits -> (N, 2) uint64."""
    return np.frombuffer(bytes.fromhex("".join(ids)), dtype=">u8").reshape(-1, 2).astype(np.uint64)


def ids_of(keys: np.ndarray) -> list[str]:
    """What `keys_of` took."""
    digits = keys.astype(">u8").tobytes().hex()
    return [digits[start : start + 32] for start in range(0, len(digits), 32)]


def place(identity: str, test_share: float, validation_share: float) -> Split:
    """Split of the row with this id; arguments as of `places`."""
    return SPLITS[int(places(keys_of([identity]), test_share, validation_share)[0])]


def places(keys: np.ndarray, test_share: float, validation_share: float) -> np.ndarray:
    """Splits of the rows with these keys, (N,) places in `SPLITS`; adding rows never moves another.

    Args:
        keys: (N, 2) as `keys_of` makes them of the ids of examples or groups.
        test_share: share of all rows, in [0, 1).
        validation_share: share of the rows that are not test, in [0, 1).
    """
    draws = keys / 2.0**64
    learned = np.where(draws[:, 1] < validation_share, VALIDATION, TRAIN)
    return np.where(draws[:, 0] < test_share, TEST, learned).astype(np.int8)
