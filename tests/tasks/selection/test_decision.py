"""What the table of strategies is told before it picks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tasks.selection import decision
from tasks.stage import Stage
from tests.factories import params


@pytest.mark.parametrize(
    ("kind", "rows", "modality", "competes", "pairs"),
    [
        ("auto", 20, "text", False, True),
        ("auto", 20, "text", True, False),
        ("auto", 20, "image", False, False),
        ("auto", 4000, "text", False, False),
        ("supervised", 20, "text", False, False),
        ("contrastive", 20, "image", False, True),
        ("contrastive", 4000, "text", True, True),
    ],
)
def test_steps_are_those_of_the_objective_that_is_picked(
    tmp_path: Path, kind: str, rows: int, modality: str, competes: bool, pairs: bool
) -> None:
    settings = params(adaptation__objective__kind=kind, project__modality=modality)
    clean: Any = SimpleNamespace(of=lambda *splits: range(rows), labels=["a", "b"])
    own = settings.adaptation.objective.contrastive
    found = decision._steps(Stage("selection", tmp_path, settings, tmp_path), clean, competes)
    assert (found == (own.steps, own.batch_rows)) is pairs
    assert pairs or found[1] == settings.adaptation.training.batch_rows != own.batch_rows
