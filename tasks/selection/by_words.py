"""The choice where no row has a label: which model's words answer, and why nothing better can be said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tasks import zero_shot


@dataclass(frozen=True)
class Whole:
    """One candidate with all of its blocks; units as in `cost.Cost`."""

    source: str
    revision: str
    depth: int
    pool: str
    parameters: int
    bytes: int
    operations: int


def ranked(models: Sequence[Whole]) -> list[Whole]:
    """Fewest operations first, then name: all that is known without labels."""
    return sorted(models, key=lambda one: (one.operations, one.source))


def ranking(models: Sequence[Whole]) -> list[dict[str, Any]]:
    """All candidates in the order of `ranked`."""
    return [asdict(one) for one in ranked(models)]


def choose(models: Sequence[Whole], words: Mapping[str, str]) -> dict[str, Any]:
    """The choice that the later phases read, in the form of `choice.choose`.

    Args:
        models: all candidates.
        words: label -> what the model reads of it.
    """
    best, *others = ranked(models)
    reason = (
        f"All {best.depth} blocks, pool {best.pool}, as sentence encoders are trained: without labels nothing says "
        "whether a shallower cut answers better."
    )
    return {
        "source": best.source,
        "revision": best.revision,
        "model_reason": _model_reason(best, others),
        "scope": zero_shot.SCOPE,
        "objective": zero_shot.OBJECTIVE,
        "scope_reason": f"{zero_shot.SCOPE}: no row has a label, so that nothing can be learned or measured; an "
        "example gets the label whose words the model finds nearest.",
        "scopes": {
            zero_shot.SCOPE: {"depth": best.depth, "pool": best.pool, "reason": reason, "words": dict(words)},
        },
    }


def _model_reason(best: Whole, others: Sequence[Whole]) -> str:
    if not others:
        return f"{best.source} is the only candidate."
    return (
        f"{best.source} takes the fewest operations of {1 + len(others)} models, {best.operations:.3g} for an example "
        f"of median length, next {others[0].source} with {others[0].operations:.3g}: without labels nothing says which "
        "of them answers better."
    )
