"""What the table of strategies is told before it picks."""

from __future__ import annotations

import pytest

from tasks.selection import decision
from tasks.selection.strategy import Evidence
from tests.factories import params


@pytest.mark.parametrize(
    ("kind", "rows", "modality", "competes", "pairs"),
    [
        ("auto", 20, "text", False, True),
        ("auto", 399, "text", False, True),
        ("auto", 400, "text", False, False),
        ("auto", 20, "text", True, False),
        ("auto", 20, "image", False, False),
        ("auto", 4000, "text", False, False),
        ("supervised", 20, "text", False, False),
        ("contrastive", 20, "image", False, True),
        ("contrastive", 4000, "text", True, True),
    ],
)
def test_steps_are_those_of_the_objective_that_is_picked(
    kind: str, rows: int, modality: str, competes: bool, pairs: bool
) -> None:
    settings = params(adaptation__objective__kind=kind, project__modality=modality)
    known = Evidence(rows, labels=2, probe=0.5, steps=0, full_from=200, objective=kind, pairs=settings.pairs)
    own = settings.adaptation.objective.contrastive
    found = decision._steps(settings.adaptation, known, rows, competes)
    assert (found == (own.steps, own.batch_rows)) is pairs
    assert pairs or found[1] == settings.adaptation.training.batch_rows != own.batch_rows
