"""Gradual: blocks begin to learn one after the other from the top, lower ones more slowly (Howard and Ruder 2018)."""

from __future__ import annotations

from tasks.training.scope import Scope
from tasks.training.settings import Scope as Settings


def scope(settings: Settings, depth: int) -> Scope:
    """The last block and what follows it learn from the start; what lies before the first is the last to begin.

    Gradual unfreezing and discriminative rates of ULMFiT: the rate falls by `gradual.decay` from a block to the one
    below it, and all learn from the share `gradual.all_from` of the steps on.
    """
    decay, all_from = settings.gradual.decay, settings.gradual.all_from

    def lr_factor(name: str, block: int, progress: float) -> float:
        below = max(0, depth - 1 - block)  # blocks that began before it
        begins = all_from * below / max(1, depth)
        return float(decay**below) if progress >= begins else 0.0

    return Scope(lr_factor)
