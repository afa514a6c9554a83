"""Every scope on trec, and what the store below the boundary saves. One thread; seconds are of the processor.

`python -m benchmarks.scopes DATA WORK [small] [store] [whole]`: DATA as in `benchmarks.selection`; what is measured is
kept in WORK, so that a killed run goes on. `small`: 32 rows a label, five draws. `store`: top 2 of 6 blocks, five
epochs, with and without. `whole`: full and LoRA on all rows of `text_sets`, one draw.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.text_sets import CANDIDATE, SETTINGS, TextSet, load
from tasks import features, metrics
from tasks import network as networks
from tasks.boundary import Store
from tasks.modalities.text import backbone, encode
from tasks.network import Network
from tasks.params import Params
from tasks.params import load as load_params
from tasks.prepared import Prepared
from tasks.problems.classification import learn
from tasks.problems.classification.answer import probabilities
from tasks.training import scope as scopes
from tasks.training import solve
from tasks.training.balance import validation_loss
from tasks.training.loop import Job, train
from tasks.training.objective.supervised import Supervised
from tasks.training.search import search_and_train
from tasks.training.workbench import computes_in_bfloat16
from tasks.weights import resolve

HOUSE = Path(__file__).resolve().parents[1]
ROWS, DRAWS, VALIDATION_SHARE, EPOCHS, STORE_ROWS = 32, 5, 0.15, 5, 320
PRECISION = "bfloat16" if computes_in_bfloat16(torch.cpu.get_capabilities()) else "float32"


@dataclass(frozen=True)
class Bench:
    """What every trial shares."""

    params: Params
    folder: Path
    encoder: Any
    rows: TextSet
    work: Path

    def drawn(self, rows: int | None, seed: int) -> Prepared:
        """So many training rows a label, some of which steer; None draws all."""
        random = np.random.default_rng(seed)
        classes = self.rows.classes["train"]
        order = random.permutation(len(classes))
        kept = [i for k in range(self.rows.count) for i in order[classes[order] == k][:rows]]
        splits = ["validation" if random.random() < VALIDATION_SHARE else "train" for _ in kept]
        return self.prepared([self.rows.texts["train"][i] for i in kept], classes[kept], splits)

    def prepared(self, texts: list[str], classes: np.ndarray, splits: list[str]) -> Prepared:
        """Rows as preparation leaves them."""
        names = [str(k) for k in range(self.rows.count)]
        return Prepared(
            [f"{i:x}" for i in range(len(texts))], splits, texts, classes, self.encoder.encode(texts), names
        )

    def maker(self, data: Prepared, seed: int) -> tuple[Callable[[], Network], float]:
        """Networks whose head is solved on the training rows, as the adaptation makes them; their validation loss."""
        body = backbone.load(self.folder)
        train_rows, judged_rows = data.of("train"), data.of("validation")
        values = features.at_own_depth(body, self.encoder, train_rows.encoded)
        head = solve.solve(values, train_rows, self.params.adaptation.scope.frozen, seed).head

        def make() -> Network:
            torch.manual_seed(seed)
            loaded = backbone.load(self.folder)
            network = Network(loaded, learn.make_head(loaded.width, self.rows.count))
            solve.put(network, head)
            return network

        logits = networks.logits(make(), self.encoder, judged_rows.encoded)
        return make, validation_loss(metrics.judge(judged_rows.classes, probabilities(logits)), None)

    def job(self, data: Prepared, seed: int, store: Store | None) -> Job:
        """The training that the house's params describe."""
        settings = self.params.adaptation.training
        train_rows, judged = data.of("train"), data.of("validation")
        job = Job(train_rows, judged, self.encoder, settings, 0.0, settings.epochs, seed, PRECISION)
        return replace(job, store=store)

    def store(self, name: str, limit_gb: float = 5.0) -> Store:
        """Below WORK."""
        return Store(self.work / name, limit_gb, lambda: {"model": CANDIDATE.revision})

    def scope(self, kind: str) -> scopes.Scope:
        """By the house's params."""
        return scopes.get(kind, self.params.adaptation.scope, len(backbone.load(self.folder).blocks))

    def accuracy(self, network: Network) -> float:
        """On the set's own test rows, in percent."""
        texts, classes = self.rows.texts["test"], self.rows.classes["test"]
        logits = networks.logits(network, self.encoder, self.encoder.encode(texts))
        return 100 * metrics.accuracy(metrics.judge(classes, probabilities(logits)))


def trial(bench: Bench, kind: str, rows: int | None, seed: int) -> dict[str, Any]:
    """One scope on one draw, by the functions of the adaptation."""
    data = bench.drawn(rows, seed)
    started = time.process_time()
    if kind == "frozen":
        body = backbone.load(bench.folder)
        both = features.at_own_depth(body, bench.encoder, data.encoded)
        network = Network(body, learn.make_head(body.width, bench.rows.count))
        solve.put(network, solve.solve(both, data, bench.params.adaptation.scope.frozen, seed).head)
        found: dict[str, Any] = {"learned_weights": sum(p.numel() for p in network.head.parameters())}
        found["weights"] = sum(p.numel() for p in network.parameters())
    else:
        make, start = bench.maker(data, seed)
        objective = Supervised(bench.params.adaptation.training.batch_rows, learn)
        job, resume = bench.job(data, seed, bench.store("store")), bench.work / f"resume-{kind}-{rows}-{seed}"
        trained = search_and_train(make, bench.scope(kind), objective, job, resume, print)
        network = make().eval() if start <= trained.progress.best else trained.network
        found = trained.record() | {"head_stays": network is not trained.network}
    seconds = time.process_time() - started
    return found | {"kind": kind, "rows": rows, "seed": seed, "seconds": seconds, "accuracy": bench.accuracy(network)}


def cells(bench: Bench, wanted: list[tuple[str, int | None, int]]) -> list[dict[str, Any]]:
    """A record per trial, of which those that are in WORK are not measured again."""
    path = bench.work / "cells.jsonl"
    known = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    for kind, rows, seed in wanted:
        if not any((one["kind"], one["rows"], one["seed"]) == (kind, rows, seed) for one in known):
            known.append(trial(bench, kind, rows, seed))
            with path.open("a") as file:
                file.write(json.dumps(known[-1]) + "\n")
    return [one for one in known if (one["kind"], one["rows"], one["seed"]) in wanted]


def table(found: list[dict[str, Any]]) -> None:
    """A line per scope: mean and spread over the draws."""
    for kind in dict.fromkeys(one["kind"] for one in found):
        own = [one for one in found if one["kind"] == kind]
        scores, seconds = [one["accuracy"] for one in own], np.mean([one["seconds"] for one in own])
        share = own[0]["learned_weights"] / own[0]["weights"]
        spread = f"{np.std(scores, ddof=1):.1f}" if len(own) > 1 else "-"
        print(f"| {kind} | {np.mean(scores):.1f} | {spread} | {share:.2%} | {seconds:.1f} | {scores} |")


def with_and_without(bench: Bench) -> None:
    """Seconds of the loop for the scope top, five epochs, at one rate; the first run with the store fills it."""
    data = bench.drawn(STORE_ROWS // bench.rows.count, 0)
    make, _ = bench.maker(data, 0)
    shutil.rmtree(bench.work / "measured", ignore_errors=True)
    seconds = {}
    for name, store in (("without", None), ("filling", bench.store("measured")), ("filled", bench.store("measured"))):
        job = replace(bench.job(data, 0, store), rate=0.0001, epochs=EPOCHS, least_epochs=EPOCHS)
        network, started = make(), time.process_time()
        train(network, bench.scope("top"), Supervised(16, learn), job, None, print)
        seconds[name] = time.process_time() - started
        print(f"{name}: {seconds[name]:.1f} s, {bench.accuracy(network):.1f} %", flush=True)
    print({name: round(seconds["without"] / value, 2) for name, value in seconds.items()})


def main() -> None:
    """Measure what is asked for."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    data, work, *parts = sys.argv[1:]
    params = load_params(HOUSE / "params.yaml")
    folder = resolve(CANDIDATE, Path.cwd())
    Path(work).mkdir(parents=True, exist_ok=True)
    bench = Bench(params, folder, encode.from_model(folder, SETTINGS), load(Path(data), "trec"), Path(work))
    if "store" in parts:
        with_and_without(bench)
    if "small" in parts:
        table(cells(bench, [(kind, ROWS, seed) for seed in range(DRAWS) for kind in scopes.SCOPES]))
    if "whole" in parts:
        table(cells(bench, [(kind, None, 0) for kind in ("lora", "full")]))


if __name__ == "__main__":
    main()
