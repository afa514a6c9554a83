"""Where a row belongs: a threshold on a hash of its content, so that every phase computes the same split."""

from __future__ import annotations

from typing import Literal

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def place(identity: str, test_share: float, validation_share: float) -> Split:
    """Split of the row with this id; adding rows never moves another.

    Args:
        identity: hex digits as a modality makes them.
        test_share: share of all rows, in [0, 1).
        validation_share: share of the rows that are not test, in [0, 1).
    """
    test_draw = int(identity[:16], 16) / 2**64
    validation_draw = int(identity[16:32], 16) / 2**64
    if test_draw < test_share:
        return "test"
    return "validation" if validation_draw < validation_share else "train"
