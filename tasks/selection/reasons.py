"""Why a model, its depth and its pool were chosen, each in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tasks.selection.choice import Scored

# What decides on the model and its cut: the ranking, short adaptations, or that it is served already.
Why = Literal["first", "halving", "live"]


def of_model(best: Scored, order: Sequence[Scored], candidates: int, why: Why) -> str:
    """Why this model; `order` has all candidates, best first, and `candidates` counts the models that params name."""
    first, count = order[0], len({(one.source, one.revision) for one in order})
    if count == 1:
        which = "candidate" if candidates == 1 else f"one of {candidates} candidates that selection.limits leave"
        return f"{best.source} is the only {which}."
    if why == "halving":
        also = "and ranks" if first.of_model(best) else f"{first.source} ranks"
        return f"{best.source} won the short adaptations of selection.strategy.halving, {also} first of {count} models."
    if not first.of_model(best):
        return f"{best.source} is live and stays: {first.source} ranks first, by no more than a standard error."
    second = next(one for one in order if not one.of_model(best))
    return (
        f"{best.source} ranks first of {count} models by {_votes(order)} together: "
        f"{first.log_loss:.3f} and {first.log_me:.3f}, next {second.source} with {second.log_loss:.3f} and "
        f"{second.log_me:.3f}."
    )


def of_frozen(best: Scored, last: Scored, order: Sequence[Scored], why: Why) -> str:
    """Why this depth and pool where all blocks stay as they are, beside the deepest cut of the model."""
    cut, first = f"Depth {best.depth} of {best.deepest}, pool {best.pool}", order[0]
    if why == "live" and not first.of_model(best):
        return f"{cut}, is live and stays with its model."
    if why == "live":
        return (
            f"{cut}, is live and stays: depth {first.depth}, pool {first.pool}, ranks first by {_votes(order)} "
            f"together, and its log loss {first.log_loss:.3f} is not lower than {best.log_loss:.3f} by more than the "
            f"standard error, {best.standard_error:.3f}."
        )
    if best.depth == last.depth:
        return (
            f"{cut}: {_top(last)} ranks first of {sum(one.of_model(best) for one in order)} depths and pools by "
            f"{_votes(order)} together, {best.log_loss:.3f} (accuracy {best.accuracy:.1%}) and {best.log_me:.3f}."
        )
    saved = 1 - best.operations / last.operations
    return (
        f"{cut}, ranks first by {_votes(order)} together: "
        f"{best.log_loss:.3f} (accuracy {best.accuracy:.1%}) and {best.log_me:.3f} against {last.log_loss:.3f} "
        f"({last.accuracy:.1%}) and {last.log_me:.3f} at {_top(last)}, with {saved:.0%} fewer operations."
    )


def of_full(moving: Scored, last: Scored, beaten: Mapping[str, str]) -> str:
    """Why these blocks and this pool where blocks learn; `last` is the cut that ranks first of those as deep."""
    return (
        f"{_blocks(moving)}: training rewrites the top ones, so a probe of them frozen does not speak against them; "
        f"{_pool(moving, last, beaten)}."
    )


def _blocks(last: Scored) -> str:
    if last.depth == last.deepest:
        return f"All {last.depth} blocks"
    return f"The lowest {last.depth} of {last.deepest} blocks, all that selection.limits leave"


def _pool(moving: Scored, last: Scored, beaten: Mapping[str, str]) -> str:
    if moving.pool == last.pool:
        return f"pool {last.pool} ranks first there"
    return f"pool {moving.pool}: {last.pool}, which ranks first there, loses to {beaten[last.pool]} once they learn"


def _top(last: Scored) -> str:
    return "the last block" if last.depth == last.deepest else "the deepest cut that selection.limits leave"


def _votes(scored: Sequence[Scored]) -> str:
    if any(one.off_typical for one in scored):
        return "cross-validated log loss, LogME and, for so few rows, typical depth"
    return "cross-validated log loss and LogME"
