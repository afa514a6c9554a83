"""How long stages that never ran here may take: the work they do, at the speed this machine multiplies matrices.

Rough on purpose: within a factor of two on the one machine it was tried on while nothing else ran there, which is
enough to tell minutes from hours.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from tasks import modalities
from tasks.params import Params
from tasks.rows.clean import Clean, load
from tasks.weights import WEIGHTS, resolve

START_SECONDS = 4.0  # of a stage: the imports
EXPORT_SECONDS = 15.0
FORM_SECONDS = 10.0  # to make one and to read its speed
FLOAT32_BYTES = 4
# Operations of a forward pass per weight and position, and of a training step (Kaplan et al. 2020, section 2.1).
FORWARD, STEP = 2, 6
# Snapshot, checkpoint and bundle, in the project and in DVC's cache, and the graphs that are made and scored between.
MODEL_COPIES = 8
SAMPLE_ROWS = 200
MATRIX = 1024


def seconds(root: Path, params: Params) -> dict[str, float]:
    """Stage -> seconds, for every stage of dvc.yaml.

    Args:
        root: the project's folder.
        params: checked, with data that can be read and weights that are here.
    """
    clean = load(root, params)
    each = max(_operations(root, params, clean, i) for i in range(len(params.selection.candidates)))
    speed = _operations_per_second(params.resources.threads)
    forms = FORM_SECONDS * len({*params.deployment.forms})
    startup = {"deployment": START_SECONDS + EXPORT_SECONDS + forms}
    return {
        name: round(startup.get(name, START_SECONDS) + each * passes / speed, 1)
        for name, passes in row_passes(params, clean).items()
    }


def disk_gb(root: Path, params: Params) -> float:
    """What a run may add: two copies of the rows, and the model as snapshot, checkpoint, graphs and bundle, cached."""
    weights = max((resolve(one, root) / WEIGHTS).stat().st_size for one in params.selection.candidates)
    rows = sum(_bytes(root / path) for path in (params.data.path, params.data.test) if path)
    return round((MODEL_COPIES * weights + 2 * rows) / 1e9, 2)


def _bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())


def row_passes(params: Params, clean: Clean) -> dict[str, float]:
    """Stage -> examples that pass through the network, one that is learned from counting as three."""
    train, learned, test = (len(clean.of(*s)) for s in (("train",), ("train", "validation"), ("test",)))
    adaptation, scratch = params.adaptation, params.receipt.scratch
    few = learned / len(clean.labels) < params.selection.strategy.full_from_rows_per_label
    scope, objective = adaptation.scope.kind, adaptation.objective.kind
    chosen = objective == "auto" and scope == "auto" and few and params.pairs
    pairs = adaptation.objective.contrastive if chosen or objective == "contrastive" else None
    full = bool(pairs) or not few if scope == "auto" else scope != "frozen"
    share = STEP / FORWARD
    search = adaptation.search if full and not pairs else adaptation.search.model_copy(update={"trials": 0})
    steps = share * (pairs.steps * pairs.batch_rows if pairs else train * search.epochs(adaptation.training))
    solved = learned if pairs else 0  # a frozen model's features are there since the baselines
    refit = learned * scratch.epochs if pairs or not full else 0
    passes = {
        "selection": len(params.selection.candidates) * min(learned, params.selection.max_rows),
        "preparation": 0,
        "preparation_baselines": learned + test,
        "adaptation": test + solved + (steps if pairs or full else 0),
        "adaptation_control": test + share * (train * search.of_control.epochs(scratch) + refit),
        "adaptation_receipt": 0,
        "deployment": (4 + len({*params.deployment.forms})) * test,
        "deployment_server": 2 * test,
        "deployment_gate": 0,
    }
    asked = {name: passes[name] for name in ("deployment", "deployment_server")} | {"adaptation": test}
    return passes if clean.labelled else dict.fromkeys(passes, 0.0) | asked


def _operations(root: Path, params: Params, clean: Clean, candidate: int) -> float:
    """Of a forward pass over one example, on average over a sample of the rows."""
    folder = resolve(params.selection.candidates[candidate], root)
    modality = params.project.modality
    encoder = modalities.part(modality, "encode").from_model(folder, params.examples)
    source = modalities.part(modality, "source")
    encoded = encoder.encode([source.read(row.input, root) for row in clean.rows[:SAMPLE_ROWS]])
    positions = float(np.mean([encoder.positions(row) for row in encoded]))
    return FORWARD * (folder / WEIGHTS).stat().st_size / FLOAT32_BYTES * positions


def _operations_per_second(threads: int) -> float:
    """Best of three products of float32 matrices."""
    matrix = np.ones((MATRIX, MATRIX), dtype=np.float32)
    best = float("inf")
    with threadpool_limits(threads):
        for _ in range(3):
            started = time.perf_counter()
            matrix @ matrix
            best = min(best, time.perf_counter() - started)
    return 2 * MATRIX**3 / best
