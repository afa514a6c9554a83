"""Labels and pairs together: the loss of pairs beside that of labels at several weights, and either alone.

python -m benchmarks.joint DATA WORK: DATA holds the sets; WORK keeps a line a cell, so that a killed run goes on where
it was. Each cell is the pipeline's own adaptation of the whole MiniLM, or of its top blocks, judged on the set's first
test rows, one thread; all ways of a draw have the same rows.
"""

from __future__ import annotations

import sys
import time
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks import adapted, cells, contrastive, text_sets
from benchmarks.selection import SEED
from tasks.params import Params
from tasks.stage import fix_randomness
from tasks.training.settings import Weight
from tasks.weights import resolve

# Set and rows of each label, as many as there are of one that has fewer: cheap ones first.
SETS = (("trec", 8), ("ag_news_7600", 8), ("trec", 32), ("ag_news_7600", 32), ("trec", 100), ("banking77", 8))
# Weight of pairs at the first and after the last step; in Gunel et al. 2021 a share of the sum: weight / (1 + weight).
WAYS = {
    "labels": (0.0, 0.0),
    "0.1": (0.1, 0.1),
    "0.5": (0.5, 0.5),
    "0.5 to 0": (0.5, 0.0),
    "2": (2.0, 2.0),
    "pairs": None,
}
SCOPES, DRAWS = ("full", "top"), 2


def settings(scope: str, way: str, seed: int) -> Params:
    """The house's own, with this scope and what it learns from."""
    params, weight = adapted.settings(scope, seed), WAYS[way]
    objective = params.adaptation.objective
    changes: dict[str, object] = {"kind": "contrastive"}
    if weight:
        beside = {"contrastive_weight": Weight(start=weight[0], end=weight[1])}
        changes = {"supervised": objective.supervised.model_copy(update=beside)}
    changed = params.adaptation.model_copy(update={"objective": objective.model_copy(update=changes)})
    return params.model_copy(update={"adaptation": changed})


def run(data: Path, path: Path) -> None:
    """Measure every cell that is not there yet."""
    folder = resolve(text_sets.CANDIDATE, contrastive.HOUSE)
    fix_randomness(settings("full", "labels", SEED))
    for scope, number, (name, each) in product(SCOPES, range(DRAWS), SETS):
        of = contrastive.rows(data, name, number, settings(scope, "labels", SEED), folder, each)
        for way in WAYS:
            key = {"set": name, "each": each, "draw": number, "scope": scope, "way": way}
            if cells.read(path, **key):
                continue
            started = time.perf_counter()
            params = settings(scope, way, SEED + number)
            answers = adapted.logits(of, params, contrastive.DEPTH, contrastive.POOL, folder).argmax(axis=1)
            right = float((answers == of.of("test").classes).mean())
            cells.add(path, key | {"accuracy": right, "seconds": time.perf_counter() - started})
            print(*key.values(), f"{right:.1%}", flush=True)


def report(path: Path) -> list[str]:
    """Markdown: a line a set and scope, a column a way, of the draws that have all; accuracy in %."""
    lines = [f"| set, rows a label | scope | draws | {' | '.join(WAYS)} |", "|---" * (3 + len(WAYS)) + "|"]
    for scope, (name, each) in product(SCOPES, SETS):
        found = [cells.read(path, set=name, each=each, scope=scope, way=way) for way in WAYS]
        draws = set.intersection(*({one["draw"] for one in of} for of in found))
        if draws:
            means = [np.mean([100 * one["accuracy"] for one in of if one["draw"] in draws]) for of in found]
            lines.append(f"| {name}, {each} | {scope} | {len(draws)} | {' | '.join(f'{one:.1f}' for one in means)} |")
    return lines


def main(data: Path, work: Path) -> None:
    """Run what is missing, then print what it says."""
    path = work / "joint.jsonl"
    run(data, path)
    print("\n".join(report(path)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
