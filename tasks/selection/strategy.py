"""What learns, and from what: rules over what is known before anything is adapted. The first that holds wins.

Thresholds and figures are measured by benchmarks/strategies.py, and judged on sets that they were not chosen on.
`adaptation.scope.kind` overrules the table; `adaptation.objective.kind` is part of its evidence, since it decides what
scope there is to choose.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tasks.params import Search, Strategy, Training
from tasks.training.scope import SCOPES


@dataclass(frozen=True)
class Evidence:
    """What is known before anything is adapted.

    Attributes:
        rows: on the training side.
        labels: K.
        probe: cross-validated accuracy of a linear probe of the best frozen features; told, no rule looks at it.
        steps: gradient steps of a training, as `steps` counts them.
        full_from: rows per label from which every block learns.
        over_budget: why training by gradient steps is out; None if it is not.
        survivor: the scope that won the short adaptations; None where none ran.
        objective: as the params name it, or auto.
        pairs: whether pairs of few rows were measured to serve the modality.
    """

    rows: int
    labels: int
    probe: float
    steps: int
    full_from: int
    over_budget: str | None = None
    survivor: str | None = None
    objective: str = "auto"
    pairs: bool = True

    @property
    def rows_per_label(self) -> float:
        """Their mean."""
        return self.rows / self.labels

    @property
    def few(self) -> bool:
        """Whether they are too few to move every weight by the labels."""
        return self.rows_per_label < self.full_from

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self) | {"probe": round(self.probe, 4), "rows_per_label": round(self.rows_per_label, 1)}


@dataclass(frozen=True)
class Rule:
    """A row of the table.

    Attributes:
        name: for whoever reads the record.
        holds: whether it decides.
        scope: a row of `SCOPES`.
        because: a sentence's end, with the evidence's names in braces.
        objective: a row of `OBJECTIVES`.
        on: what of the evidence it looks at, likewise.
    """

    name: str
    holds: Callable[[Evidence], bool]
    scope: str
    because: str
    objective: str = "supervised"
    on: str = "{rows} rows and {labels} labels"


@dataclass(frozen=True)
class Picked:
    """What the table says, by which rule, why, and on what, each in a sentence."""

    scope: str
    rule: str
    reason: str
    sentence: str
    evidence: Evidence
    objective: str = "supervised"


def _survives(scope: str) -> Rule:
    because = "its log loss after short adaptations was the lowest, as selection.strategy.halving has them"
    return Rule("short adaptations", lambda evidence: evidence.survivor == scope, scope, because, on="their log loss")


UNDER = "{rows_per_label:.0f} training rows per label are under selection.strategy.full_from_rows_per_label {full_from}"
RULES: tuple[Rule, ...] = (
    Rule(
        "pairs",
        lambda e: e.objective == "contrastive",
        "full",
        "adaptation.objective.kind names them",
        "contrastive",
        on="the params",
    ),
    Rule(
        "budget",
        lambda e: e.over_budget is not None,
        "frozen",
        "{over_budget}",
        on="{steps} gradient steps of a training",
    ),
    *(_survives(scope) for scope in SCOPES),
    Rule(
        "few rows, by their labels",
        lambda e: e.few and (e.objective == "supervised" or not e.pairs),
        "frozen",
        f"{UNDER}, where a solved head on frozen features beats moving every weight by the labels",
    ),
    Rule("few rows", lambda e: e.few, "full", f"{UNDER}, where pairs of rows move the body best", "contrastive"),
    Rule(
        "enough rows",
        lambda e: True,
        "full",
        "{rows_per_label:.0f} training rows per label reach selection.strategy.full_from_rows_per_label {full_from}, "
        "enough to move every weight",
    ),
)


def pick(evidence: Evidence) -> Picked:
    """The first rule that holds; the last one always does."""
    rule = next(one for one in RULES if one.holds(evidence))
    facts = asdict(evidence) | {"rows_per_label": evidence.rows_per_label}
    what = rule.scope if rule.objective == "supervised" else f"{rule.scope}, {rule.objective}"
    reason = f"{what}: {rule.because.format(**facts)}."
    sentence = f'The rule "{rule.name}" of the table of strategies decided, on {rule.on.format(**facts)}.'
    return Picked(rule.scope, rule.name, reason, sentence, evidence, rule.objective)


def steps(rows: int, training: Training, search: Search) -> int:
    """Gradient steps of a training, the search for its rate and its repetitions included, as `Search.epochs` counts.

    Args:
        rows: that are learned from.
        training: its settings.
        search: trials and seeds.
    """
    return math.ceil(rows / search.least_batch_rows(training)) * search.epochs(training)


def over_budget(wanted: int, settings: Strategy, seconds_per_step: Callable[[], float]) -> str | None:
    """Why that many steps are too many; None if they are not. No figure read off a clock stands in the reason.

    Args:
        wanted: steps of a training.
        settings: what it may take.
        seconds_per_step: asked only where there is a limit in minutes.
    """
    taken = f"the {wanted} gradient steps of a training"
    if settings.max_steps is not None and wanted > settings.max_steps:
        return f"{taken} exceed selection.strategy.max_steps {settings.max_steps}"
    if settings.max_minutes is not None and wanted * seconds_per_step() > 60 * settings.max_minutes:
        return f"{taken} would take longer than selection.strategy.max_minutes {settings.max_minutes:g}"
    return None
