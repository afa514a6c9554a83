"""Top: the highest blocks learn, and what follows them; what lies below is computed and stays as it is."""

from __future__ import annotations

from tasks.training.scope import Scope
from tasks.training.settings import Scope as Settings


def scope(settings: Settings, depth: int) -> Scope:
    """The highest `top.blocks` blocks learn; where there are fewer, all of them, but nothing before the first."""
    lowest = max(0, depth - settings.top.blocks)
    return Scope(lambda name, block, progress: float(block >= lowest))
