"""Regret of what selection picks on public text sets, beside single scores, and what selection costs.

python -m benchmarks.selection DATA WORK [DRAWS]: DATA holds the sets; WORK keeps features and a line a cell, so that a
killed run goes on where it was. Every depth x pool of one model is adapted with the frozen scope and scored on the
set's own test rows; regret is the best realised accuracy minus the pick's. Without DRAWS a reduced form: one draw of 8
and 32 rows a label, since one of all rows takes minutes a set.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import weightedtau

from benchmarks import cells, text_sets
from benchmarks.selection_cost import shares
from tasks.modalities.text import backbone
from tasks.params import FrozenScope
from tasks.prepared import Prepared
from tasks.selection import choice, probe, transferability
from tasks.training.solve import solve

SIZES: dict[str, int | None] = {"8": 8, "32": 32, "all": None}
# With all rows the draws would be one: each leaves out a fifth.
KEPT_OF_ALL = 0.8
VALIDATION_SHARE = 0.15
FROZEN = FrozenScope(inverse_regularisation=[0.001, 0.01, 0.1, 1.0], folds=5)
FOLDS, SEED = 5, 13
DEEPEST = 6
Record = cells.Cell
# Set, size and the cells of all its candidates.
Draw = tuple[str, str, list[Record]]
# Name -> value of each candidate, higher is better; the pick is the first of the largest.
RULES: dict[str, Callable[[list[Record]], np.ndarray]] = {
    "Graft": lambda all_of: _places(all_of),
    "probe + LogME": lambda all_of: _places([one | {"off_typical": 0.0} for one in all_of]),
    "probe (log loss)": lambda all_of: -_column(all_of, "log_loss"),
    "probe (accuracy)": lambda all_of: _column(all_of, "accuracy"),
    "LogME": lambda all_of: _column(all_of, "log_me"),
    "H-score": lambda all_of: _column(all_of, "h_score"),
    "NLEEP": lambda all_of: _column(all_of, "nleep"),
    "k-NN": lambda all_of: _column(all_of, "knn"),
    "two thirds of the depth": lambda all_of: np.array(
        [-abs(one["depth"] / DEEPEST - 2 / 3) if one["pool"] == "mean" else -1 for one in all_of]
    ),
    "last block": lambda all_of: np.array([one["depth"] if one["pool"] == "mean" else -1 for one in all_of]),
}


def draw(classes: np.ndarray, per_label: int | None, seed: Sequence[int]) -> np.ndarray:
    """Sorted positions of `per_label` rows of each class, fewer where it has fewer; None: of `KEPT_OF_ALL` of them."""
    random = np.random.default_rng(seed)
    kept = []
    for number in np.unique(classes):
        own = np.flatnonzero(classes == number)
        kept.append(random.permutation(own)[: per_label or round(KEPT_OF_ALL * len(own))])
    return np.sort(np.concatenate(kept))


def picked(rows: text_sets.TextSet, name: str, size: str, number: int) -> np.ndarray:
    """Positions of the training rows of one draw of a set."""
    return draw(rows.classes["train"], SIZES[size], (zlib.crc32(name.encode()), SIZES[size] or 0, number))


def realised(train: np.ndarray, test: np.ndarray, classes: dict[str, np.ndarray], count: int, seed: int) -> np.ndarray:
    """Which test rows (M,) the frozen scope answers right with its head solved on (N, F) features."""
    drawn = np.random.default_rng(seed).random(len(train))
    splits = np.where(drawn < VALIDATION_SHARE, "validation", "train").tolist()
    rows = Prepared([], splits, [], classes["train"], [], [str(number) for number in range(count)])
    logits = solve(train, rows, FROZEN, seed).head.logits(test)
    return np.asarray(logits.argmax(axis=1) == classes["test"])


def scored(features: np.ndarray, classes: np.ndarray, count: int, depth: int) -> Record:
    """What selection knows of one candidate: every score of features (N, F) for class numbers (N,)."""
    scores = asdict(probe.score(features, classes, count, FOLDS, SEED))
    scores |= transferability.scores(features, classes, SEED)
    return scores | {"off_typical": probe.off_typical(depth / DEEPEST, backbone.TYPICAL_DEPTH, len(features))}


def measured(name: str, size: str, number: int, data: Path, work: Path) -> Draw:
    """One draw: each candidate's scores on the drawn rows, its realised accuracy, and that on halves of the test."""
    path, key = work / "selection.jsonl", {"set": name, "size": size, "draw": number}
    missing = {*product(range(DEEPEST + 1), text_sets.POOLS)} - {*map(place, cells.read(path, **key))}
    if missing:
        rows = text_sets.load(data, name)
        found = {side: text_sets.pooled(work / "features", rows.texts[side]) for side in ("train", "test")}
        own = picked(rows, name, size, number)
        classes = {"train": rows.classes["train"][own], "test": rows.classes["test"]}
    for depth, pool in sorted(missing):
        train = found["train"][depth, pool][own]
        right = realised(train, found["test"][depth, pool], classes, rows.count, SEED + number)
        cell = key | {"depth": depth, "pool": pool} | judged(right)
        cells.add(path, cell | scored(train, classes["train"], rows.count, depth))
    return name, size, sorted(cells.read(path, **key), key=place)


def place(cell: Record) -> tuple[int, str]:
    """A candidate's depth and pool."""
    return cell["depth"], cell["pool"]


def judged(right: np.ndarray) -> Record:
    """Accuracy on all test rows and on halves of them, from whether each is answered right (M,)."""
    return {"realised": float(right.mean()), "halves": [float(right[start::2].mean()) for start in (0, 1)]}


def _column(all_of: list[Record], name: str) -> np.ndarray:
    return np.array([one[name] for one in all_of])


def as_scored(all_of: list[Record]) -> list[choice.Scored]:
    """Cells as the candidates of one model; a deeper cut costs more operations."""
    known = {field.name for field in fields(choice.Scored)}
    model = {"source": "", "revision": "", "deepest": DEEPEST, "parameters": 0, "bytes": 0}
    return [
        choice.Scored(**model, operations=one["depth"], **{name: one[name] for name in known & one.keys()})
        for one in all_of
    ]


def _places(all_of: list[Record]) -> np.ndarray:
    """Places in Graft's ranking, the first 0 and those below negative."""
    candidates = as_scored(all_of)
    below = {one: -number for number, one in enumerate(choice.ranked(candidates))}
    return np.array([below[one] for one in candidates])


def regret(values: np.ndarray, accuracy: np.ndarray) -> float:
    """Points between the best accuracy and that of the candidate with the largest value."""
    return float(100 * (accuracy.max() - accuracy[values.argmax()]))


def noise(all_of: list[Record]) -> float:
    """Regret on one half of the test rows of what is best on the other half: what no pick can be told apart from."""
    first, second = np.array([one["halves"] for one in all_of]).T
    return (regret(first, second) + regret(second, first)) / 2


def table(draws: list[Draw], size: str, rules: dict[str, Callable[[list[Record]], np.ndarray]]) -> list[str]:
    """Markdown: mean regret of each rule by set and over sets, and its mean weighted Kendall tau."""
    names = [name for name in text_sets.SETS if any(one[:2] == (name, size) for one in draws)]
    of = {name: [all_of for set_name, s, all_of in draws if (set_name, s) == (name, size)] for name in names}
    lines = [f"| {size} a label | mean | worst set | {' | '.join(names)} | tau |", "|---" * (len(names) + 4) + "|"]
    for rule, value in rules.items():
        lost = [np.mean([regret(value(one), _column(one, "realised")) for one in of[name]]) for name in names]
        taus = [weightedtau(value(one), _column(one, "realised")).statistic for name in names for one in of[name]]
        lines.append(_row(rule, lost, f"{np.nanmean(taus):.2f}"))
    lines.append(_row("best on the other half of the test", [np.mean([*map(noise, of[name])]) for name in names], ""))
    best = " | ".join(f"{100 * np.mean([_column(one, 'realised').max() for one in of[name]]):.1f}" for name in names)
    return [*lines, f"| best accuracy, % | | | {best} | |"]


def _row(rule: str, lost: Sequence[Any], tau: str) -> str:
    cells = " | ".join(f"{value:.2f}" for value in lost)
    return f"| {rule} | {np.mean(lost):.2f} | {np.max(lost):.2f} | {cells} | {tau} |"


def main(data: Path, work: Path, draws: int | None) -> None:
    """Print a table per size and the share that selection costs of fully fine-tuning every candidate."""
    if not data.is_dir():
        raise SystemExit(f"There is no folder {data} with text sets: name another one.")
    for name in text_sets.SETS:  # before the pool, which would compute them at the same time
        rows = text_sets.load(data, name)
        for side in ("test", "train"):
            text_sets.pooled(work / "features", rows.texts[side])
    sizes = [*SIZES] if draws else ["8", "32"]
    jobs = [(name, size, n, data, work) for size, n, name in product(sizes, range(draws or 1), text_sets.SETS)]
    with get_context("spawn").Pool(os.cpu_count()) as pool:
        found = pool.starmap(measured, jobs, chunksize=1)
    for size in sizes:
        print("\n".join(table(found, size, RULES)), flush=True)
    drawers = {size: partial(draw, per_label=SIZES[size], seed=(SEED,)) for size in sizes}
    print("\n".join(shares(data, work, drawers)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None)
