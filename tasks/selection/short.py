"""Edge: short real adaptations on the training side: what they reach, and how long one of their steps takes."""

from __future__ import annotations

import time
from dataclasses import replace
from importlib import metadata

import numpy as np

from tasks import encoded as encoded_rows
from tasks import metrics, modalities, readings
from tasks import network as networks
from tasks.artifacts import read_table, sha256_text
from tasks.network import Network
from tasks.params import Candidate
from tasks.prepared import Prepared
from tasks.problems.classification.answer import probabilities
from tasks.rows.clean import Rows
from tasks.selection.choice import Scored
from tasks.stage import Stage
from tasks.training import solve
from tasks.training.balance import validation_loss
from tasks.training.loop import Job, train
from tasks.training.workbench import Workbench
from tasks.weights import resolve

# Steps that warm up, and steps that are timed.
WARM, TIMED = 2, 4


def bench(stage: Stage, model: Scored, scope: str, rows: Rows, labels: list[str]) -> Workbench:
    """What a cut of a model is adapted on by a scope; the rows are encoded once a model in a stage.

    Args:
        stage: names params and folders.
        model: the cut.
        scope: what learns.
        rows: of the training side.
        labels: K, sorted.
    """
    modality = stage.params.project.modality
    folder = resolve(Candidate(source=model.source, revision=model.revision), stage.root)
    encoder = modalities.part(modality, "encode").from_model(folder, stage.params.examples)
    source = modalities.part(modality, "source")
    store = stage.staging / "short" / f"{sha256_text(f'{model.source} {model.revision}')}.arrow"
    if not store.is_file():
        encoded_rows.write(store, encoded_rows.encode(encoder, (source.read(row.input, stage.root) for row in rows)))
    every = [*rows]
    data = Prepared(
        [row.id for row in every],
        [row.split for row in every],
        [row.input for row in every],
        np.array([labels.index(row.label) for row in every]),
        encoded_rows.read(read_table(store)),
        labels,
    )
    return Workbench(scope, model.depth, model.pool, data, encoder, folder, stage)


def log_loss(one: Workbench, steps: int) -> float:
    """Of the validation rows, after some gradient steps, or with a solved head alone, if that is better.

    A frozen scope takes no steps. Others start from the head that a whole training of these rows starts from (a sample
    of many rows may have too few a label for a drawn one), take the middle one of the rates, and see about as many rows
    as so many steps have room for: whole epochs, where that is all rows or more.

    Args:
        one: with rows of both splits.
        steps: at least 1, or 0 of a frozen scope.
    """
    params, rows = one.stage.params, one.data.of("validation")
    if one.solved:
        data = one.data.of("train", "validation")
        values = one.frozen_features(one.maker(one.backbones.load)(), data)
        solved = solve.solve(values, data, params.adaptation.scope.frozen, params.project.seed, one.balanced)
        return _loss(rows, solved.validation, one.weights(one.data.of("train")))
    job, make = _job(one, steps), one.maker(one.backbones.load)
    ready = one.from_solved_head(make())
    start = _loss(rows, networks.logits(ready(), one.encoder, rows.encoded), job.weights)
    return min(start, _trained(one, make() if one.draws_head else ready(), job))


def _loss(rows: Prepared, logits: np.ndarray, weights: np.ndarray | None) -> float:
    return validation_loss(metrics.judge(rows.classes, probabilities(logits)), weights)


def _job(one: Workbench, steps: int) -> Job:
    """A training of so many steps: of a part of the rows, or of all of them several times."""
    settings = one.stage.params.adaptation.training
    job = one.job(settings)
    random = np.random.default_rng(one.stage.params.project.seed)
    kept = np.sort(random.permutation(len(job.train))[: steps * settings.batch_rows])
    part = job.train.at(kept.tolist())
    epochs = max(1, round(steps * settings.batch_rows / len(part)))
    rates = sorted(settings.learning_rates)
    return replace(job, train=part, rate=rates[len(rates) // 2], epochs=epochs, least_epochs=epochs, curve=None)


def _trained(one: Workbench, network: Network, job: Job) -> float:
    objective = one.objective(job.settings, job.train)
    return train(network, one.scope(one.kind), objective, job, None, lambda line: None).best


def seconds_per_step(one: Workbench, revision: str) -> float:
    """Of full fine-tuning on this machine, as read once and kept."""
    stage, settings = one.stage, one.stage.params.adaptation.training
    of = {
        "what": "seconds of a training step",
        "weights": revision,
        "depth": one.depth,
        "rows": settings.batch_rows,
        "positions": int(np.median([one.encoder.positions(row) for row in one.data.encoded])),
        "device": one.device.type,
        "precision": one.precision,
        "threads": stage.params.resources.threads,
        "machine": readings.machine(),
        "torch": metadata.version("torch"),
    }
    found = readings.once(stage.state(readings.FOLDER), of, lambda: {"seconds": _timed(one)})
    assert found is not None
    stage.readings["training_step"] = found
    return float(found["seconds"])


def _timed(one: Workbench) -> float:
    make = one.maker(one.backbones.load)
    spent = []
    for steps in (WARM, TIMED):
        job = _job(one, steps)
        job, network = replace(job, validation=job.train.at([0])), make()
        started = time.perf_counter()
        _trained(one, network, job)
        taken = job.epochs * one.objective(job.settings, job.train).steps(job.train)
        spent.append((time.perf_counter() - started) / taken)
    return spent[-1]
