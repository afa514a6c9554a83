"""Stage `preparation_baselines`: what the task is worth without adapting anything, and which labels look wrong."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from tasks import device, features, modalities, prepared, problems, zero_shot
from tasks.artifacts import read_json, write_json, write_text
from tasks.metrics import SMALLEST, accuracy, judge, macro_f1
from tasks.modalities.contract import Backbone, Encoder
from tasks.predictions import Predictions
from tasks.preparation import quality
from tasks.prepared import FOLDER, MODEL, Prepared
from tasks.problems.classification.answer import probabilities
from tasks.stage import Stage, run

BASELINES = ("majority", "classical", "frozen_probe", "zero_shot")
PROBE_INVERSE_REGULARISATION = 0.1


def majority(train: Prepared, rows: Prepared) -> np.ndarray:
    """Log share of each label among the training rows, the same for every row, (N, K)."""
    shares = np.bincount(train.classes, minlength=len(train.labels)) / len(train)
    return np.tile(np.log(np.maximum(shares, SMALLEST)), (len(rows), 1))


def classical(train: Prepared, rows: Prepared, modality: ModuleType, estimator: Any) -> np.ndarray:
    """Log probabilities (N, K) of a classical estimator on the features of a modality's `classical` module.

    There is nothing to tell apart where all training rows have one label, as those from before some date may have.
    """
    if len(np.unique(train.classes)) == 1:
        return majority(train, rows)
    vectoriser = modality.vectoriser()
    estimator.fit(vectoriser.fit_transform(modality.examples(train)), train.classes)
    found = np.full((len(rows), len(train.labels)), SMALLEST)
    found[:, estimator.classes_] = estimator.predict_proba(vectoriser.transform(modality.examples(rows)))
    return np.asarray(np.log(np.maximum(found, SMALLEST)))


def main(stage: Stage) -> None:
    """Each baseline learns twice: on training rows, for validation; on training and validation, for test.

    Zero-shot learns nothing; where labels have no words for the model, the reason stands in the place of its answers.
    """
    project = stage.params.project
    data = prepared.load(stage.root)
    if not data.labelled:
        _nothing(stage, data)
        return
    balanced = stage.params.adaptation.balance != "none"
    learn = problems.part(project.problem, "learn")
    plain = modalities.part(project.modality, "classical")
    probe_features = _frozen_features(stage, data)
    words = zero_shot.label_words(data.labels, stage.params.data.label_descriptions)
    why_not = zero_shot.why_not(modalities.part(project.modality, "source"), project.modality, words)
    write_json(stage.out("data/preparation/baselines/zero_shot.json"), {"words": words, "why_not": why_not})
    nearest = None if why_not else _nearest(stage, list(words.values()))

    def answers(name: str, train: Prepared, rows: Prepared) -> np.ndarray:
        if name == "majority":
            return majority(train, rows)
        if name == "classical":
            return classical(train, rows, plain, learn.classical_estimator(project.seed, balanced))
        if name == "zero_shot":
            assert nearest is not None
            return nearest(rows)
        place = {id_: i for i, id_ in enumerate(data.ids)}
        values = probe_features[[place[i] for i in train.ids]]
        head = learn.solve_head(values, train.classes, len(train.labels), PROBE_INVERSE_REGULARISATION, balanced)
        return np.asarray(head.logits(probe_features[[place[i] for i in rows.ids]]))

    metrics: dict[str, dict[str, float]] = {}
    validation, test = data.of("validation"), data.of("test")
    for name in BASELINES if nearest else BASELINES[:-1]:
        judged = judge(validation.classes, probabilities(answers(name, data.of("train"), validation)))
        metrics[name] = {
            "accuracy": round(accuracy(judged), 4),
            "macro_f1": round(macro_f1(judged), 4),
        }
        logits = answers(name, data.of("train", "validation"), test)
        Predictions(test.ids, logits).save(stage.out(f"data/preparation/baselines/{name}.arrow"))
        stage.say(f"Baseline {name}: accuracy {metrics[name]['accuracy']:.1%} on validation.")
    write_json(stage.out("data/preparation/metrics.json"), metrics)
    _review(stage, data, probe_features, learn, plain)


def _nothing(stage: Stage, data: Prepared) -> None:
    """No label: nothing to learn from, and zero-shot is the model itself."""
    words = zero_shot.label_words(data.labels, stage.params.data.label_descriptions)
    record = {"words": words, "why_not": zero_shot.UNLABELLED}
    write_json(stage.out("data/preparation/baselines/zero_shot.json"), record)
    write_json(stage.out("data/preparation/metrics.json"), dict.fromkeys(BASELINES))
    write_json(stage.out("data/preparation/quality.json"), None)
    write_text(stage.out("data/preparation/quality.md"), f"# Data quality\n\n{zero_shot.UNLABELLED}\n")
    write_text(stage.out("data/preparation/label_review.csv"), quality.review_csv(data, [], []))
    stage.say(zero_shot.UNLABELLED)


def _review(stage: Stage, data: Prepared, values: np.ndarray, learn: ModuleType, plain: ModuleType) -> None:
    """What the same features and words say about the labels themselves."""
    found, noise = quality.doubts(data, values, learn, stage.params.project.seed)
    record = quality.record(data, found, noise, plain)
    write_json(stage.out("data/preparation/quality.json"), record)
    write_text(stage.out("data/preparation/quality.md"), quality.markdown(record))
    review = quality.review_csv(data, prepared.places(stage.root), found)
    write_text(stage.out("data/preparation/label_review.csv"), review)
    stage.say(f"{len(found)} labels look wrong, label_review.csv lists them; estimated noise {noise:.1%}.")


def _frozen_features(stage: Stage, data: Prepared) -> np.ndarray:
    """Features at the depth and pool that selection chose for the frozen scope, (N, F)."""
    frozen = read_json(stage.root / "data/selection/choice.json")["scopes"]["frozen"]
    backbone, encoder = _model(stage, frozen["depth"], frozen["pool"])
    store = features.store(stage.state("features"), stage.params, stage.root / FOLDER / MODEL)
    return features.of_cut(store, backbone, frozen["pool"], encoder, data.encoded)


def _nearest(stage: Stage, words: list[str]) -> Callable[[Prepared], np.ndarray]:
    """Zero-shot scores (N, K) by the whole model."""
    backbone, encoder = _model(stage, None, zero_shot.POOL)
    labels = features.at_own_depth(backbone, encoder, encoder.encode(words))
    return lambda rows: zero_shot.logits(features.at_own_depth(backbone, encoder, rows.encoded), labels)


def _model(stage: Stage, depth: int | None, pool: str) -> tuple[Backbone, Encoder]:
    folder = stage.root / FOLDER / MODEL
    modality = stage.params.project.modality
    backbone = modalities.part(modality, "backbone").load(folder, depth, pool)
    backbone.to(device.pick(stage.params.resources.device))
    return backbone, modalities.part(modality, "encode").from_model(folder, stage.params.examples)


if __name__ == "__main__":
    run("preparation_baselines", main)
