"""How the rate moves: up during the warm-up, then down to 0 by a row of `DECAYS`."""

from __future__ import annotations

import math
from collections.abc import Callable


def linear(progress: float) -> float:
    """Factor that falls by the same amount at every step, from 1 at progress 0 to 0 at 1."""
    return 1 - progress


def cosine(progress: float) -> float:
    """Factor that falls slowly at first and at last (Loshchilov and Hutter 2017, SGDR), from 1 at 0 to 0 at 1."""
    return (1 + math.cos(math.pi * progress)) / 2


DECAYS: dict[str, Callable[[float], float]] = {"linear": linear, "cosine": cosine}


def schedule(progress: float, warmup_share: float, decay: str) -> float:
    """Factor on the peak rate.

    Args:
        progress: share of all steps done, in [0, 1).
        warmup_share: share of all steps in which the factor rises linearly from 0 to 1.
        decay: a row of `DECAYS`, for the rest of the steps.
    """
    if progress < warmup_share:
        return progress / warmup_share
    return DECAYS[decay]((progress - warmup_share) / (1 - warmup_share))
