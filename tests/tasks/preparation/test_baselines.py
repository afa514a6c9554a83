"""What the task is worth without adapting anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from tasks import predictions
from tasks.artifacts import read_json
from tasks.metrics import SMALLEST
from tasks.modalities.text import classical as text
from tasks.preparation.baselines import classical, majority
from tasks.prepared import Prepared, load
from tasks.problems.classification.answer import probabilities
from tasks.problems.classification.learn import classical_estimator
from tasks.zero_shot import SCALE
from tests.projects import run_stage, write_project

LABELS = ["a", "b", "unseen"]


def prepared(inputs: list[str], classes: list[int]) -> Prepared:
    ids = [str(i) for i in range(len(inputs))]
    return Prepared(ids, ["train"] * len(ids), inputs, np.array(classes), [{}] * len(ids), LABELS)


TRAIN = prepared(["red apple", "green apple", "ripe apple", "fast car"], [0, 0, 0, 1])


def test_majority_answers_the_training_shares_to_every_row() -> None:
    found = majority(TRAIN, prepared(["x", "y"], [1, 2]))
    assert found.shape == (2, 3) and np.array_equal(found[0], found[1])
    assert probabilities(found)[0].tolist() == pytest.approx([0.75, 0.25, 0], abs=1e-9)


def test_classical_learns_from_words_and_gives_unseen_labels_almost_nothing() -> None:
    found = classical(TRAIN, prepared(["sweet apple", "slow car"], [0, 1]), text, classical_estimator(0))
    assert found.argmax(axis=1).tolist() == [0, 1]
    assert found[:, 2].tolist() == pytest.approx([np.log(SMALLEST)] * 2)
    assert np.exp(found).sum(axis=1).tolist() == pytest.approx([1, 1])


def test_the_classical_vocabulary_comes_from_training_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = text.vectoriser()
    monkeypatch.setattr(text, "vectoriser", lambda: fitted)
    classical(TRAIN, prepared(["submarine"], [0]), text, classical_estimator(0))
    assert "submarine" not in fitted.vocabulary_ and {"apple", "red apple"} <= set(fitted.vocabulary_)


def test_classical_columns_follow_the_class_numbers_when_a_middle_label_has_no_rows() -> None:
    train = prepared(["red apple", "green apple", "fast car"], [0, 0, 2])
    found = classical(train, prepared(["fast car"], [2]), text, classical_estimator(0))
    assert found.argmax(axis=1).tolist() == [2]


def test_classical_answers_the_only_label_that_training_rows_have() -> None:
    found = classical(prepared(["red apple", "fast car"], [1, 1]), TRAIN, text, classical_estimator(0))
    assert found.shape == (4, 3) and found.argmax(axis=1).tolist() == [1] * 4


def test_what_learns_is_balanced_as_the_adapted_model_is(tmp_path: Path) -> None:
    root = write_project(tmp_path / "project")
    for stage in ("selection", "preparation"):
        run_stage(root, stage)
    test = load(root).of("test")
    answers = []
    for balance in ("none", "weights"):
        tree = yaml.safe_load((root / "params.yaml").read_text())
        tree["adaptation"]["balance"] = balance
        (root / "params.yaml").write_text(yaml.safe_dump(tree))
        run_stage(root, "preparation_baselines")
        folder = root / "data/preparation/baselines"
        answers.append({path.stem: predictions.load(path, test.ids).logits for path in folder.glob("*.arrow")})
    same = {name: np.array_equal(answers[0][name], answers[1][name]) for name in answers[0]}
    assert same == {"majority": True, "classical": False, "frozen_probe": False, "zero_shot": True}


def test_zero_shot_answers_the_label_whose_description_a_row_is(tmp_path: Path) -> None:
    root = write_project(tmp_path / "project")
    for stage in ("selection", "preparation"):
        run_stage(root, stage)
    test = load(root).of("test")
    described = dict(zip(test.labels, test.inputs, strict=False))
    tree = yaml.safe_load((root / "params.yaml").read_text())
    tree["data"]["label_descriptions"] = described
    (root / "params.yaml").write_text(yaml.safe_dump(tree))
    run_stage(root, "preparation_baselines")
    folder = root / "data/preparation/baselines"
    assert read_json(folder / "zero_shot.json") == {"words": described, "why_not": None}
    logits = predictions.load(folder / "zero_shot.arrow", test.ids).logits
    for row in range(len(described)):
        assert logits[row].argmax() == row and logits[row, row] == pytest.approx(SCALE, abs=1e-4)
