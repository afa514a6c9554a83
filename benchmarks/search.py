"""Does a search pay? Params as shipped beside trials by Optuna, on few rows, where hyper-parameters matter most.

python -m benchmarks.search DATA WORK [DRAWS]: DATA holds the sets of `text_sets`; WORK keeps a line a cell, so that a
killed run goes on where it was. Each cell is the stage `adaptation` with the scope full on 32 drawn rows a label, 15 %
of which steer and choose, judged on the first `MOST_TEST` of the set's own test rows. One thread; seconds are of the
processor.
"""

from __future__ import annotations

import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import adapted, cells, text_sets
from benchmarks.selection import SEED, VALIDATION_SHARE, draw
from tasks import metrics
from tasks.modalities.text import encode
from tasks.params import Params
from tasks.prepared import Prepared
from tasks.problems.classification.answer import probabilities
from tasks.stage import fix_randomness
from tasks.weights import resolve

SETS, ROWS, DRAWS, MOST_TEST = ("trec", "sst2"), 32, 3, 500
# Way -> trials and epochs of each; the median rule stops none of one epoch.
WAYS = {"two rates": (0, 1), "8 trials of 1 epoch": (8, 1), "8 trials of 4 epochs": (8, 4)}
DEPTH, POOL = 6, "mean"


def settings(trials: int, epochs: int) -> Params:
    """The repo's own params with a search of the rate in the range that they declare."""
    tree = adapted.settings("full", SEED).model_dump()
    tree["adaptation"]["search"]["trials"] = trials
    tree["adaptation"]["training"]["search_epochs"] = epochs
    return Params.model_validate(tree)


def drawn(data: Path, name: str, number: int, encoder: Any) -> Prepared:
    """Training, validation and test rows of one draw."""
    every = text_sets.load(data, name)
    picked = draw(every.classes["train"], ROWS, (zlib.crc32(name.encode()), ROWS, number))
    texts = [every.texts["train"][i] for i in picked] + every.texts["test"][:MOST_TEST]
    classes = np.concatenate([every.classes["train"][picked], every.classes["test"][:MOST_TEST]])
    steering = np.random.default_rng(SEED + number).permutation(len(picked))[: round(VALIDATION_SHARE * len(picked))]
    splits = np.array(["train"] * len(picked) + ["test"] * (len(texts) - len(picked)), dtype=object)
    splits[steering] = "validation"
    ids = [f"{i:x}" for i in range(len(texts))]
    return Prepared(ids, splits.tolist(), texts, classes, encoder.encode(texts), [str(i) for i in range(every.count)])


def measured(rows: Prepared, way: str, model: Path) -> cells.Cell:
    """One cell: scores on the test rows, and what was found."""
    started = time.process_time()
    logits, record = adapted.learned(rows, settings(*WAYS[way]), DEPTH, POOL, model)
    seconds = time.process_time() - started
    judged = metrics.judge(rows.of("test").classes, probabilities(logits))
    scores = {"accuracy": 100 * metrics.accuracy(judged), "log_loss": metrics.log_loss(judged), "seconds": seconds}
    study = record.get("study", {})
    stopped = sum(not trial["whole"] for trial in study.get("trials", []))
    kept = {name: record[name] for name in ("learning_rate", "learns")}
    return scores | kept | {"winner": study.get("winner"), "stopped": stopped}


def table(found: list[cells.Cell]) -> list[str]:
    """A line a set and way: means over the draws, and the difference to the first way, draw by draw."""
    lines = []
    for name in SETS:
        for way in WAYS:
            own = [one for one in found if (one["set"], one["way"]) == (name, way)]
            base = {one["draw"]: one for one in found if (one["set"], one["way"]) == (name, next(iter(WAYS)))}
            both = [one for one in own if one["draw"] in base]
            if not both:
                continue
            means = [np.mean([one[score] for one in both]) for score in ("accuracy", "log_loss", "seconds")]
            gains = ", ".join(f"{one['accuracy'] - base[one['draw']]['accuracy']:+.1f}" for one in both)
            rates = ", ".join(f"{one['learning_rate']:.2g}" for one in both)
            scores = f"{means[0]:.1f} % | {gains} | {means[1]:.3f} | {means[2]:.0f}"
            lines.append(f"| {name} | {way} | {scores} | {rates} | {sum(one['stopped'] for one in both)} |")
    return lines


def main(data: Path, work: Path, draws: int) -> None:
    """Measure what is missing, then print what it says."""
    fix_randomness(settings(0, 1))
    model = resolve(text_sets.CANDIDATE, Path.cwd())
    encoder = encode.from_model(model, text_sets.SETTINGS)
    path = work / "search.jsonl"
    for number in range(draws):
        for name in SETS:
            rows = drawn(data, name, number, encoder)
            for way in WAYS:
                cell = {"set": name, "draw": number, "way": way}
                if not cells.read(path, **cell):
                    cells.add(path, cell | measured(rows, way, model))
                    print(cells.read(path, **cell)[0], flush=True)
    print("\n".join(table(cells.read(path))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else DRAWS)
