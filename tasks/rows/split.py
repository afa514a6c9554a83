"""Where a row belongs: a threshold on a hash of its content, so that every phase computes the same split."""

from __future__ import annotations

import hashlib
import unicodedata
from typing import Literal

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def normalise(text: str) -> str:
    """Text with compatibility forms, case and white space folded: what makes two rows the same."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def row_id(text: str) -> str:
    """32 hex digits of the sha256 of the normalised text."""
    return hashlib.sha256(normalise(text).encode("utf-8")).hexdigest()[:32]


def place(identity: str, test_share: float, validation_share: float) -> Split:
    """Split of the row with this id; adding rows never moves another.

    Args:
        identity: hex digits as `row_id` makes them.
        test_share: share of all rows, in [0, 1).
        validation_share: share of the rows that are not test, in [0, 1).
    """
    test_draw = int(identity[:16], 16) / 2**64
    validation_draw = int(identity[16:32], 16) / 2**64
    if test_draw < test_share:
        return "test"
    return "validation" if validation_draw < validation_share else "train"
