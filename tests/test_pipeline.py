"""All stages in miniature: what they leave, that it is the same again, and that they read what dvc.yaml says."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from tasks import stage as stages_module
from tasks.artifacts import read_json, sha256_folder, write_json
from tasks.errors import GateError, InputError
from tasks.manifest import JUDGED, LEARNED
from tasks.modalities import MODALITIES, part
from tasks.params import Params, leaves, load
from tasks.rows.split import keys_of
from tasks.runtime import Runtime
from tasks.strict import Strict
from tasks.training import loop
from tests.projects import LIMITS, REPO, pin, run_stage, stages, write_project, write_text_model


@pytest.fixture(scope="module")
def read() -> dict[str, set[str]]:
    """Stage -> leaves of params.yaml that it read as the project was made."""
    return {}


@pytest.fixture(scope="module", params=list(MODALITIES))
def project(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, read: dict[str, set[str]]
) -> Path:
    """A finished project of each modality."""
    root = write_project(tmp_path_factory.mktemp("project"), request.param)
    with pytest.MonkeyPatch.context() as patch:
        leaves_read = traced(patch)
        for name in stages(root):
            leaves_read.clear()
            run_stage(root, name)
            read[name] = {*leaves_read}
    return root


def traced(patch: pytest.MonkeyPatch) -> set[str]:
    """Leaves of params.yaml that stages read from now on."""
    places: dict[int, str] = {}
    kept: list[Params] = []  # an id is another object's once its own is gone
    read: set[str] = set()
    load, plain = stages_module.load, Strict.__getattribute__

    def remember(model: Strict, prefix: str) -> None:
        places[id(model)] = prefix
        for name in type(model).model_fields:
            value = plain(model, name)
            if isinstance(value, Strict):
                remember(value, f"{prefix}{name}.")

    def tracing_load(path: Path) -> Params:
        params = load(path)
        kept.append(params)
        remember(params, "")
        return params

    def tracing(self: Strict, name: str) -> object:
        value = plain(self, name)
        if id(self) in places and name in type(self).model_fields and not isinstance(value, Strict):
            read.add(places[id(self)] + name)
        return value

    patch.setattr(stages_module, "load", tracing_load)
    patch.setattr(Strict, "__getattribute__", tracing)
    return read


def outputs(root: Path) -> dict[str, str]:
    """Hash of every output, run records left out."""
    return {path: digest for path, digest in sha256_folder(root / "data").items() if not path.endswith("run.json")}


def test_the_receipt_has_every_model_and_the_chain_every_artefact(project: Path) -> None:
    scores = read_json(project / "data/adaptation/receipt.json")["scores"]
    assert set(scores) == {"adapted", "from_scratch", "frozen_probe", "classical", "majority", "zero_shot"}
    assert scores["adapted"]["accuracy"]["value"] > scores["majority"]["accuracy"]["value"] + 0.3
    reads_words = part(load(project / "params.yaml").project.modality, "source").WORDS
    assert (scores["zero_shot"] is not None) is reads_words
    chain = read_json(project / "data/deployment/chain.json")
    assert set(chain["artefacts"]) == {"checkpoint", "reloaded", "onnx", "optimised", "int8", "int8_alone", "served"}
    assert chain["artefacts"]["onnx"]["max_logit_difference"] < 1e-4
    server = read_json(project / "data/deployment/server.json")
    assert (chain["breaks"], server["breaks"], server["http"]["changed_answers"]) == ([], [], 0)
    assert server["http"]["max_probability_difference"] < 1e-6


def test_the_bundle_carries_what_it_answers_to_a_fixed_example(project: Path) -> None:
    from tasks import known_answer

    modality = load(project / "params.yaml").project.modality
    found = read_json(project / "data/deployment/bundle" / known_answer.FILE)
    assert found["example"] == known_answer.example_of(modality)
    assert found["exact"] is (read_json(project / "data/deployment/chain.json")["shipped"] in ("onnx", "optimised"))
    runtime = Runtime.load(project / "data/deployment/bundle", threads=1)
    np.testing.assert_allclose(runtime.asked(found["example"])[0][0], found["logits"], atol=found["tolerance"])


def test_the_bundle_answers_as_the_checkpoint_did(project: Path) -> None:
    from tasks import predictions, prepared

    test = prepared.load(project).of("test")
    trained = predictions.load(project / "data/adaptation/predictions.arrow", test.ids).logits
    source = part(load(project / "params.yaml").project.modality, "source")
    raw = [source.read(cell, project) for cell in test.inputs]
    answers = Runtime.load(project / "data/deployment/bundle", threads=1).predict(raw)
    same = np.mean([a.prediction == test.labels[k] for a, k in zip(answers.answers, trained.argmax(1), strict=True)])
    assert same == 1.0


def test_the_bundle_says_what_it_was_judged_on_and_what_it_learned_from(project: Path) -> None:
    from tasks import prepared

    rows, bundle = prepared.load(project), project / "data/deployment/bundle"
    assert read_json(bundle / JUDGED) == sorted(rows.of("test").ids)
    learned = keys_of(rows.of("train", "validation").ids)[:, 0]
    assert np.load(bundle / LEARNED).tolist() == sorted(learned.tolist())


def test_running_again_leaves_the_same_bytes(project: Path) -> None:
    first = outputs(project)
    for name in stages(project):
        run_stage(project, name)
    again = outputs(project)
    assert {path for path in first if first[path] != again[path]} == set()


def test_no_output_names_a_path_of_this_machine(project: Path) -> None:
    for path in (project / "data").rglob("*"):
        if path.is_file() and path.name != "run.json":
            content = path.read_bytes()
            assert [text for text in (str(project), str(REPO), "site-packages") if text.encode() in content] == [], path


def test_full_fine_tuning_resumes_to_the_same_bytes(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "STORE_SECONDS", 0)
    root = tmp_path / "copy"
    shutil.copytree(project, root, symlinks=True)
    tree = yaml.safe_load((root / "params.yaml").read_text())
    tree["adaptation"]["scope"]["kind"] = "full"
    tree["adaptation"]["balance"] = "resample"
    tree["adaptation"]["augmentation"] |= {
        "text": {"word_dropout": 0.2, "word_swap": 0.2},
        "image": {"flip": 0.5, "shift": 0.2},
    }
    (root / "params.yaml").write_text(yaml.safe_dump(tree))
    run_stage(root, "adaptation")
    undisturbed = sha256_folder(root / "data/adaptation/model")

    said = stages_module.Stage.say

    def killed(stage: stages_module.Stage, sentence: str) -> None:
        if "epoch 3" in sentence:
            raise KeyboardInterrupt
        said(stage, sentence)

    monkeypatch.setattr(stages_module.Stage, "say", killed)
    with pytest.raises(KeyboardInterrupt):
        run_stage(root, "adaptation")
    assert any((root / ".graft/resume/adaptation").iterdir())
    assert sha256_folder(root / "data/adaptation/model") == undisturbed, "a killed stage touched the last good outputs"
    monkeypatch.undo()
    run_stage(root, "adaptation")
    assert sha256_folder(root / "data/adaptation/model") == undisturbed
    assert not (root / ".graft/resume/adaptation").exists()


@pytest.mark.parametrize(("family", "scope"), [("Llama", "full"), ("GPT2", "frozen")])
def test_a_causal_decoder_goes_the_same_way(
    tmp_path: Path, family: str, scope: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_project(tmp_path, selection__pools=["first", "last"], adaptation__scope__kind=scope)
    shutil.rmtree(root / "model")
    write_text_model(root / "model", family)
    pin(root)
    for name in stages(root):
        run_stage(root, name)
    assert "path:model has no pool first: it is scored without." in capsys.readouterr().out
    ranking = read_json(root / "data/selection/ranking.json")
    assert {(one["depth"], one["pool"]) for one in ranking} == {(depth, "last") for depth in (0, 1, 2)}
    chain = read_json(root / "data/deployment/chain.json")
    assert chain["artefacts"]["onnx"]["max_logit_difference"] < 1e-4
    assert chain["breaks"] == []
    assert read_json(root / "data/adaptation/model/graft.json")["pool"] == "last"


def test_the_gate_refuses_a_verdict_that_is_too_low(project: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(project, root, symlinks=True)
    tree = yaml.safe_load((root / "params.yaml").read_text())
    tree["receipt"]["gate"] = "not_worse"
    (root / "params.yaml").write_text(yaml.safe_dump(tree))
    receipt = read_json(root / "data/adaptation/receipt.json")
    write_json(root / "data/adaptation/receipt.json", receipt | {"verdict": "did_not_pay_off"})
    with pytest.raises(GateError, match=r"receipt\.gate is not_worse"):
        run_stage(root, "deployment_gate")


def test_changed_weights_are_refused_before_anything_is_spent(project: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(project, root, symlinks=True)
    weights = root / "model/model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(InputError, match="sha256"):
        run_stage(root, "selection")


def test_a_stage_reads_only_the_params_that_dvc_yaml_names(project: Path, read: dict[str, set[str]]) -> None:
    """A value that is read and not named would change a result without making it stale."""
    tree = yaml.safe_load((project / "params.yaml").read_text())
    declared = stages_module.read_dvc_yaml(project)["stages"]
    for name in stages(project):
        modality = tree["project"]["modality"]
        entries = [entry for entry in declared[name]["params"] if isinstance(entry, str)]
        named = [entry.replace("${project.modality}", modality) for entry in entries]
        unnamed = {
            leaf for leaf in read[name] - LIMITS if not any(leaf == n or leaf.startswith(f"{n}.") for n in named)
        }
        assert not unnamed, f"{name} reads {sorted(unnamed)}: name them in its params in dvc.yaml"
        # They read the sub-section of one scope and name all; selection reads them where short adaptations are on. The
        # control searches, and learns from pairs beside labels, where the adaptation does.
        if name not in ("adaptation", "selection"):
            off = {"adaptation.search", "adaptation.objective.contrastive.temperature"}
            on = {*named} - off if name == "adaptation_control" else {*named}
            covered = {leaf for leaf in leaves(tree) for n in on if leaf == n or leaf.startswith(f"{n}.")}
            assert not covered - read[name], (
                f"{name} names {sorted(covered - read[name])} in dvc.yaml and does not read them"
            )
