"""Successive halving: the better half goes on with twice the steps; who competes; what a short adaptation sees."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tasks import cuts
from tasks.artifacts import read_json
from tasks.modalities.text import settings as text_settings
from tasks.params import Halving, load
from tasks.rows.clean import load as load_rows
from tasks.selection import short
from tasks.selection.halving import Entrant, entrants, halved, record, winner
from tasks.training.scope import SCOPES
from tasks.training.workbench import Workbench
from tests.projects import run_stage, write_project
from tests.tasks.selection.test_choice import scored

MODELS = [scored(0.4, 9, source="path:a"), scored(0.5, 9, source="path:a", depth=1), scored(0.6, 9, source="path:b")]


def settings(**changes: Any) -> Halving:
    return Halving(**({"models": 2, "scopes": ["frozen", "full"], "steps": 8} | changes))


def test_the_best_models_compete_by_every_scope() -> None:
    names = [one.name for one in entrants(MODELS, settings(), trains=True)]
    assert names == ["path:a frozen", "path:a full", "path:b frozen", "path:b full"]
    assert entrants(MODELS, settings(models=1), trains=True)[0].model is MODELS[0]
    assert [one.name for one in entrants(MODELS, settings(), trains=False)] == ["path:a frozen", "path:b frozen"]
    assert entrants(MODELS, settings(models=None), trains=True) == []


def run(losses: dict[str, list[float]]) -> tuple[list[tuple[int, list[str]]], str]:
    """Steps and names of each round, and the winner; an entrant's losses are those of its rounds."""
    competing = [Entrant(scored(0.5, 9, source=name), "full") for name in losses]
    rounds = halved(competing, 8, lambda one, steps: losses[one.model.source][int(math.log2(steps / 8))])
    return [(one.steps, [e.model.source for e in one.losses]) for one in rounds], winner(rounds).model.source


def test_the_better_half_goes_on_with_twice_the_steps() -> None:
    # d leads after 16 steps only, and e is out by then: what counts is the round it stands in.
    found = run({"a": [0.5, 0.4, 0.1], "b": [0.9, 0, 0], "c": [0.6, 0.5], "d": [0.4, 0.3, 0.2], "e": [0.8, 0, 0]})
    assert found == ([(8, ["a", "b", "c", "d", "e"]), (16, ["d", "a", "c"]), (32, ["d", "a"])], "a")


def test_ties_go_to_the_earlier_and_a_loss_that_is_not_finite_to_nobody() -> None:
    assert run({"a": [0.5], "b": [0.5]})[1] == "a"
    rounds = halved(
        [Entrant(one, "full") for one in MODELS[1:]], 8, lambda one, _: math.nan if one.model is MODELS[1] else 2
    )
    assert winner(rounds).model is MODELS[2]
    assert record(rounds) == [{"steps": 8, "log_loss": {"path:a full": None, "path:b full": 2}}]


def test_one_entrant_is_left_without_a_round() -> None:
    assert halved([Entrant(MODELS[0], "full")], 8, lambda one, steps: 0.0) == []


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With short adaptations of the only model, frozen and full."""
    halving = {"models": 1, "scopes": ["frozen", "full"], "steps": 4}
    return write_project(tmp_path_factory.mktemp("project"), selection__strategy__halving=halving)


def test_what_wins_the_short_adaptations_is_chosen_twice_the_same_and_no_test_row_is_seen(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    benches: list[tuple[Workbench, int]] = []
    log_loss = short.log_loss

    def spy(one: Workbench, steps: int) -> float:
        benches.append((one, steps))
        return log_loss(one, steps)

    monkeypatch.setattr(short, "log_loss", spy)
    chosen = []
    for _ in range(2):
        run_stage(project, "selection")
        chosen.append(read_json(project / "data/selection/choice.json"))
    assert chosen[0] == chosen[1]
    (one,) = chosen[0]["strategy"]["halving"]
    losses = one["log_loss"]
    assert one["steps"] == 4 and set(losses) == {"path:model frozen", "path:model full"}
    assert chosen[0]["strategy"]["rule"] == "short adaptations"
    assert f"path:model {chosen[0]['scope']}" == min(losses, key=losses.__getitem__)
    clean = load_rows(project, load(project / "params.yaml"))
    unseen = {row.id for row in clean.of("test")}
    assert len(benches) == 4 and unseen
    for bench, _ in benches:
        assert not unseen & {*bench.data.ids} and {*bench.data.splits} == {"train", "validation"}


@pytest.mark.parametrize("scope", SCOPES)
def test_whatever_scope_wins_is_chosen_with_its_cut(
    scope: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    halving = {"models": 1, "scopes": [*SCOPES], "steps": 4}
    monkeypatch.setattr(short, "log_loss", lambda one, steps: float(one.kind != scope))
    run_stage(write_project(tmp_path, selection__strategy__halving=halving), "selection")
    chosen = read_json(tmp_path / "data/selection/choice.json")
    assert chosen["scope"] == scope
    assert cuts.of(chosen, scope)["reason"] in (tmp_path / "data/selection/summary.md").read_text()


def test_rows_are_encoded_once_a_model_and_a_head_on_frozen_features_is_solved_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, encoded = list[tuple[str, int]](), list[Path]()
    write = short.encoded_rows.write

    def spy(path: Path, rows: Any) -> None:
        encoded.extend([path] if path.parent.name == "short" else [])
        write(path, rows)

    def log_loss(one: Workbench, steps: int) -> float:
        assert len(one.data.encoded) == len(one.data)
        tried.append((one.kind, steps))
        return float(one.kind != "frozen")

    monkeypatch.setattr(short.encoded_rows, "write", spy)
    monkeypatch.setattr(short, "log_loss", log_loss)
    halving = {"models": 1, "scopes": ["frozen", "full", "top"], "steps": 4}
    run_stage(write_project(tmp_path, selection__strategy__halving=halving), "selection")
    rounds = read_json(tmp_path / "data/selection/choice.json")["strategy"]["halving"]
    assert [one["log_loss"]["path:model frozen"] for one in rounds] == [0, 0]
    assert tried == [("frozen", 0), ("full", 4), ("top", 4), ("full", 8)] and len(encoded) == 1


@pytest.mark.parametrize("pool", ["mean", "first"])
def test_what_moves_blocks_competes_and_is_chosen_with_the_pool_that_wins_then(
    pool: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools: dict[str, str] = {}
    monkeypatch.setattr(short, "log_loss", lambda one, steps: len(pools.setdefault(one.kind, one.pool)) * 1.0)
    monkeypatch.setattr(text_settings, "BEATEN_POOLS", {{"mean": "first", "first": "mean"}[pool]: pool})
    run_stage(project, "selection")
    assert pools["full"] == read_json(project / "data/selection/choice.json")["scopes"]["full"]["pool"] == pool


def test_one_that_competes_with_none_leaves_the_choice_and_its_steps_to_the_table(tmp_path: Path) -> None:
    alone = {"models": 1, "scopes": ["full"], "steps": 4}
    root = write_project(tmp_path, selection__strategy__halving=alone, adaptation__objective__contrastive__steps=77)
    run_stage(root, "selection")
    chosen = read_json(root / "data/selection/choice.json")
    assert (chosen["objective"], chosen["strategy"]["halving"]) == ("contrastive", [])
    assert chosen["strategy"]["evidence"]["steps"] == 77


def test_a_short_adaptation_takes_as_many_steps_as_it_is_given(project: Path) -> None:
    made: list[Workbench] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(short, "log_loss", lambda one, steps: made.append(one) or float(len(made)))
        run_stage(project, "selection")
    bench = next(one for one in made if one.kind == "full")
    rows, size = len(bench.data.of("train")), bench.stage.params.adaptation.training.batch_rows
    few, many = short._job(bench, 2), short._job(bench, 3 * rows // size)
    assert (len(few.train), few.epochs) == (2 * size, 1)
    assert (len(many.train), many.epochs) == (rows, 3)
    assert few.curve is None, "what is watched is the training of the model"
    assert few.train.ids == short._job(bench, 2).train.ids


@pytest.mark.parametrize("drawn", [True, False])
def test_a_short_adaptation_starts_from_the_head_that_the_whole_one_starts_from(
    drawn: bool, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: dict[str, float] = {}
    log_loss = short.log_loss
    monkeypatch.setattr(short, "log_loss", lambda one, steps: losses.setdefault(one.kind, log_loss(one, steps)))
    monkeypatch.setattr(text_settings, "DRAWN_HEAD_FROM", 1.0 if drawn else math.inf)
    heads: list[tuple[Any, Any]] = []

    def untrained(one: Workbench, network: Any, job: Any) -> float:
        seen = [made().head.weight for made in (one.maker(one.backbones.load), one.from_solved_head(network))]
        heads.append((network.head.weight, seen))
        return math.inf

    monkeypatch.setattr(short, "_trained", untrained)
    run_stage(project, "selection")
    ((begun, (of_drawn, of_solved)),) = heads
    assert begun.equal(of_drawn if drawn else of_solved) and not of_drawn.equal(of_solved)
    assert losses["full"] < math.inf, "the solved head stands where no step beats it"


def test_a_wish_in_minutes_is_read_once_and_decides_again_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_project(
        tmp_path, selection__strategy__max_minutes=0.001, selection__strategy__full_from_rows_per_label=1
    )
    clock = [9.0, 0.0]
    monkeypatch.setattr(short, "_timed", lambda one: clock.pop(0))
    chosen = []
    for _ in range(2):
        run_stage(root, "selection")
        chosen.append(read_json(root / "data/selection/choice.json"))
    assert clock == [0.0] and chosen[0] == chosen[1]
    assert chosen[0]["scope"] == "frozen"
    assert chosen[0]["scope_reason"].endswith("would take longer than selection.strategy.max_minutes 0.001.")
    assert read_json(root / "data/selection/run.json")["selection"]["training_step"] == {"seconds": 9.0}


def test_the_time_of_a_step_is_measured(project: Path) -> None:
    made: list[Workbench] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(short, "log_loss", lambda one, steps: made.append(one) or float(len(made)))
        run_stage(project, "selection")
    assert 0 < short._timed(next(one for one in made if one.kind == "full")) < 60
