"""Ranking, Pareto front and the choice of model, depth, pool and scope, each with its reason in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal

from tasks.params import Incumbent
from tasks.selection.strategy import Picked

# Single scores, told beside the choice and tried against it in benchmarks/selection.py; higher is better.
SCORES: dict[str, Callable[[Scored], float]] = {
    "the probe": lambda one: -one.log_loss,
    "LogME": lambda one: one.log_me,
    "H-score": lambda one: one.h_score,
    "NLEEP": lambda one: one.nleep,
    "k-NN": lambda one: one.knn,
}

NOTHING: Mapping[str, str] = MappingProxyType({})
# What decides on the model and its cut: the ranking, short adaptations, or that it is served already.
Why = Literal["first", "halving", "live"]


@dataclass(frozen=True)
class Scored:
    """One candidate; units as in `probe.ProbeScore`, `transferability.scores` and `cost.Cost`.

    `off_typical` is how far depth / deepest is from where few rows are served best as a rule, 0 where that has no vote.
    """

    source: str
    revision: str
    depth: int
    deepest: int
    pool: str
    accuracy: float
    log_loss: float
    standard_error: float
    log_me: float
    h_score: float
    nleep: float
    knn: float
    off_typical: float
    parameters: int
    bytes: int
    operations: int


def ranked(scored: Sequence[Scored]) -> list[Scored]:
    """Best first: lower sum of places, then lower log loss, then fewer operations, then name."""
    place = places(scored)
    return sorted(scored, key=lambda s: (place[s], s.log_loss, s.operations, s.source, s.depth, s.pool))


def places(scored: Sequence[Scored]) -> dict[Scored, int]:
    """How many have a lower log loss, how many a higher LogME, and how many a more typical depth, added up; 0 is best.

    The votes err in different ways: a probe of few rows by the luck of its folds, LogME by its Gaussian labels, and the
    typical depth knows nothing of these rows. benchmarks/selection.py has what each loses alone.
    """
    return {
        one: sum(
            (other.log_loss < one.log_loss) + (other.log_me > one.log_me) + (other.off_typical < one.off_typical)
            for other in scored
        )
        for one in scored
    }


def on_front(one: Scored, others: Sequence[Scored]) -> bool:
    """Whether no other candidate has both a lower log loss and fewer operations, or one of them at a tie."""
    return not any(
        other.log_loss <= one.log_loss
        and other.operations <= one.operations
        and (other.log_loss < one.log_loss or other.operations < one.operations)
        for other in others
    )


def picks(scored: Sequence[Scored]) -> dict[str, Scored]:
    """What each of `SCORES` alone would have picked; ties as in `ranked`."""
    return {name: max(ranked(scored), key=score) for name, score in SCORES.items()}


def ranking(scored: Sequence[Scored]) -> list[dict[str, Any]]:
    """All candidates, best first, each with its place on the Pareto front and the scores that would have picked it."""
    picked = picks(scored)
    return [
        asdict(one)
        | {"pareto": on_front(one, scored), "picked_by": [name for name, pick in picked.items() if pick == one]}
        for one in ranked(scored)
    ]


def deepest(model: Scored, scored: Sequence[Scored], beaten: Mapping[str, str] = NOTHING) -> Scored:
    """The pool that ranks first of a model at the most blocks that the limits leave.

    Args:
        model: a cut of it.
        scored: all candidates of all models.
        beaten: pool -> one that it loses to once blocks learn, so that it stands back where that one is there.
    """
    own = [one for one in scored if _of_one_model(one, model)]
    most = [one for one in own if one.depth == max(each.depth for each in own)]
    pools = {one.pool for one in most}
    return next(one for one in ranked(most) if beaten.get(one.pool) not in pools)


def stays(scored: Sequence[Scored], live: Incumbent) -> Scored | None:
    """The live cut, unless the first of the ranking has a log loss that is lower by more than its standard error.

    Votes that differ by noise would change the served model at every retraining. Source: the one-standard-error rule
    of Breiman et al. 1984.

    Args:
        scored: all candidates of all models.
        live: what is live, if anything is.
    """
    wanted = (live.source, live.revision, live.depth, live.pool)
    found = [one for one in scored if (one.source, one.revision, one.depth, one.pool) == wanted]
    if not found or ranked(scored)[0].log_loss < found[0].log_loss - found[0].standard_error:
        return None
    return found[0]


def choose(
    scored: Sequence[Scored],
    picked: Picked,
    model: Scored | None = None,
    candidates: int = 1,
    live: Scored | None = None,
    beaten: Mapping[str, str] = NOTHING,
) -> dict[str, Any]:
    """The choice that the later phases read.

    Args:
        scored: all candidates of all models.
        picked: what learns, by the table of strategies.
        model: whose best cut won the short adaptations; None for the first of the ranking.
        candidates: models that the params name; those without a score are out by a limit.
        live: what `stays`; None for the first of the ranking.
        beaten: as in `deepest`.

    Returns:
        model, scope, objective, and for frozen and all scopes that train blocks a depth and pool, each with a reason.
    """
    order = ranked(scored)
    best = model or live or order[0]
    last, moving = deepest(best, scored), deepest(best, scored, beaten)
    why: Why = "halving" if model else "first" if best == order[0] else "live"
    return {
        "source": best.source,
        "revision": best.revision,
        "model_reason": _model_reason(best, order, candidates, why),
        "scope": picked.scope,
        "objective": picked.objective,
        "scope_reason": picked.reason,
        "strategy": {
            "rule": picked.rule,
            "evidence": picked.evidence.record(),
            "sentence": picked.sentence,
        },
        "scopes": {
            "frozen": {"depth": best.depth, "pool": best.pool, "reason": _frozen_reason(best, last, order, why)},
            "full": {
                "depth": moving.depth,
                "pool": moving.pool,
                "reason": f"{_blocks(moving)}: training rewrites the top ones, so a probe of them frozen does not "
                f"speak against them; {_pool(moving, last, beaten)}.",
            },
        },
    }


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


def _of_one_model(one: Scored, other: Scored) -> bool:
    return (one.source, one.revision) == (other.source, other.revision)


def _model_reason(best: Scored, order: Sequence[Scored], candidates: int, why: Why) -> str:
    first, count = order[0], len({(one.source, one.revision) for one in order})
    if count == 1:
        which = "candidate" if candidates == 1 else f"one of {candidates} candidates that selection.limits leave"
        return f"{best.source} is the only {which}."
    if why == "halving":
        also = "and ranks" if _of_one_model(first, best) else f"{first.source} ranks"
        return f"{best.source} won the short adaptations of selection.strategy.halving, {also} first of {count} models."
    if not _of_one_model(first, best):
        return f"{best.source} is live and stays: {first.source} ranks first, by no more than a standard error."
    second = next(one for one in order if not _of_one_model(one, best))
    return (
        f"{best.source} ranks first of {count} models by {_votes(order)} together: "
        f"{first.log_loss:.3f} and {first.log_me:.3f}, next {second.source} with {second.log_loss:.3f} and "
        f"{second.log_me:.3f}."
    )


def _votes(scored: Sequence[Scored]) -> str:
    if any(one.off_typical for one in scored):
        return "cross-validated log loss, LogME and, for so few rows, typical depth"
    return "cross-validated log loss and LogME"


def _frozen_reason(best: Scored, last: Scored, order: Sequence[Scored], why: Why) -> str:
    cut, first = f"Depth {best.depth} of {best.deepest}, pool {best.pool}", order[0]
    if why == "live" and not _of_one_model(first, best):
        return f"{cut}, is live and stays with its model."
    if why == "live":
        return (
            f"{cut}, is live and stays: depth {first.depth}, pool {first.pool}, ranks first by {_votes(order)} "
            f"together, and its log loss {first.log_loss:.3f} is not lower than {best.log_loss:.3f} by more than the "
            f"standard error, {best.standard_error:.3f}."
        )
    if best.depth == last.depth:
        return (
            f"{cut}: {_top(last)} ranks first of {sum(_of_one_model(one, best) for one in order)} depths and pools by "
            f"{_votes(order)} together, {best.log_loss:.3f} (accuracy {best.accuracy:.1%}) and {best.log_me:.3f}."
        )
    saved = 1 - best.operations / last.operations
    return (
        f"{cut}, ranks first by {_votes(order)} together: "
        f"{best.log_loss:.3f} (accuracy {best.accuracy:.1%}) and {best.log_me:.3f} against {last.log_loss:.3f} "
        f"({last.accuracy:.1%}) and {last.log_me:.3f} at {_top(last)}, with {saved:.0%} fewer operations."
    )


def picks_in_words(scored: Sequence[Scored]) -> str:
    """What each of `SCORES` alone would have picked, beside the choice."""
    best = ranked(scored)[0]
    several = not all(_of_one_model(one, best) for one in scored)
    groups: dict[str, list[str]] = {}
    for name, one in picks(scored).items():
        model = f"{one.source} at " if several else ""
        where = f"{model}depth {one.depth}, pool {one.pool} (log loss {one.log_loss:.3f})"
        groups.setdefault("what ranks first" if one == best else where, []).append(name)
    told = "; ".join(f"{_listed(names)} would have picked {where}" for where, names in groups.items())
    return f"Alone, {told}."


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
