"""The stage of the adaptation under every scope, with the receipt that is made of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tasks.artifacts import read_json
from tasks.network import load
from tasks.training.scope import SCOPES
from tests.projects import run_stage, write_project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything up to the adaptation, and the control of a scope that trains."""
    small = {"epochs": 1, "learning_rates": [0.003]}
    changes = {f"receipt__scratch__{leaf}": value for leaf, value in small.items()}
    changes |= {f"adaptation__training__{leaf}": value for leaf, value in small.items()}
    changes |= {"adaptation__scope__top__blocks": 1, "adaptation__scope__kind": "full"}
    root = write_project(tmp_path_factory.mktemp("project"), **changes)
    for name in ("selection", "preparation", "preparation_baselines", "adaptation_control"):
        run_stage(root, name)
    return root


@pytest.mark.parametrize("kind", SCOPES)
def test_a_scope_leaves_a_plain_model_and_a_receipt(project: Path, tmp_path: Path, kind: str) -> None:
    root = Path(shutil.copytree(project, tmp_path / "project", symlinks=True))
    tree = yaml.safe_load((root / "params.yaml").read_text())
    tree["adaptation"]["scope"]["kind"] = kind
    (root / "params.yaml").write_text(yaml.safe_dump(tree))
    for name in ("adaptation", "adaptation_receipt"):
        run_stage(root, name)
    record = read_json(root / "data/adaptation/adaptation.json")
    assert record["scope"] == kind
    network = load(root / "data/adaptation/model")
    if kind != "frozen":
        assert 0 < record["learned_weights"] <= record["weights"]
        assert record["weights"] == sum(parameter.numel() for parameter in network.parameters())
    assert read_json(root / "data/adaptation/receipt.json")["verdict"]
