"""Full: every parameter learns at the peak rate."""

from __future__ import annotations

from tasks.training.scope import Scope
from tasks.training.settings import Scope as Settings


def scope(settings: Settings, depth: int) -> Scope:
    """Every parameter of the backbone learns."""
    return Scope(lambda name, block, progress: 1.0)
