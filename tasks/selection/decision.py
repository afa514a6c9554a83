"""Edge: gathers the evidence for the table of strategies, short adaptations included, and decides by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from tasks import modalities
from tasks.params import Adaptation
from tasks.rows.clean import Clean, Rows
from tasks.selection import choice, halving, short, strategy
from tasks.stage import Stage


def decide(stage: Stage, scored: Sequence[choice.Scored], rows: Rows, clean: Clean) -> dict[str, Any]:
    """What `choice.choose` makes of the table's pick, with the rounds of successive halving in its record.

    Args:
        stage: names params and folders.
        scored: all candidates of all models.
        rows: of the training side, a sample.
        clean: all rows; those of the test split are not looked at.
    """
    settings = stage.params.selection.strategy
    ranked = choice.ranked(scored)
    beaten: dict[str, str] = modalities.part(stage.params.project.modality, "settings").BEATEN_POOLS
    known = strategy.Evidence(
        rows=len(clean.of("train", "validation")),
        labels=len(clean.labels),
        probe=ranked[0].accuracy,
        steps=0,
        full_from=settings.full_from_rows_per_label,
        objective=stage.params.adaptation.objective.kind,
        pairs=stage.params.pairs,
    )
    competes = len(halving.entrants(ranked, settings.halving, trains=True)) > 1
    steps, batch_rows = _steps(stage.params.adaptation, known, len(clean.of("train")), competes)

    def seconds_per_step() -> float:
        deepest = choice.deepest(ranked[0], scored, beaten)
        timed = short.seconds_per_step(short.bench(stage, deepest, "full", rows, clean.labels), deepest.revision)
        return timed * batch_rows / stage.params.adaptation.training.batch_rows

    over = strategy.over_budget(steps, settings, seconds_per_step)
    competing = halving.entrants(ranked, settings.halving, trains=over is None)

    @cache
    def reached(cut: choice.Scored, scope: str, taken: int) -> float:
        return short.log_loss(short.bench(stage, cut, scope, rows, clean.labels), taken)

    def log_loss(one: halving.Entrant, taken: int) -> float:
        if one.scope == "frozen":
            loss = reached(one.model, one.scope, 0)  # it takes no steps: one loss for every round
        else:
            loss = reached(choice.deepest(one.model, scored, beaten), one.scope, taken)
        stage.say(f"{one.name}: log loss {loss:.3f} in a round of {taken} steps.")
        return loss

    rounds = halving.halved(competing, settings.halving.steps, log_loss) if len(competing) > 1 else []
    left = halving.winner(rounds) if rounds else None
    known = replace(known, steps=steps, over_budget=over, survivor=left.scope if left else None)
    candidates = len(stage.params.selection.candidates)
    live = choice.stays(scored, stage.params.selection.incumbent)
    chosen = choice.choose(scored, strategy.pick(known), left.model if left else None, candidates, live, beaten)
    chosen["strategy"]["halving"] = halving.record(rounds)
    return chosen


def _steps(adaptation: Adaptation, known: strategy.Evidence, rows: int, competes: bool) -> tuple[int, int]:
    """Gradient steps of the training that may be picked, and the rows of each.

    Args:
        adaptation: settings of either training.
        known: without the steps.
        rows: that are learned from.
        competes: whether short adaptations, all of them by labels, decide what learns.
    """
    picked = known.few and known.pairs and known.objective == "auto" and not competes
    if picked or known.objective == "contrastive":
        return adaptation.objective.contrastive.steps, adaptation.objective.contrastive.batch_rows
    return strategy.steps(rows, adaptation.training, adaptation.search), adaptation.training.batch_rows
