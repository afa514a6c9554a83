"""A candidate's speed is read in a process of its own, once; its hub is asked once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasks import hub, modalities, readings, stopwatch
from tasks.artifacts import read_json, sha256_file
from tasks.errors import InputError
from tasks.params import Candidate, load
from tasks.prepared import Prepared
from tasks.selection import reading, short
from tasks.stage import Stage
from tasks.training.workbench import Workbench
from tests.projects import run_stage, write_project

COMMIT = "c" * 40


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path)


def stage_of(root: Path) -> Stage:
    return Stage("selection", root, load(root / "params.yaml"), root / ".graft/staging")


def read(root: Path, depth: int = 1) -> dict[str, Any]:
    stage = stage_of(root)
    encoder = modalities.part("text", "encode").from_model(root / "model", stage.params.examples)
    candidate = Candidate(source="path:model", revision=sha256_file(root / "model/model.safetensors"))
    encoded = encoder.encode(["the apple", "one old pear and a plum", "iron"])
    found = reading.of_depth(stage, candidate, root / "model", depth, "mean", encoder, encoded)
    assert stage.readings == {"speed": {f"path:model depth {depth}": found}}
    return found


def test_speed_and_memory_are_read_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(project)
    one, many = found["milliseconds_per_row"]["1"], found["milliseconds_per_row"]["32"]
    assert 0 < many < one < 1000 and 20 < found["peak_megabytes"] < 1000
    monkeypatch.setattr(stopwatch, "in_own_process", lambda *_: pytest.fail("the reading was taken twice"))
    assert read(project) == found
    monkeypatch.setattr(readings, "machine", lambda: "another")
    monkeypatch.setattr(
        stopwatch, "in_own_process", lambda *_: {"milliseconds_per_row": {"1": 7.0}, "peak_megabytes": 1}
    )
    assert read(project)["milliseconds_per_row"] == {"1": 7.0}


def test_the_time_of_a_training_step_is_that_of_what_trains(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = stage_of(project)
    encoder = modalities.part("text", "encode").from_model(project / "model", stage.params.examples)
    data = Prepared(["1"], ["train"], ["iron"], np.zeros(1, int), encoder.encode(["iron"]), ["a", "b"])
    bench = Workbench("full", 1, "mean", data, encoder, project / "model", stage)
    monkeypatch.setattr(short, "_timed", lambda one: {"cpu": 0.5, "cuda": 0.25}[one.device.type])
    monkeypatch.setattr(Workbench, "precision", "bfloat16")
    for name, seconds in (("cpu", 0.5), ("cuda", 0.25)):
        monkeypatch.setattr(Workbench, "device", torch.device(name))
        assert short.seconds_per_step(bench, "revision") == seconds


def selected(root: Path) -> list[dict[str, Any]]:
    run_stage(root, "selection")
    ranking: list[dict[str, Any]] = read_json(root / "data/selection/ranking.json")
    return ranking


def test_a_slow_depth_is_out_and_no_figure_of_a_clock_stands_in_an_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_project(
        tmp_path, selection__limits={"max_milliseconds": 3.25, "max_megabytes": None, "licences": None}
    )

    def of_depth(stage: Stage, candidate: Candidate, folder: Path, depth: int, *_: Any) -> dict[str, Any]:
        return {"milliseconds_per_row": {"1": 1.777 * (depth + 1)}}

    monkeypatch.setattr(reading, "of_depth", of_depth)
    *inside, out = selected(root)
    assert {one["depth"] for one in inside} == {0}
    assert (out["source"], out["from_depth"]) == ("path:model", 1)
    assert out["reason"] == "a row takes longer than selection.limits.max_milliseconds 3.25"
    assert "- path:model from depth 1 up is out: a row takes" in (root / "data/selection/summary.md").read_text()
    full = read_json(root / "data/selection/choice.json")["scopes"]["full"]
    assert full["depth"] == 0 and full["reason"].startswith(
        "The lowest 0 of 2 blocks, all that selection.limits leave:"
    )
    written = "".join(path.read_text() for path in (root / "data/selection").iterdir() if path.name != "run.json")
    assert "1.77" not in written and "3.55" not in written


def test_without_a_licence_nothing_is_left(tmp_path: Path) -> None:
    limits = {"max_milliseconds": None, "max_megabytes": None, "licences": ["mit"]}
    root = write_project(tmp_path, selection__limits=limits)
    with pytest.raises(InputError, match=r"selection\.limits leave no candidate \(path:model: no README"):
        run_stage(root, "selection")
    (root / "model/README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    assert all("reason" not in one for one in selected(root))


def test_the_hub_is_asked_once_for_all_that_it_knows(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    facts = {"commit": COMMIT, "licence": "mit", "downloads": 7, "last_change": "2025-01-02"}

    def answer(name: str, revision: str) -> dict[str, Any] | None:
        asked.append(name)
        return facts if len(asked) > 1 else None

    monkeypatch.setattr(hub, "facts", answer)
    candidate = Candidate(source="hub:owner/name", revision=COMMIT)
    stage = stage_of(project)
    assert reading.licence(stage, candidate, project / "model") is None and stage.readings == {}
    for _ in range(2):
        assert reading.licence(stage, candidate, project / "model") == "mit"
    assert asked == ["owner/name"] * 2 and stage.readings == {"hub": {"hub:owner/name": facts}}
    (project / "model/README.md").write_text("---\nlicense: apache-2.0\n---\n")
    assert reading.licence(stage, candidate, project / "model") == "apache-2.0", "the card of the pinned files counts"
