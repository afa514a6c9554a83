"""The stage of the adaptation with a search: trials, the winner and its seeds, kills, and what has no steps."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.adaptation import __main__ as adaptation
from tasks.artifacts import read_json
from tasks.errors import InputError
from tasks.modalities.text import settings
from tasks.network import Network
from tasks.training import search, tuning
from tasks.training.loop import Progress, train
from tasks.training.search import RATES
from tests.adapting import choose, sha256
from tests.adapting import project as project
from tests.projects import REPO, run_stage


def searching(project: Path, root: Path, **search: Any) -> Path:
    """A copy of the project in which three trials are run and the winner is trained by two seeds."""
    shutil.copytree(project, root, symlinks=True)
    tree = yaml.safe_load((root / "params.yaml").read_text())
    tree["adaptation"]["search"] |= {"trials": 3, "seeds": 2} | search
    tree["adaptation"]["search"]["space"] |= {"batch_rows": [8, 16], "lora_rank": [1, 2]}
    (root / "params.yaml").write_text(yaml.safe_dump(tree))
    return root


@pytest.fixture(scope="module")
def searched(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Adapted by the scope lora after a search, undisturbed."""
    root = searching(project, tmp_path_factory.mktemp("searched") / "project")
    with_kind(root, "lora")
    run_stage(root, "adaptation")
    return root


def with_kind(root: Path, kind: str) -> None:
    tree = yaml.safe_load((root / "params.yaml").read_text())
    tree["adaptation"]["scope"]["kind"] = kind
    (root / "params.yaml").write_text(yaml.safe_dump(tree))


def test_the_winner_is_trained_at_what_it_drew_and_by_several_seeds(searched: Path) -> None:
    record = read_json(searched / "data/adaptation/adaptation.json")
    trials, winner = record["study"]["trials"], record["study"]["winner"]
    assert len(trials) == 3 and all(set(one["values"]) == {"learning_rate", *CHOICES} for one in trials)
    best = min((one for one in trials if one["whole"]), key=lambda one: min(one["losses"]))
    assert trials[winner - 1] == best and record["study"]["values"] == best["values"]
    assert record["learning_rate"] == best["values"]["learning_rate"]
    train_rows = read_json(searched / "data/preparation/card.json")["rows"]["train"]
    assert record["steps"] == train_rows // best["values"]["batch_rows"], "a last row alone is of the batch before"
    # Rank r of a map from a to b: r * (a + b) weights; two blocks of four maps 16 to 16, one 16 to 32, one back; head.
    assert record["learned_weights"] == best["values"]["lora_rank"] * 2 * (4 * 32 + 2 * 48) + 3 * 16 + 3
    assert record["seeds"]["seeds"] == [13, 14]
    own, spread = read_json(searched / "data/adaptation/metrics.json"), record["seeds"]["validation"]
    for metric, score in own.items():
        one = spread[metric]
        assert score in (one["low"], one["high"]), "of two scores the model's own is the lowest or the highest"
        assert one["mean"] == pytest.approx((one["low"] + one["high"]) / 2, abs=1e-6)
        assert one["standard_deviation"] == pytest.approx((one["high"] - one["low"]) / 2**0.5, abs=1e-6)
    assert spread["log_loss"]["low"] < spread["log_loss"]["high"], "another seed is another training"


CHOICES = ("batch_rows", "lora_rank")


# Three trials, the winner's training, and the second seed's.
@pytest.mark.parametrize("number", [2, 4])
def test_a_search_that_was_interrupted_leaves_the_same_bytes(
    project: Path, searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    root = searching(project, tmp_path / "project")
    with_kind(root, "lora")
    trained = 0

    def interrupted(*arguments: Any) -> Progress:
        nonlocal trained
        if trained == number:
            raise KeyboardInterrupt
        trained += 1
        return train(*arguments)

    with monkeypatch.context() as patched:
        for module in (search, tuning, adaptation):
            patched.setattr(module, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_stage(root, "adaptation")
    run_stage(root, "adaptation")
    names = ("model", "adaptation.json", "metrics.json", "history.csv")
    assert [sha256(root, name) for name in names] == [sha256(searched, name) for name in names]


def test_of_a_seed_that_does_not_beat_it_the_solved_head_is_judged(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = searching(project, tmp_path / "project", trials=0)
    tree = yaml.safe_load((root / "params.yaml").read_text())
    tree["adaptation"]["training"] |= {"learning_rates": [0.0005], "batch_rows": 8}
    tree["receipt"]["scratch"]["batch_rows"] = 8
    (root / "params.yaml").write_text(yaml.safe_dump(tree))
    with_kind(root, "lora")
    monkeypatch.setattr(adaptation, "train", lambda *arguments: Progress([], float("inf"), 0, True))
    run_stage(root, "adaptation")
    record = read_json(root / "data/adaptation/adaptation.json")
    own = read_json(root / "data/adaptation/metrics.json")["log_loss"]
    start, spread = record["solved_head_validation_loss"], record["seeds"]["validation"]["log_loss"]
    assert own < start, "the model's own seed beats the head"
    assert (spread["low"], spread["high"]) == (own, pytest.approx(start, abs=1e-6))
    assert "study" not in record


@pytest.mark.parametrize(("least", "drawn"), [(0, True), (math.inf, False)])
def test_each_seed_draws_a_head_of_its_own_where_steps_start_from_a_drawn_one(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least: float, drawn: bool
) -> None:
    root, heads = searching(project, tmp_path / "project", trials=0, seeds=3), []

    def spy(network: Network, *rest: Any) -> Progress:
        heads.append(network.head.weight.detach().clone())
        return train(network, *rest)

    for module in (search, adaptation):
        monkeypatch.setattr(module, "train", spy)
    monkeypatch.setattr(settings, "DRAWN_HEAD_FROM", least)
    run_stage(root, "adaptation")
    assert len(heads) == 3 and len({head.numpy().tobytes() for head in heads}) == (3 if drawn else 1)


def test_where_no_steps_are_taken_a_search_is_left_out_with_a_sentence(project: Path, tmp_path: Path) -> None:
    root = searching(project, tmp_path / "project")
    with_kind(root, "auto")
    choose(root, "frozen", objective="supervised")
    run_stage(root, "adaptation")
    record = read_json(root / "data/adaptation/adaptation.json")
    assert record["scope"] == "frozen" and "study" not in record and "seeds" not in record
    assert record["not_searched"] == (
        "No search: the scope frozen learns from features that are computed once, not by gradient steps."
    )


def test_a_space_of_another_scope_alone_leaves_the_rates_as_they_are(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = {"learning_rate": {"low": None, "high": None, "log": True}, "weight_decay": NONE, "warmup_share": NONE}
    root = searching(project, tmp_path / "project", seeds=1, space=space)
    tree = yaml.safe_load((root / "params.yaml").read_text())
    tree["adaptation"]["search"]["space"]["batch_rows"] = None
    (root / "params.yaml").write_text(yaml.safe_dump(tree))
    with_kind(root, "auto")
    choose(root, "full", objective="supervised")
    run_stage(root, "adaptation")
    record = read_json(root / "data/adaptation/adaptation.json")
    assert (record["scope"], record["learning_rate"]) == ("full", 0.003) and "study" not in record
    assert "The search space has nothing that the scope full knows" in capsys.readouterr().out


NONE = {"low": None, "high": None, "log": False}


def test_the_control_has_as_many_trials_at_rates_of_its_own(project: Path, tmp_path: Path) -> None:
    root = searching(project, tmp_path / "project")
    tree = yaml.safe_load((root / "params.yaml").read_text())
    tree["receipt"]["scratch"]["learning_rates"] = [0.01, 0.002]
    tree["adaptation"]["search"]["space"]["lora_rank"] = None
    (root / "params.yaml").write_text(yaml.safe_dump(tree))
    run_stage(root, "adaptation_control")
    control = read_json(root / "data/adaptation/control/control.json")
    drawn = [one["values"] for one in control["study"]["trials"]]
    assert len(drawn) == 3 and all(0.002 <= one["learning_rate"] <= 0.01 for one in drawn)
    assert all(one["batch_rows"] in (8, 16) for one in drawn) and "seeds" not in control


def test_trials_of_which_none_stays_finite_are_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = searching(project, tmp_path / "project", seeds=1)
    with_kind(root, "lora")
    monkeypatch.setattr(search, "train", lambda *arguments: Progress([], float("inf"), 0, True))
    with pytest.raises(InputError, match="None of 3 trials kept the loss finite") as caught:
        run_stage(root, "adaptation")
    assert f"lower adaptation.search.space.learning_rate, or {RATES}" in str(caught.value)


def test_a_winner_that_diverges_in_the_whole_training_gives_way_to_the_next(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = searching(project, tmp_path / "project", seeds=1)
    with_kind(root, "lora")
    finals: list[str] = []

    def diverging(*arguments: Any) -> Progress:
        trial = arguments[4].name.startswith("trial")
        assert (arguments[3].halvings == 0) is trial, "a rate is lowered in the whole training alone"
        if arguments[4].name.startswith("final"):
            finals.append(arguments[4].name)
            if len(finals) == 1:
                return Progress([], float("inf"), 0, True)
        return train(*arguments)

    for module in (search, tuning):
        monkeypatch.setattr(module, "train", diverging)
    run_stage(root, "adaptation")
    study = read_json(root / "data/adaptation/adaptation.json")["study"]
    losses = [min(one["losses"]) for one in study["trials"]]
    assert len(finals) == 2 and study["winner"] == losses.index(sorted(losses)[1]) + 1


def test_processes_share_a_search_and_the_leader_alone_speaks_and_writes(
    project: Path, searched: Path, tmp_path: Path
) -> None:
    root = searching(project, tmp_path / "project")
    with_kind(root, "lora")
    tree = yaml.safe_load((root / "params.yaml").read_text())
    tree["resources"]["processes"] = 2
    (root / "params.yaml").write_text(yaml.safe_dump(tree))
    command, environment = [sys.executable, "-m", "tasks.adaptation"], os.environ | {"PYTHONPATH": str(REPO)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("A solved head has validation loss") == 1
    alone, shared = (read_json(one / "data/adaptation/adaptation.json") for one in (searched, root))
    for one, other in zip(alone["study"]["trials"], shared["study"]["trials"], strict=True):
        assert one["values"] == other["values"] and other["losses"] == pytest.approx(one["losses"], rel=0.05)
    assert shared["learned_weights"] == alone["learned_weights"]
    assert shared["seeds"]["seeds"] == alone["seeds"]["seeds"]
    assert [path.name for path in (root / ".graft/staging").iterdir()] == []
