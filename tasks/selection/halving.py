"""Successive halving: who competes, and who is left; pure, with the short adaptations handed in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.params import Halving
from tasks.selection.choice import Scored


@dataclass(frozen=True)
class Entrant:
    """A model that is adapted by a scope.

    Attributes:
        model: its best cut, by the ranking.
        scope: what learns.
    """

    model: Scored
    scope: str

    @property
    def name(self) -> str:
        """For whoever reads the rounds."""
        return f"{self.model.source} {self.scope}"


@dataclass(frozen=True)
class Round:
    """Gradient steps that each entrant got, and its log loss in nats on rows that it did not learn from."""

    steps: int
    losses: dict[Entrant, float]


def entrants(ranked: Sequence[Scored], settings: Halving, trains: bool) -> list[Entrant]:
    """The best models by every scope, in the order of the ranking; none where halving is off.

    Args:
        ranked: all cuts of all models, best first.
        settings: how many models, which scopes.
        trains: whether the budget leaves any scope but frozen.
    """
    best: dict[tuple[str, str], Scored] = {}
    for one in ranked:
        best.setdefault((one.source, one.revision), one)
    models = [*best.values()][: settings.models or 0]
    return [Entrant(model, scope) for model in models for scope in settings.scopes if trains or scope == "frozen"]


def halved(competing: Sequence[Entrant], steps: int, loss: Callable[[Entrant, int], float]) -> list[Round]:
    """Rounds in which the better half goes on with twice the steps, until one is left; ties go to the earlier.

    Source: Jamieson and Talwalkar 2016, Non-stochastic Best Arm Identification and Hyperparameter Optimization.

    Args:
        competing: at least one.
        steps: gradient steps in the first round.
        loss: entrant and steps -> its log loss.
    """
    rounds: list[Round] = []
    left = list(competing)
    while len(left) > 1:
        losses = {one: loss(one, steps) for one in left}
        rounds.append(Round(steps, losses))
        left = sorted(left, key=lambda one: _finite(losses[one]))[: math.ceil(len(left) / 2)]
        steps *= 2
    return rounds


def winner(rounds: Sequence[Round]) -> Entrant:
    """The one that is left after the last round."""
    losses = rounds[-1].losses
    return min(losses, key=lambda one: _finite(losses[one]))


def _finite(loss: float) -> float:
    return loss if math.isfinite(loss) else math.inf


def record(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """As JSON; None for a loss that did not stay finite."""
    return [
        {
            "steps": one.steps,
            "log_loss": {
                entrant.name: round(loss, 4) if math.isfinite(loss) else None for entrant, loss in one.losses.items()
            },
        }
        for one in rounds
    ]
