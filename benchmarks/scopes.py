"""Every scope on the same rows, by the stage `adaptation` itself, and what the store below the boundary saves.

`python -m benchmarks.scopes DATA WORK [small] [kin] [whole] [store]`: DATA as in `benchmarks.selection`; what is
measured is kept in WORK, so that a killed run goes on. `small`: every scope on 32 rows a label of trec, five draws and
seeds. `kin`: LoRA's on the same and on two other sets. `whole`: full and LoRA on all rows that `text_sets` leaves of
trec and banking77. `store`: top 2 of 6 blocks, five epochs, with the store and without. One thread; seconds are of the
processor.
"""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks import adapted, cells, text_sets
from benchmarks.selection import SEED, VALIDATION_SHARE, draw
from tasks import features, metrics
from tasks import network as networks
from tasks.features import Store
from tasks.modalities.text import backbone, encode
from tasks.network import Network
from tasks.prepared import Prepared
from tasks.problems.classification import learn
from tasks.problems.classification.answer import probabilities
from tasks.stage import fix_randomness
from tasks.training import scope as scopes
from tasks.training import solve
from tasks.training.loop import Job, train
from tasks.training.objective.supervised import Supervised
from tasks.training.scope.lora import ADAPTERS
from tasks.weights import resolve

HOUSE = Path(__file__).resolve().parents[1]
ROWS, DRAWS, EPOCHS, STORE_ROWS = 32, 5, 5, 53
DEPTH, POOL = 6, "mean"
Trial = tuple[str, int, int, str]  # set, rows a label, draw, scope
SMALL: list[Trial] = [("trec", ROWS, number, kind) for number in range(DRAWS) for kind in scopes.SCOPES]
KIN: list[Trial] = [
    (name, ROWS, number, adapter)
    for name, draws in (("trec", DRAWS), ("sst2", 2), ("amazon_kitchen", 2))
    for number in range(draws)
    for adapter in ADAPTERS
]
WHOLE: list[Trial] = [
    (name, text_sets.MOST_TRAIN, number, kind)
    for number in range(DRAWS)
    for name in ("trec", "banking77")
    for kind in ("lora", "full")
]


def drawn(data: Path, name: str, rows: int, number: int) -> Prepared:
    """So many training rows a label, of which some steer, and the set's test rows."""
    every = text_sets.load(data, name)
    picked = draw(every.classes["train"], rows, (rows, number))
    texts = [every.texts["train"][i] for i in picked] + every.texts["test"]
    classes = np.concatenate([every.classes["train"][picked], every.classes["test"]])
    splits = np.repeat(["train", "test"], [len(picked), len(every.texts["test"])]).astype("<U10")
    steering = np.random.default_rng(SEED + number).permutation(len(picked))[: round(VALIDATION_SHARE * len(picked))]
    splits[steering] = "validation"
    encoder = encode.from_model(resolve(text_sets.CANDIDATE, HOUSE), text_sets.SETTINGS)
    labels, ids = [f"{label:03}" for label in range(every.count)], [f"{i:x}" for i in range(len(texts))]
    return Prepared(ids, splits.tolist(), texts, classes, encoder.encode(texts), labels)


def measured(data: Path, path: Path, wanted: list[Trial]) -> list[cells.Cell]:
    """A cell per trial; those that are in the file are not measured again."""
    folder, found = resolve(text_sets.CANDIDATE, HOUSE), []
    for name, rows, number, kind in wanted:
        key = {"set": name, "rows": rows, "draw": number, "scope": kind}
        if not cells.read(path, **key):
            of = drawn(data, name, rows, number)
            started = time.process_time()
            logits, record = adapted.learned(of, adapted.settings(kind, SEED + number), DEPTH, POOL, folder)
            seconds = time.process_time() - started
            told = {name: record.get(name) for name in ("learned_weights", "weights", "learns", "start_head")}
            right = float((logits.argmax(axis=1) == of.of("test").classes).mean())
            cells.add(path, key | told | {"accuracy": 100 * right, "seconds": seconds})
            print(key, f"{right:.1%}, {seconds:.1f} s", flush=True)
        found += cells.read(path, **key)[:1]
    return found


def table(found: list[cells.Cell]) -> list[str]:
    """Markdown: a line per set and scope, with mean and spread over the draws."""
    lines = ["| set | scope | accuracy, % | spread | weights that learn | seconds | draws |", "|---" * 7 + "|"]
    for name, kind in dict.fromkeys((one["set"], one["scope"]) for one in found):
        own = [one for one in found if (one["set"], one["scope"]) == (name, kind)]
        scores, seconds = [one["accuracy"] for one in own], np.mean([one["seconds"] for one in own])
        share = f"{own[0]['learned_weights'] / own[0]['weights']:.2%}" if own[0]["weights"] else "the head"
        spread = f"{np.std(scores, ddof=1):.1f}" if len(own) > 1 else ""
        each = ", ".join(f"{score:.1f}" for score in scores)
        lines.append(f"| {name} | {kind} | {np.mean(scores):.1f} | {spread} | {share} | {seconds:.0f} | {each} |")
    return lines


def with_and_without(data: Path, work: Path) -> None:
    """Seconds of the loop for the scope top, five epochs, at one rate; the first run with the store fills it."""
    params, folder = adapted.settings("top", SEED), resolve(text_sets.CANDIDATE, HOUSE)
    of = drawn(data, "trec", STORE_ROWS, 0)
    rows, test, settings = of.of("train"), of.of("test"), params.adaptation.training
    body, encoder = backbone.load(folder), encode.from_model(folder, text_sets.SETTINGS)
    values = features.at_own_depth(body, encoder, rows.encoded)
    head = solve.solve(values, rows, params.adaptation.scope.frozen, SEED).head
    shutil.rmtree(work / "measured", ignore_errors=True)
    store, seconds = Store(work / "measured", 5.0, lambda: {"model": text_sets.CANDIDATE.revision}), {}
    job = Job(rows, of.of("validation"), encoder, settings, 0.0001, EPOCHS, SEED, "float32", least_epochs=EPOCHS)
    for name, kept in (("without", None), ("filling", store), ("filled", store)):
        network = Network(backbone.load(folder), learn.make_head(body.width, len(of.labels)))
        solve.put(network, head)
        scope, objective = scopes.get("top", params.adaptation.scope, DEPTH), Supervised(settings.batch_rows, learn)
        started = time.process_time()
        train(network, scope, objective, replace(job, store=kept), None, print)
        seconds[name] = time.process_time() - started
        judged = metrics.judge(test.classes, probabilities(networks.logits(network, encoder, test.encoded)))
        print(f"{name}: {seconds[name]:.1f} s, {metrics.accuracy(judged):.1%}", flush=True)
    print({name: round(seconds["without"] / value, 2) for name, value in seconds.items()})


def main(data: Path, work: Path, parts: list[str]) -> None:
    """Measure what is asked for."""
    fix_randomness(adapted.settings("full", SEED))
    torch.set_num_threads(1)
    if "small" in parts:
        print("\n".join(table(measured(data, work / "cells.jsonl", SMALL))))
    if "kin" in parts:
        print("\n".join(table(measured(data, work / "cells.jsonl", KIN))))
    if "whole" in parts:
        print("\n".join(table(measured(data, work / "cells.jsonl", WHOLE))))
    if "store" in parts:
        with_and_without(data, work)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
