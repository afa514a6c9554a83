"""Full: every parameter learns at the peak rate."""

from __future__ import annotations

from typing import Any


def prepare(backbone: Any) -> None:
    """Every parameter takes a gradient."""
    backbone.requires_grad_(True)


def lr_factor(name: str, block: int | None, progress: float) -> float:
    """1 everywhere."""
    return 1.0
