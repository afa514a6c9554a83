"""Forms that cannot be made or run are left out; the chain's and the server's breaks end the phase."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks import export, modalities, stopwatch
from tasks.artifacts import write_json
from tasks.deployment import __main__ as deployment
from tasks.deployment import bundle as made
from tasks.deployment import forms, speed
from tasks.errors import CrashError, GateError, InputError
from tasks.known_answer import KnownAnswer
from tasks.prepared import Prepared
from tasks.runtime import Runtime
from tasks.stage import Stage
from tests.bundles import tiny_bundle
from tests.factories import params
from tests.projects import run_stage, write_project

LOSS = {"value": 0.0, "low": 0.0, "high": 0.0}


def stage_of(root: Path, **changes: Any) -> Stage:
    return Stage("deployment", root, params(**changes), root / "staging")


def rows(encoder: Any) -> Prepared:
    texts = ["good", "bad good", "good bad bad", "bad"]
    splits = ["train", "train", "train", "test"]
    return Prepared(texts, splits, texts, np.array([0, 1, 1, 1]), encoder.encode(texts), ["good", "bad"])


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "bundle")


@pytest.fixture
def encoder(bundle: Path) -> Any:
    return modalities.part("text", "encode").from_bundle(bundle / "encoder")


def test_a_form_that_cannot_be_made_is_left_out_with_its_reason(
    tmp_path: Path, encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrating: list[list[int]] = []

    def make(name: str, folder: Path, batches: list[dict[str, np.ndarray]]) -> Path:
        calibrating.append([len(batch["input_ids"]) for batch in batches])
        if name == "int8":
            raise RuntimeError("no such operator")
        return folder / f"{name}.onnx"

    monkeypatch.setattr(export, "export", lambda *_: None)
    monkeypatch.setattr(forms, "make", make)
    stage = stage_of(tmp_path, deployment__calibration_rows=2)
    graphs, left_out = deployment._graphs(stage, None, encoder, rows(encoder))  # type: ignore[arg-type]
    assert list(graphs) == ["onnx", "optimised", "int8_static"]
    assert left_out == {"int8": "it cannot be made of this model (RuntimeError)"}
    assert calibrating == [[2]] * 3, "training rows alone, as many as the params say"


def test_a_form_whose_numbers_are_not_finite_is_no_form(
    tmp_path: Path, encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    description = {"project": "p", "modality": "text", "problem": "classification", "labels": ["good", "bad"]} | {
        "temperature": 1.0, "licence": None, "made_from": {},
    }  # fmt: skip
    broken = tiny_bundle(tmp_path / "broken", np.array([[np.inf, 0], [0, 4]], dtype=np.float32)) / "model.onnx"
    test = rows(encoder).of("test")
    with pytest.raises(CrashError, match="form float16 answers with numbers that are not finite"):
        deployment._answered(stage_of(tmp_path), "float16", broken, encoder, test, description)
    whole = tmp_path / "bundle/model.onnx"
    found, pooled, known = deployment._answered(stage_of(tmp_path), "float16", whole, encoder, test, description)
    assert [*found] == ["float16"]
    np.testing.assert_allclose((found["float16"].logits[0], pooled[0], known), ([0, 4], [0, 1], [0, 0]))
    assert found["float16"].bytes == whole.stat().st_size
    monkeypatch.setattr(Runtime, "asked", lambda *_: (np.full((1, 2), np.nan), np.zeros((1, 2))))
    with pytest.raises(CrashError, match="numbers that are not finite"):
        deployment._answered(stage_of(tmp_path), "float16", whole, encoder, test, description)


def test_a_form_whose_answers_depend_on_the_batch_answers_each_row_alone_too(
    tmp_path: Path, encoder: Any, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: Runtime, encoded: list[Any], batch_rows: int = 32) -> tuple[np.ndarray, np.ndarray]:
        return np.full((len(encoded), 2), float(batch_rows)), np.zeros((len(encoded), 2))

    monkeypatch.setattr(Runtime, "run", run)
    description = {"project": "p", "modality": "text", "problem": "classification", "labels": ["good", "bad"]} | {
        "temperature": 1.0, "licence": None, "made_from": {},
    }  # fmt: skip
    graph, test = bundle / "model.onnx", rows(encoder).of("test")
    found = deployment._answered(stage_of(tmp_path), "int8", graph, encoder, test, description)[0]
    assert {name: one.logits[0, 0] for name, one in found.items()} == {"int8": 32, "int8_alone": 1}


def test_a_bundle_carries_the_answer_that_it_is_held_to(tmp_path: Path, bundle: Path, encoder: Any) -> None:
    description = {"project": "p", "modality": "text", "problem": "classification", "labels": ["good", "bad"]} | {
        "artefact": "onnx", "temperature": 1.0, "licence": None, "made_from": {},
    }  # fmt: skip
    for name, logits in (("right", [4.0, 0.0]), ("wrong", [0.0, 4.0])):
        known = KnownAnswer("good", logits, exact=True, tolerance=1e-4)
        made.write(tmp_path / name, bundle / "model.onnx", encoder, description, known=known)
    assert "known_answer.json" in Runtime.load(tmp_path / "right", threads=1).manifest.files
    with pytest.raises(InputError, match="otherwise than when it was made"):
        Runtime.load(tmp_path / "wrong", threads=1)


def test_a_label_keeps_to_its_cell_of_the_card() -> None:
    receipt = {"f1_per_label": {"Action|Comedy": 0.5, "War": None}}
    measured = made._labels({"words": None, "receipt": receipt})
    assert measured == ["| label | F1 on test |", "|---|---|", r"| Action\|Comedy | 0.500 |", "| War | no test rows |"]
    assert made._labels({"words": {"a|b": "x\ny"}})[2:] == [r"| a\|b | x y |"]


def test_speeds_are_read_once_for_a_graph_and_not_where_there_is_no_choice(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []

    def take(graph: Path, row: Any, threads: int, of: str, advice: str) -> dict[str, Any]:
        taken.append(of)
        return {"milliseconds_per_row": {"1": 3.0, "32": 2.0 + len(taken)}}

    monkeypatch.setattr(stopwatch, "in_own_process", take)
    stage, row = stage_of(tmp_path), {"input_ids": np.ones((1, 3))}
    other = tiny_bundle(tmp_path / "other", 2 * np.eye(2, dtype=np.float32)) / "model.onnx"
    graphs = {"onnx": bundle / "model.onnx", "int8": other}
    assert speed.of_forms(stage, {"onnx": other}, row) == {"onnx": 0.0} and not taken
    for _ in range(2):
        assert speed.of_forms(stage, graphs, row) == {"onnx": 3.0, "int8": 4.0}
    assert taken == ["the form onnx", "the form int8"] and set(stage.readings["forms"]) == set(graphs)


@pytest.mark.parametrize(("difference", "shipped"), [(9e-5, "optimised"), (2e-4, "onnx")])
def test_an_optimised_graph_that_is_off_does_not_ship_however_fast_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, difference: float, shipped: str
) -> None:
    def of_forms(_: Stage, graphs: dict[str, Path], typical: Any) -> dict[str, float]:
        return {name: {"onnx": 9.0, "optimised": 1.0}[name] for name in graphs}

    monkeypatch.setattr(speed, "of_forms", of_forms)
    differences = {"checkpoint": 0.0, "onnx": 1e-6, "optimised": difference}
    records = {name: {"loss": LOSS, "max_logit_difference": value} for name, value in differences.items()}
    graphs = {name: tmp_path / f"{name}.onnx" for name in ("onnx", "optimised")}
    left_out = {"int8": "it cannot be run (RuntimeError)"}
    name, reason = deployment._chosen(stage_of(tmp_path), records, graphs, left_out, 1.0, {})
    assert name == shipped and "int8 is out, it cannot be run" in reason
    assert ("optimised is out, it differs from the checkpoint by 0.0002 in a logit" in reason) is (shipped == "onnx")


@pytest.mark.parametrize("link", ["chain", "server"])
def test_a_broken_link_ends_the_phase_and_is_named(tmp_path: Path, link: str) -> None:
    root = write_project(tmp_path / "project")
    write_json(root / "data/adaptation/receipt.json", {"verdict": "paid_off", "sentence": "It did."})
    write_json(root / "data/deployment/bundle/manifest.json", {})
    for name in ("chain", "server"):
        breaks = [f"{name} answers otherwise."] if name == link else []
        write_json(root / f"data/deployment/{name}.json", {"breaks": breaks})
    with pytest.raises(GateError, match=f"chain is broken: {link} answers otherwise"):
        run_stage(root, "deployment_gate")
    assert GateError("").exit_code == 1
    write_json(root / f"data/deployment/{link}.json", {"breaks": []})
    run_stage(root, "deployment_gate")
