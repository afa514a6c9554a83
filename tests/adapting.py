"""A project that has come as far as the adaptation, and copies of it with another scope and objective."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.artifacts import read_json, sha256_file, sha256_folder, write_json
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


def copied(project: Path, folder: Path, scope: str, objective: str) -> Path:
    """The project with another scope and objective."""
    root = Path(shutil.copytree(project, folder / "project", symlinks=True))
    tree = yaml.safe_load((root / "params.yaml").read_text())
    tree["adaptation"]["scope"]["kind"] = scope
    tree["adaptation"]["objective"] |= {"kind": objective}
    tree["adaptation"]["objective"]["contrastive"] |= {"steps": 8, "learning_rate": 0.003}
    (root / "params.yaml").write_text(yaml.safe_dump(tree))
    return root


def choose(root: Path, scope: str, **more: str) -> None:
    """As if selection had chosen so."""
    path = root / "data/selection/choice.json"
    write_json(path, read_json(path) | {"scope": scope} | more)


def sha256(root: Path, name: str) -> Any:
    path = root / "data/adaptation" / name
    return sha256_folder(path) if path.is_dir() else sha256_file(path)
