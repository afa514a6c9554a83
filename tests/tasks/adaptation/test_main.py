"""The stage of the adaptation under every scope and objective, with the receipt that is made of it."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tasks import features, metrics, prepared
from tasks import network as networks
from tasks.adaptation import __main__ as adaptation
from tasks.adaptation.edge import open_workbench
from tasks.artifacts import read_json, sha256_folder, write_json
from tasks.errors import InputError
from tasks.modalities import part
from tasks.modalities.text import settings
from tasks.network import Network, load
from tasks.params import load as load_params
from tasks.problems.classification.answer import probabilities
from tasks.stage import Stage
from tasks.training import tuning
from tasks.training.scope import SCOPES
from tasks.training.search import Trained
from tasks.training.solve import solve
from tasks.training.workbench import Workbench
from tests.adapting import choose, copied, sha256
from tests.adapting import project as project
from tests.projects import KINDS, REPO, run_stage, write_project


@pytest.mark.parametrize("kind", SCOPES)
def test_a_scope_leaves_a_plain_model_and_a_receipt(project: Path, tmp_path: Path, kind: str) -> None:
    root = copied(project, tmp_path, kind, "auto")
    for name in ("adaptation", "adaptation_receipt"):
        run_stage(root, name)
    record = read_json(root / "data/adaptation/adaptation.json")
    assert record["scope"] == kind
    network = load(root / "data/adaptation/model")
    if kind != "frozen":
        assert 0 < record["learned_weights"] <= record["weights"]
        assert record["weights"] == sum(parameter.numel() for parameter in network.parameters())
    assert read_json(root / "data/adaptation/receipt.json")["verdict"]


def test_the_frozen_scope_reads_the_features_of_the_frozen_probe(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copied(project, tmp_path, "frozen", "auto")
    with monkeypatch.context() as patch:
        patch.setattr(features, "at_own_depth", None)
        run_stage(root, "adaptation")
    model = sha256_folder(root / "data/adaptation/model")
    shutil.rmtree(root / ".graft/features")
    run_stage(root, "adaptation")
    assert sha256_folder(root / "data/adaptation/model") == model, "and computes the same where they have left"


@pytest.mark.parametrize(("least", "head"), [(0, "drawn"), (math.inf, "solved")])
def test_steps_start_from_a_drawn_head_where_rows_are_many(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least: float, head: str
) -> None:
    started, tune = [], tuning.trained

    def trained(bench: Workbench, make: Callable[[], Network], *rest: Any) -> Trained:
        logits = networks.logits(make(), bench.encoder, bench.data.of("validation").encoded)
        judged = metrics.judge(bench.data.of("validation").classes, probabilities(logits))
        started.append(metrics.log_loss(judged))
        return tune(bench, make, *rest)

    monkeypatch.setattr(settings, "DRAWN_HEAD_FROM", least)
    monkeypatch.setattr(adaptation, "trained", trained)
    root = copied(project, tmp_path, "top", "auto")
    run_stage(root, "adaptation")
    record = read_json(root / "data/adaptation/adaptation.json")
    assert record["start_head"] == head
    assert (started[0] == pytest.approx(record["solved_head_validation_loss"])) is (head == "solved")


def opened(root: Path) -> tuple[str, str]:
    """Scope and objective that the adaptation begins with."""
    bench = open_workbench(Stage("adaptation", root, load_params(root / "params.yaml"), root / "staging"))
    return bench.kind, bench.learned_from


def test_what_is_not_shared_by_processes_says_so(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = copied(project, tmp_path, "frozen", "auto")
    tree = yaml.safe_load((root / "params.yaml").read_text())
    tree["resources"]["processes"] = 2
    (root / "params.yaml").write_text(yaml.safe_dump(tree))
    run_stage(root, "adaptation")
    assert "resources.processes is 2, but only steps by labels are shared" in capsys.readouterr().out


def test_a_launcher_of_two_changes_nothing_where_one_process_computes(project: Path, tmp_path: Path) -> None:
    alone, launched = (copied(project, tmp_path / name, "full", "contrastive") for name in ("alone", "launched"))
    run_stage(alone, "adaptation")
    tree = yaml.safe_load((launched / "params.yaml").read_text())
    tree["resources"]["processes"] = 2
    (launched / "params.yaml").write_text(yaml.safe_dump(tree))
    two = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1", "--main_process_port", "0"]
    more = ["--mixed_precision", "no", "--dynamo_backend", "no", "-m", "tasks.adaptation"]
    command = [sys.executable, "-m", "accelerate.commands.launch", *two, *more]
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    done = subprocess.run(command, cwd=launched, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("One process computes: resources.processes is 2") == 1
    names = ("model", "adaptation.json", "predictions.arrow")
    assert [sha256(launched, name) for name in names] == [sha256(alone, name) for name in names]


@pytest.mark.parametrize("modality", KINDS)
def test_pairs_move_the_body_and_the_head_is_solved_on_it(tmp_path: Path, modality: str) -> None:
    root = write_project(tmp_path / "first", modality, adaptation__training__epochs=1)
    for name in ("selection", "preparation"):
        run_stage(root, name)
    root = copied(root, tmp_path, "full", "contrastive")
    run_stage(root, "adaptation")
    record = read_json(root / "data/adaptation/adaptation.json")
    assert (record["objective"], record["learns"], record["steps"]) == ("contrastive", "head and backbone", 8)
    network, settings = load(root / "data/adaptation/model"), load_params(root / "params.yaml")
    data = prepared.load(root).of("train", "validation")
    encoder = part(modality, "encode").from_model(root / prepared.FOLDER / prepared.MODEL, settings.examples)
    values = features.at_own_depth(network.backbone, encoder, data.encoded)
    solved = solve(values, data, settings.adaptation.scope.frozen, settings.project.seed, moved=True)
    np.testing.assert_allclose(network.head.weight.detach().numpy(), solved.head.weight, atol=1e-3)
    assert solved.head.inverse_regularisation == record["inverse_regularisation"]
    first = part(modality, "backbone").load(root / prepared.FOLDER / prepared.MODEL, network.backbone.depth)
    assert not np.allclose(values, features.at_own_depth(first, encoder, data.encoded)), "the body has moved"


def test_the_objective_is_what_the_params_name_else_what_was_chosen_with_the_scope(
    project: Path, tmp_path: Path
) -> None:
    root = copied(project, tmp_path, "auto", "auto")
    choice = root / "data/selection/choice.json"
    write_json(choice, {name: one for name, one in read_json(choice).items() if name != "objective"})
    assert opened(root) == ("full", "supervised"), "as a choice of an older Graft, which names none"
    choose(root, "full", objective="contrastive")
    assert opened(root) == ("full", "contrastive")
    named = copied(root, tmp_path / "scope", "lora", "auto")
    assert opened(named) == ("lora", "supervised"), "it was chosen for another scope"
    assert opened(copied(root, tmp_path / "both", "lora", "contrastive")) == ("lora", "contrastive")
    assert opened(copied(root, tmp_path / "other", "auto", "supervised")) == ("full", "supervised")


def test_pairs_are_refused_with_the_frozen_scope_that_selection_chose(project: Path, tmp_path: Path) -> None:
    root = copied(project, tmp_path, "auto", "contrastive")
    choose(root, "frozen")
    with pytest.raises(InputError, match=r"Selection chose the scope frozen, .* contrastive has no effect: set adap"):
        opened(root)
