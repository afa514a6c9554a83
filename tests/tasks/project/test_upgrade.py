"""`graft upgrade` carries along what a project says in a place that has moved since."""

from __future__ import annotations

from pathlib import Path

import yaml

from tasks.params import Params, load
from tasks.project.upgrade import upgrade
from tests.factories import REPO


def test_the_training_of_the_scope_full_is_that_of_every_scope_now(tmp_path: Path) -> None:
    tree = yaml.safe_load((REPO / "params.yaml").read_text(encoding="utf-8"))
    old = tree["adaptation"].pop("training") | {"learning_rates": [0.5, 0.25], "epochs": 3}
    tree["adaptation"]["scope"]["full"] = old
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    found = upgrade(tmp_path)
    assert "adaptation.training.learning_rates" in found.added
    assert found.unknown == ["adaptation.scope.full"]
    upgraded = yaml.safe_load((tmp_path / "params.yaml").read_text(encoding="utf-8"))
    assert upgraded["adaptation"]["training"] == old
    del upgraded["adaptation"]["scope"]["full"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(upgraded), encoding="utf-8")
    assert isinstance(load(tmp_path / "params.yaml"), Params)


def test_the_threshold_of_the_table_of_strategies_keeps_its_value(tmp_path: Path) -> None:
    tree = yaml.safe_load((REPO / "params.yaml").read_text(encoding="utf-8"))
    del tree["selection"]["strategy"]
    tree["selection"]["full_from_rows_per_label"] = 77
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    upgrade(tmp_path)
    upgraded = yaml.safe_load((tmp_path / "params.yaml").read_text(encoding="utf-8"))
    assert upgraded["selection"]["strategy"]["full_from_rows_per_label"] == 77
