"""Macro-F1 where half of the labels are rare: learned from the rows as they come, by weights, by resampling.

`python -m benchmarks.imbalance TREC`, the folder of train.csv and test.csv. Each draw keeps 150 rows of three labels
and 12 of the other three; the test rows are the source's own.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tasks import features, metrics
from tasks import network as networks
from tasks.modalities.text import backbone, encode
from tasks.params import Params, load
from tasks.prepared import Prepared
from tasks.problems.classification import learn
from tasks.problems.classification.answer import probabilities
from tasks.training import scope as scopes
from tasks.training import solve
from tasks.training.loop import Job, train
from tasks.training.objective.supervised import Supervised
from tasks.weights import resolve

HOUSE = Path(__file__).resolve().parents[1]
DRAWS, COMMON, RARE, VALIDATION_SHARE = 3, 150, 12, 0.15
FROZEN_DEPTH, RATE = 5, 0.0001
TRIALS = [("frozen", "none"), ("frozen", "weights"), ("full", "none"), ("full", "weights"), ("full", "resample")]
SCORES = ("accuracy", "macro F1", "F1 of the rare")


@dataclass(frozen=True)
class Bench:
    """What every trial shares."""

    params: Params
    folder: Path
    encoder: Any

    def prepared(self, rows: list[dict[str, str]], names: list[str], splits: list[str]) -> Prepared:
        """Rows as preparation leaves them."""
        texts = [row["text"] for row in rows]
        classes = np.array([names.index(row["label"]) for row in rows])
        return Prepared([f"{i:x}" for i in range(len(rows))], splits, texts, classes, self.encoder.encode(texts), names)

    def frozen(self, data: Prepared, test: Prepared, balance: str) -> np.ndarray:
        """Test logits of a solved head."""
        body = backbone.load(self.folder, FROZEN_DEPTH)
        values = features.at_own_depth(body, self.encoder, data.encoded)
        head = self._solved(values, data, balance)
        return head.logits(features.at_own_depth(body, self.encoder, test.encoded))

    def full(self, data: Prepared, test: Prepared, balance: str) -> np.ndarray:
        """Test logits after full fine-tuning from a solved head, at one rate."""
        seed, settings = self.params.project.seed, self.params.adaptation.training
        torch.manual_seed(seed)
        body = backbone.load(self.folder)
        rows = data.of("train")
        network = networks.Network(body, learn.make_head(body.width, len(data.labels)))
        solve.put(network, self._solved(features.at_own_depth(body, self.encoder, rows.encoded), rows, balance))
        weights = None if balance == "none" else learn.label_weights(rows.classes, len(data.labels))
        objective = Supervised(
            settings.batch_rows, learn, weights if balance == "weights" else None, balance == "resample"
        )
        job = Job(rows, data.of("validation"), self.encoder, settings, RATE, settings.epochs, seed, "bfloat16")
        full = scopes.get("full", self.params.adaptation.scope, body.depth)
        train(network, full, objective, replace(job, weights=weights), None, lambda line: None)
        return networks.logits(network, self.encoder, test.encoded)

    def _solved(self, values: np.ndarray, data: Prepared, balance: str) -> learn.SolvedHead:
        settings = self.params.adaptation.scope.frozen
        return solve.solve(values, data, settings, self.params.project.seed, balance != "none").head


def main() -> None:
    """Print a line per draw and trial, then the means."""
    params = load(HOUSE / "params.yaml")
    torch.set_num_threads(params.resources.threads)
    folder = resolve(params.selection.candidates[0], HOUSE)
    bench = Bench(params, folder, encode.from_model(folder, params.preparation.text))
    every, held_out = (read(Path(sys.argv[1]) / name) for name in ("train.csv", "test.csv"))
    names = sorted({row["label"] for row in every})
    test = bench.prepared(held_out, names, ["test"] * len(held_out))
    found: dict[tuple[str, str], list[list[float]]] = {trial: [] for trial in TRIALS}
    for draw in range(DRAWS):
        random = np.random.default_rng(draw)
        rare = set(random.permutation(names)[: len(names) // 2].tolist())
        rows = [row for name in names for row in drawn(every, name, RARE if name in rare else COMMON, random)]
        splits = ["validation" if random.random() < VALIDATION_SHARE else "train" for _ in rows]
        data = bench.prepared(rows, names, splits)
        for scope, balance in TRIALS:
            judged = metrics.judge(test.classes, probabilities(getattr(bench, scope)(data, test, balance)))
            f1 = dict(zip(names, metrics.f1_per_label(judged), strict=True))
            of_rare = float(np.mean([f1[name] or 0.0 for name in rare]))
            found[scope, balance].append([metrics.accuracy(judged), metrics.macro_f1(judged), of_rare])
            print(f"draw {draw} {scope:7}{balance:9}{words(found[scope, balance][-1])}", flush=True)
    for (scope, balance), scores in found.items():
        print(f"mean   {scope:7}{balance:9}{words(np.mean(scores, axis=0).tolist())}")


def read(path: Path) -> list[dict[str, str]]:
    """Rows of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def drawn(rows: list[dict[str, str]], label: str, count: int, random: np.random.Generator) -> list[dict[str, str]]:
    """`count` rows of a label."""
    own = [row for row in rows if row["label"] == label]
    return [own[i] for i in random.permutation(len(own))[:count]]


def words(scores: list[float]) -> str:
    """The scores in percent."""
    return ", ".join(f"{name} {100 * score:.1f} %" for name, score in zip(SCORES, scores, strict=True))


if __name__ == "__main__":
    main()
