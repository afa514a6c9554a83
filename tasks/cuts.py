"""The cut of a model, its depth and pool, that selection chose for what learns."""

from __future__ import annotations

from typing import Any

from tasks.errors import InputError


def of(choice: dict[str, Any], scope: str) -> dict[str, Any]:
    """Depth, pool and why.

    Args:
        choice: as selection wrote it.
        scope: what learns, as selection or the params name it; one without a cut of its own has that of full, which
            serves wherever blocks learn.

    Raises:
        InputError: no row has a label, and the params name what learns from labels.
    """
    scopes: dict[str, dict[str, Any]] = choice["scopes"]
    cut = scopes.get(scope) or scopes.get("full")
    if cut is None:
        raise InputError(
            f"adaptation.scope.kind is {scope}, but no row has a label to learn from: set it to auto, by which the "
            "labels' words answer."
        )
    return cut
