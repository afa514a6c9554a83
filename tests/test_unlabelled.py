"""A project without a labelled row, in miniature: what ships, what is said of it, and how labels take over."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from flows.commands import app
from tasks import prepared
from tasks.artifacts import read_json
from tasks.errors import GateError, InputError
from tasks.params import load
from tasks.receipt import challenge
from tasks.rows import clean
from tasks.runtime import Runtime
from tests.projects import WORDS, run_stage, stages, write_project

DESCRIBED = {label: " and ".join(words) for label, words in WORDS.items()}


@pytest.fixture(scope="module")
def right() -> dict[str, str]:
    """Text -> the label that was taken away."""
    return {}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, right: dict[str, str]) -> Path:
    root = write_project(
        tmp_path_factory.mktemp("project"), data__label_descriptions=DESCRIBED, receipt__gate="not_worse"
    )
    path = root / "data/raw/rows.csv"
    with path.open(newline="") as file:
        right |= {row["text"]: row["label"] for row in csv.DictReader(file)}
    path.write_text("".join(f"{line}\n" for line in ("text", *right)))
    for name in stages(root):
        run_stage(root, name)
    return root


def copied(project: Path, target: Path, section: str, **leaves: object) -> Path:
    root = Path(shutil.copytree(project, target, symlinks=True))
    tree = yaml.safe_load((root / "params.yaml").read_text())
    for leaf, value in leaves.items():
        *folders, name = leaf.split("__")
        branch = tree[section]
        for folder in folders:
            branch = branch[folder]
        branch[name] = value
    (root / "params.yaml").write_text(yaml.safe_dump(tree))
    return root


def test_it_ships_and_nothing_is_said_to_be_measured(project: Path) -> None:
    receipt = read_json(project / "data/adaptation/receipt.json")
    assert receipt["verdict"] == "undecided" and not any(receipt["scores"].values())
    assert not any(read_json(project / "data/adaptation/metrics.json").values())
    assert not any(read_json(project / "data/preparation/metrics.json").values())
    assert not (project / ".graft/looks").exists(), "nobody looked at the test rows"
    chain = read_json(project / "data/deployment/chain.json")
    assert (chain["shipped"], chain["breaks"]) == ("onnx", [])
    assert {one["accuracy"] for one in chain["artefacts"].values()} == {None}
    assert (project / "data/deployment/gate.json").is_file()
    card = (project / "data/deployment/bundle/card.md").read_text()
    assert "Undecided: no labelled rows" in card and f"| bird | {DESCRIBED['bird']} |" in card
    assert "Never judged" in card


def test_the_bundle_answers_by_the_nearest_words(project: Path) -> None:
    from tasks import zero_shot
    from tasks.features import at_own_depth
    from tasks.modalities.text import backbone, encode

    body = backbone.load(project / "model", None, "mean")
    encoder = encode.from_model(project / "model", load(project / "params.yaml").examples)
    texts = prepared.load(project).of("test").inputs
    words = [DESCRIBED[label] for label in sorted(WORDS)]
    rows, labels = (at_own_depth(body, encoder, encoder.encode(given)) for given in (texts, words))
    found = Runtime.load(project / "data/deployment/bundle", threads=1).predict(texts)
    np.testing.assert_allclose(found.logits, zero_shot.logits(rows, labels), atol=1e-3)


def test_the_report_says_so_first_and_keeps_its_keys(project: Path) -> None:
    said = CliRunner().invoke(app, ["report", "--project", str(project)]).stdout
    assert said.startswith("Undecided: no labelled rows, so nothing was measured.")
    assert "graft feedback" in said.splitlines()[-1] and "accuracy " in said
    record = json.loads(CliRunner().invoke(app, ["report", "--project", str(project), "--json"]).stdout)
    assert record["scores"] == dict.fromkeys(
        ("adapted", "from_scratch", "frozen_probe", "classical", "majority", "zero_shot")
    )
    assert (record["prediction"], record["quality"], record["adaptation"]["learns"]) == (None, None, "nothing")


def test_the_gate_better_refuses_what_nobody_measured(project: Path, tmp_path: Path) -> None:
    root = copied(project, tmp_path / "copy", "receipt", gate="better")
    with pytest.raises(GateError, match=r"no labelled rows.*receipt\.gate is better"):
        run_stage(root, "deployment_gate")


@pytest.mark.parametrize("kind", ["frozen", "full"])
def test_a_scope_that_learns_is_refused(project: Path, tmp_path: Path, kind: str) -> None:
    root = copied(project, tmp_path / "copy", "adaptation", scope__kind=kind)
    for stage in ("adaptation", "adaptation_control"):
        with pytest.raises(InputError, match=f"adaptation.scope.kind is {kind}, but no row has a label"):
            run_stage(root, stage)


def test_augmentation_without_training_is_refused(project: Path, tmp_path: Path) -> None:
    root = copied(project, tmp_path / "copy", "adaptation", augmentation__text__word_dropout=0.1)
    with pytest.raises(InputError, match=r"zero_shot, which learns nothing, so that .* set all of augmentation to 0"):
        run_stage(root, "adaptation")


def test_a_model_that_the_limits_cut_cannot_answer(project: Path, tmp_path: Path) -> None:
    root = copied(project, tmp_path / "copy", "selection", limits__max_megabytes=0.012)
    with pytest.raises(InputError, match=r"selection\.limits leave no candidate \(path:model: its float32 weights"):
        run_stage(root, "selection")


def test_rows_that_get_labels_are_learned_and_compared_with_the_words(
    project: Path, tmp_path: Path, right: dict[str, str]
) -> None:
    root = copied(project, tmp_path / "copy", "data", feedback="later.csv")
    with (root / "later.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *right.items()])
    rows = clean.load(root, load(root / "params.yaml"))
    assert rows.labelled and len(rows.rows) == len(right)
    bundle = project / "data/deployment/bundle"
    found = challenge.between(root, load(root / "params.yaml"), bundle, bundle)
    assert found["groups"]["all"]["rows"] == len(rows.of("test")) > 0 and found["groups"]["later"] is None
    assert not found["promote"]
