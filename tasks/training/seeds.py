"""The same training by several seeds: how far its score is one of chance.

The model is that of the project's seed, whatever the others reach. The best of several would be picked by the
validation rows, so that its score on them, and the temperature fitted to them, would promise more than other rows keep.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tasks.artifacts import read_json, write_json
from tasks.training.loop import Job

Scores = dict[str, float]
STORE = "seeds.json"


def seeded(job: Job, seed: int) -> Job:
    """The job with other draws: order of rows, dropout, adapters, and what augmentation changes."""
    augmentation = job.augmentation and replace(job.augmentation, seed=seed)
    return replace(job, seed=seed, augmentation=augmentation)


def repeated(job: Job, seeds: Sequence[int], score: Callable[[Job, Path], Scores], resume: Path) -> list[Scores]:
    """Scores of a training by each seed, in order.

    Args:
        job: whose seed is replaced.
        seeds: all unlike.
        score: trains, with its state in a folder, and judges by the validation rows.
        resume: folder of scores that are known and of the state of the training that runs.
    """
    store = resume / STORE
    known: dict[str, Scores] = read_json(store) if store.is_file() else {}
    for seed in seeds:
        if str(seed) not in known:
            folder = resume / f"seed-{seed}"
            known[str(seed)] = score(seeded(job, seed), folder)
            write_json(store, known)
            shutil.rmtree(folder, ignore_errors=True)
    return [known[str(seed)] for seed in seeds]


def spread(scores: Sequence[Scores]) -> dict[str, Scores]:
    """Metric -> mean, standard deviation (of n - 1), lowest and highest over two trainings or more."""
    found = {}
    for name in scores[0]:
        values = np.array([one[name] for one in scores])
        four = {"mean": values.mean(), "standard_deviation": values.std(ddof=1), "low": values.min()}
        found[name] = {key: round(float(value), 6) for key, value in (four | {"high": values.max()}).items()}
    return found
