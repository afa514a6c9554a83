"""A project that an older Graft made -> one that this Graft reads: new leaves of params.yaml, its own dvc.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tasks import versions
from tasks.artifacts import write_text
from tasks.errors import InputError
from tasks.fingerprint import HOUSE
from tasks.params import Training, leaves, read_tree
from tasks.project.template import unknown_leaves, with_missing_leaves, with_values

# The house's own params.yaml is the demo's, which keeps some of its rows only.
NEUTRAL: dict[str, Any] = {"data.where": {}}
# Leaves that have another place since: what a project says there counts on.
MOVED = {
    "data.max_characters": "preparation.text.max_characters",
    "deployment.int8.max_loss": "deployment.max_loss",
    "selection.full_from_rows_per_label": "selection.strategy.full_from_rows_per_label",
} | {f"adaptation.scope.full.{leaf}": f"adaptation.training.{leaf}" for leaf in Training.model_fields}


@dataclass(frozen=True)
class Upgraded:
    """What an upgrade did.

    Attributes:
        added: leaves that params.yaml lacked.
        unknown: leaves or sections of params.yaml that this Graft does not know; they stay.
        dvc_yaml: whether dvc.yaml was renewed.
    """

    added: list[str]
    unknown: list[str]
    dvc_yaml: bool


def _moved(tree: dict[str, Any], added: list[str]) -> dict[str, Any]:
    """Values of leaves that stand elsewhere now."""
    found = {}
    for old, new in MOVED.items():
        value = _at(tree, old)
        if value is not None and new in added:
            found[new] = value
    if _at(tree, "deployment.int8.enabled") is False and "deployment.forms" in added:
        found["deployment.forms"] = []
    return found


def _at(tree: Any, path: str) -> Any:
    for name in path.split("."):
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def upgrade(root: Path) -> Upgraded:
    """Add what params.yaml lacks, with comments, and renew dvc.yaml; a second time there is nothing to do.

    Raises:
        InputError: no project, a params.yaml that nothing can be added to, or a dvc.yaml with uncommitted changes,
            which would be lost.
    """
    params, stages = root / "params.yaml", root / "dvc.yaml"
    read_tree(params)
    template = with_values((HOUSE / "params.yaml").read_text(encoding="utf-8"), NEUTRAL)
    known = leaves(yaml.safe_load(template))
    text = params.read_bytes().decode("utf-8")  # as it is: reading as text would change the ends of its lines
    extended, added = with_missing_leaves(text, template, known)
    extended = with_values(extended, _moved(yaml.safe_load(text), added))
    wanted = (HOUSE / "dvc.yaml").read_bytes()
    renew = not stages.exists() or stages.read_bytes() != wanted
    if renew and stages.exists() and versions.uncommitted(root, "dvc.yaml"):
        raise InputError("dvc.yaml has changes that are not committed and would be lost: commit or undo them first.")
    if added:
        write_text(params, extended)
    if renew:
        write_text(stages, wanted.decode("utf-8"))
    return Upgraded(added, unknown_leaves(text, template, known), renew)
