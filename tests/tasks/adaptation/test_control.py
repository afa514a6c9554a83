"""The control from scratch: it learns from the rows that the adapted model learned from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tasks import predictions, prepared
from tasks.adaptation import control
from tasks.artifacts import read_json
from tasks.training.loop import Progress, train
from tests.projects import run_stage, write_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared rows, and a training of two epochs at one rate; matrices this small only wait for a second thread."""
    small = {"receipt__scratch__epochs": 2, "receipt__scratch__learning_rates": [0.003], "resources__threads": 1}
    root = write_project(tmp_path_factory.mktemp("project"), adaptation__training__epochs=1, **small)
    for name in ("selection", "preparation"):
        run_stage(root, name)
    return root


def controlled(
    root: Path, kind: str, monkeypatch: pytest.MonkeyPatch, objective: str = "auto"
) -> tuple[dict[str, Any], np.ndarray, list[Any]]:
    """Record, logits of the test rows, and the ids that a second training learned from."""
    again: list[Any] = []

    def spy(*arguments: Any) -> Progress:
        again.append(arguments[3].train.ids)
        return train(*arguments)

    monkeypatch.setattr(control, "train", spy)
    tree = yaml.safe_load((root / "params.yaml").read_text())
    tree["adaptation"]["scope"]["kind"], tree["adaptation"]["objective"]["kind"] = kind, objective
    (root / "params.yaml").write_text(yaml.safe_dump(tree))
    run_stage(root, "adaptation_control")
    ids = prepared.load(root).of("test").ids
    logits = predictions.load(root / "data/adaptation/control/predictions.arrow", ids).logits
    return read_json(root / "data/adaptation/control/control.json"), logits, again


def test_control_learns_from_validation_rows_where_the_adapted_head_does(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, plain, none = controlled(project, "full", monkeypatch)
    assert full["refitted_with_validation_rows"] is False and none == []
    both = prepared.load(project).of("train", "validation").ids
    for kind, objective in (("frozen", "auto"), ("full", "contrastive")):  # the head of either is solved in the end
        record, refitted, again = controlled(project, kind, monkeypatch, objective)
        assert record["refitted_with_validation_rows"] is True and again == [both]
    assert not np.array_equal(plain, refitted), "the predictions are those of the second training"
    assert not (project / ".graft/resume/adaptation_control").exists()
