"""Ranking, Pareto front and the choice of model, depth, pool and scope, each with its reason in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from tasks.params import Incumbent
from tasks.selection import reasons
from tasks.selection.strategy import Picked
from tasks.words import listed

# Single scores, told beside the choice and tried against it in benchmarks/selection.py; higher is better.
SCORES: dict[str, Callable[[Scored], float]] = {
    "the probe": lambda one: -one.log_loss,
    "LogME": lambda one: one.log_me,
    "H-score": lambda one: one.h_score,
    "NLEEP": lambda one: one.nleep,
    "k-NN": lambda one: one.knn,
}

NOTHING: Mapping[str, str] = MappingProxyType({})


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

    def of_model(self, other: Scored) -> bool:
        """Whether both are cuts of one model."""
        return (self.source, self.revision) == (other.source, other.revision)


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
    own = [one for one in scored if one.of_model(model)]
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
    why: reasons.Why = "halving" if model else "first" if best == order[0] else "live"
    return {
        "source": best.source,
        "revision": best.revision,
        "model_reason": reasons.of_model(best, order, candidates, why),
        "scope": picked.scope,
        "objective": picked.objective,
        "scope_reason": picked.reason,
        "strategy": {
            "rule": picked.rule,
            "evidence": picked.evidence.record(),
            "sentence": picked.sentence,
        },
        "scopes": {
            "frozen": {"depth": best.depth, "pool": best.pool, "reason": reasons.of_frozen(best, last, order, why)},
            "full": {
                "depth": moving.depth,
                "pool": moving.pool,
                "reason": reasons.of_full(moving, last, beaten),
            },
        },
    }


def picks_in_words(scored: Sequence[Scored]) -> str:
    """What each of `SCORES` alone would have picked, beside the choice."""
    best = ranked(scored)[0]
    several = not all(one.of_model(best) for one in scored)
    groups: dict[str, list[str]] = {}
    for name, one in picks(scored).items():
        model = f"{one.source} at " if several else ""
        where = f"{model}depth {one.depth}, pool {one.pool} (log loss {one.log_loss:.3f})"
        groups.setdefault("what ranks first" if one == best else where, []).append(name)
    told = "; ".join(f"{listed(names)} would have picked {where}" for where, names in groups.items())
    return f"Alone, {told}."
