"""The grid that the table of strategies is measured on: public text sets x labelled rows x draws x what learns.

python -m benchmarks.strategies DATA WORK [SIZE ...] [STRATEGY ...]: DATA holds the sets; WORK keeps a line a cell, so
that a killed run goes on where it was; sizes are all and strategies those of the pipeline if none is named. Each cell
runs the pipeline's own stages on drawn rows and is judged on the first `MOST_TEST` of the set's own test rows. Without
a cell left to run, it prints what benchmarks/judging.py makes of them.
"""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import adapted, cells, judging, text_sets
from benchmarks.selection import FOLDS, SEED, VALIDATION_SHARE, draw
from tasks import cuts, features
from tasks.modalities.text import backbone, classical, encode
from tasks.params import Params
from tasks.preparation import baselines
from tasks.prepared import Prepared
from tasks.problems.classification import learn
from tasks.selection import choice, probe, strategy, transferability
from tasks.stage import fix_randomness
from tasks.training import solve
from tasks.training.scope import SCOPES
from tasks.weights import resolve

HOUSE = Path(__file__).resolve().parents[1]
POOL = "mean"
MOST_TEST = 300
# Two of the four kinds of goods: they are one group when a set is left out.
SETS = ("trec", "sst2", "ag_news_7600", "amazon_books", "amazon_kitchen", "banking77")
# What learns, and from what: every scope from labels, and all blocks from pairs.
STRATEGIES = (*SCOPES, "contrastive")
# Size -> labelled rows of each label, and draws; "all" is what text_sets leaves of a set.
SIZES: dict[str, tuple[int, int]] = {"32": (32, 5), "128": (128, 2), "8": (8, 5), "all": (text_sets.MOST_TRAIN, 1)}


@dataclass(frozen=True)
class Drawn:
    """What all strategies of one draw share.

    Attributes:
        rows: training, validation and test rows.
        values: depth -> (N, F) of them, frozen.
        chosen: what selection makes of the first two.
        folder: of the model.
    """

    rows: Prepared
    values: dict[int, np.ndarray]
    chosen: dict[str, Any]
    scored: list[choice.Scored]
    folder: Path


def wanted(sizes: list[str], strategies: list[str]) -> Iterator[tuple[str, str, int, list[str]]]:
    """Set, size, draw and strategies: what is dear last, first draws first.

    banking77, with 77 labels, has but 8 and, with some 50 rows of a label, all.
    """
    jobs = [job for job in product(SETS, sizes, range(5)) if job[2] < SIZES[job[1]][1]]
    jobs = [job for job in jobs if job[0] != "banking77" or job[1] in ("8", "all")]
    for name, size, number in sorted(jobs, key=lambda job: (job[1] == "all", job[2], [*SIZES].index(job[1]))):
        yield name, size, number, ["evidence", "classical", "probe", *strategies]


def drawn(data: Path, name: str, size: str, number: int, params: Params) -> Drawn:
    """The rows of one draw, and what selection says of them."""
    every = text_sets.load(data, name)
    picked = draw(every.classes["train"], SIZES[size][0], (zlib.crc32(name.encode()), SIZES[size][0], number))
    texts = [every.texts["train"][i] for i in picked] + every.texts["test"][:MOST_TEST]
    classes = np.concatenate([every.classes["train"][picked], every.classes["test"][:MOST_TEST]])
    steering = np.random.default_rng(SEED + number).permutation(len(picked))[: round(VALIDATION_SHARE * len(picked))]
    splits = np.repeat(["train", "test"], [len(picked), len(texts) - len(picked)]).astype("<U10")
    splits[steering] = "validation"
    folder = resolve(text_sets.CANDIDATE, HOUSE)
    encoder = encode.from_model(folder, params.preparation.text)  # type: ignore[attr-defined]
    labels = [f"{label:03}" for label in range(every.count)]
    ids = [f"{i:x}" for i in range(len(texts))]
    rows = Prepared(ids, splits.tolist(), texts, classes, encoder.encode(texts), labels)
    found = features.compute(backbone.load(folder), encoder, rows.encoded, [POOL])
    values, learned = {depth: one for (depth, _), one in found.items()}, slice(len(picked))
    scored = [_scored(depth, one[learned], rows.classes[learned], every.count) for depth, one in values.items()]
    accuracy = choice.ranked(scored)[0].accuracy
    known = strategy.Evidence(len(picked), every.count, accuracy, 0, params.selection.strategy.full_from_rows_per_label)
    return Drawn(rows, values, choice.choose(scored, strategy.pick(known)), scored, folder)


def _scored(depth: int, values: np.ndarray, classes: np.ndarray, count: int) -> choice.Scored:
    """What ranks a depth; the scores that only stand beside it are left out, and operations are counted in blocks."""
    scores = asdict(probe.score(values, classes, count, FOLDS, SEED))
    scores["log_me"] = transferability.log_me(values, classes)
    scores["off_typical"] = probe.off_typical(depth / 6, backbone.TYPICAL_DEPTH, len(values))
    rest = dict.fromkeys(("h_score", "nleep", "knn"), 0.0) | dict.fromkeys(("parameters", "bytes"), 0)
    return choice.Scored("m", "r", depth, 6, POOL, **scores, **rest, operations=depth)


def answered(one: Drawn, how: str, seed: int) -> np.ndarray:
    """Logits of the test rows."""
    data, test = one.rows.of("train", "validation"), one.rows.of("test")
    if how == "classical":
        return baselines.classical(data, test, classical, learn.classical_estimator(seed))
    values = one.values[one.chosen["scopes"]["frozen"]["depth"]]
    known, unseen = values[: len(data)], values[len(data) :]
    if how == "probe":
        count, strength = len(data.labels), baselines.PROBE_INVERSE_REGULARISATION
        return learn.solve_head(known, data.classes, count, strength).logits(unseen)
    if how == "frozen":
        return solve.solve(known, data, adapted.settings(how, seed).adaptation.scope.frozen, seed).head.logits(unseen)
    place = cuts.of(one.chosen, how)
    return adapted.logits(one.rows, adapted.settings(how, seed), place["depth"], place["pool"], one.folder)


def run(data: Path, path: Path, sizes: list[str], strategies: list[str]) -> None:
    """Run every cell that is not there yet."""
    params = adapted.settings("auto", SEED)
    fix_randomness(params)
    done = {(one["set"], one["size"], one["draw"], one["strategy"]) for one in cells.read(path)}
    for name, size, number, every in wanted(sizes, strategies):
        missing = [one for one in every if (name, size, number, one) not in done]
        if not missing:
            continue
        started = time.perf_counter()
        one = drawn(data, name, size, number, params)
        for missed in missing:
            cell: cells.Cell = {"set": name, "size": size, "draw": number, "strategy": missed}
            if missed == "evidence":
                train = one.rows.of("train", "validation")
                tokens = float(np.mean([len(row["input_ids"]) for row in train.encoded]))
                cell |= {"rows": len(train), "labels": len(train.labels), "tokens": tokens, "chosen": one.chosen}
                cell |= {"scored": [asdict(each) for each in one.scored]}
                cell |= {"majority": float(np.bincount(train.classes).max() / len(train))}
            else:
                right = answered(one, missed, SEED).argmax(axis=1) == one.rows.of("test").classes
                cell |= {"accuracy": float(right.mean()), "right": "".join("01"[int(each)] for each in right)}
            cell["seconds"] = round(time.perf_counter() - started, 1)
            started = time.perf_counter()
            cells.add(path, cell)
            print(name, size, number, missed, cell.get("accuracy"), f"{cell['seconds']} s", flush=True)


def main(data: Path, work: Path, named: list[str]) -> None:
    """Run what is missing, then print what it says."""
    if not data.is_dir():
        raise SystemExit(f"There is no folder {data} with text sets: name another one.")
    path = work / "strategies.jsonl"
    sizes, strategies = ([one for one in named if one in known] or [*known] for known in (SIZES, STRATEGIES))
    run(data, path, sizes, strategies)
    print("\n".join(judging.report(cells.read(path))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
