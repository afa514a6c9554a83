"""Graft's training beside Hugging Face's Trainer: time, anonymous memory and accuracy, in turns within one run.

python -m benchmarks.trainer DATA WORK [DRAWS] [THREADS] [TASK]...

DATA as in `benchmarks.selection`; WORK/peers/trainer is an environment with what benchmarks/peers/trainer.txt lists,
and WORK keeps what is measured, so that a killed run goes on. Both have the same rows, epochs, batch, length limit,
rate and fused AdamW, and judge the validation rows after each epoch. Graft's seconds have all that its adaptation does
once the rate is known: the head that is solved first, which stays where it is not beaten, and for `frozen` the features
and every C; there the Trainer has ten times the rate, for at the others' it hardly learns. `grouped` is the Trainer
with batches of like length, which it does not do by itself. Seconds are of the processor; the clock's stand in WORK
beside them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import cells
from benchmarks.text_sets import CANDIDATE, load

HOUSE = Path(__file__).resolve().parents[1]
PRECISIONS, SIDES = ("float32", "bfloat16"), ("graft", "trainer", "grouped")
VALIDATION_SHARE, PEER = 0.1, "peers/trainer/bin/python"


@dataclass(frozen=True)
class Task:
    """What both are asked for.

    Attributes:
        data: a set of `text_sets`.
        train, test: so many of its rows.
        kind: what learns.
        wanted: how many times faster Graft is to be.
    """

    data: str
    train: int
    test: int
    kind: str
    epochs: int
    wanted: float
    max_tokens: int = 128
    rate: float = 1e-4


TASKS = {
    "frozen": Task("trec", 600, 500, "frozen", 10, 15.0, rate=1e-3),
    "top": Task("trec", 600, 500, "top", 5, 2.5),
    "full": Task("trec", 600, 500, "full", 3, 1.3),
    "reviews": Task("amazon_kitchen", 200, 400, "full", 3, 2.0, max_tokens=512),
}


def spec(task: Task, data: Path, work: Path, model: Path, draw: int, precision: str, threads: int) -> dict[str, Any]:
    """All that a side is told, as JSON."""
    from tasks.params import load as load_params

    rows = load(data, task.data)
    order = np.random.default_rng(draw).permutation(len(rows.classes["train"]))[: task.train]
    cut = 0 if task.kind == "frozen" else round(VALIDATION_SHARE * task.train)  # a solved head learns from all rows
    places = {"validation": order[:cut], "train": order[cut:], "test": np.arange(task.test)}
    own = {
        side: {
            "texts": [rows.texts["test" if side == "test" else "train"][i] for i in kept],
            "classes": rows.classes["test" if side == "test" else "train"][kept].tolist(),
        }
        for side, kept in places.items()
    }
    settings = load_params(HOUSE / "params.yaml").adaptation.training.model_dump()
    told = {"model": str(model), "folder": str(work / "out"), "seed": draw, "precision": precision, "threads": threads}
    return settings | asdict(task) | told | {"rows": own, "labels": rows.count}


def graft(told: dict[str, Any]) -> dict[str, float]:
    """Train once, in this process."""
    import sklearn.linear_model  # noqa: F401  (no library is loaded within the seconds, on either side)
    import torch

    from tasks import features, metrics, modalities
    from tasks import network as networks
    from tasks.features import Store
    from tasks.modalities.text.settings import Settings
    from tasks.network import Network
    from tasks.params import load as load_params
    from tasks.prepared import Prepared
    from tasks.problems.classification import learn
    from tasks.problems.classification.answer import probabilities
    from tasks.stage import Stage
    from tasks.training import solve
    from tasks.training.loop import Job, train
    from tasks.training.objective.supervised import Supervised
    from tasks.training.workbench import Workbench

    torch.set_num_threads(told["threads"])
    torch.use_deterministic_algorithms(True)
    params, folder = load_params(HOUSE / "params.yaml"), Path(told["model"])
    encoder = modalities.part("text", "encode").from_model(
        folder, Settings(max_characters=100_000, max_tokens=told["max_tokens"])
    )

    def prepared(side: str) -> Prepared:
        rows = told["rows"][side]
        encoded, names = encoder.encode(rows["texts"]), [str(k) for k in range(told["labels"])]
        ids = [f"{i:x}" for i in range(len(encoded))]
        return Prepared(ids, [side] * len(ids), rows["texts"], np.array(rows["classes"]), encoded, names)

    train_rows, test = prepared("train"), prepared("test")
    torch.manual_seed(told["seed"])
    body = modalities.part("text", "backbone").load(folder)
    network = Network(body.eval(), learn.make_head(body.width, told["labels"]))
    clock, processor = time.perf_counter(), time.process_time()
    values = features.at_own_depth(body, encoder, train_rows.encoded)
    solved = solve.solve(values, train_rows, params.adaptation.scope.frozen, told["seed"])
    stage = Stage("adaptation", folder, params, folder)
    bench = Workbench(told["kind"], body.depth, "mean", train_rows, encoder, folder, stage)
    if told["kind"] == "frozen" or not bench.draws_head:
        solve.put(network, solved.head)
    begun, ceiling = time.process_time(), 0.0
    if told["kind"] == "frozen":
        learn.solve_head(values, train_rows.classes, told["labels"], solved.head.inverse_regularisation)
        ceiling = time.process_time() - begun
    else:
        settings = params.adaptation.training
        job = Job(train_rows, prepared("validation"), encoder, settings, told["rate"], told["epochs"], told["seed"],
                  told["precision"], least_epochs=told["epochs"],
                  store=Store(Path(told["folder"]) / "store", 5.0, lambda: {"draw": time.time()}))  # fmt: skip
        train(network, bench.scope(told["kind"]), Supervised(settings.batch_rows, learn), job, None, lambda line: None)
    seconds, clock = time.process_time() - processor - ceiling, time.perf_counter() - clock
    logits = networks.logits(network, encoder, test.encoded)
    accuracy = 100 * metrics.accuracy(metrics.judge(test.classes, probabilities(logits)))
    start = begun - processor
    return {"seconds": seconds, "clock": clock, "accuracy": accuracy, "start": start, "ceiling": ceiling}


def measured(side: str, told: dict[str, Any], work: Path) -> dict[str, float]:
    """Of one side in a process of its own: what it prints, and the most anonymous memory it had, in MB."""
    path = work / f"{os.getpid()}.json"
    path.write_text(json.dumps(told | {"sampling": "group_by_length" if side == "grouped" else "random"}))
    peer = [work / PEER, HOUSE / "benchmarks/peers/trainer_app.py", path]
    command = [sys.executable, "-m", "benchmarks.trainer", path] if side == "graft" else peer
    environment = os.environ | {"OMP_NUM_THREADS": str(told["threads"]), "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, env=environment, cwd=HOUSE, text=True
    ) as child:
        peak = 0
        while child.poll() is None:
            peak = max(peak, _anonymous(child.pid))
            time.sleep(0.02)
        assert child.stdout and child.returncode == 0, f"{side} ended with {child.returncode}"
        last = child.stdout.read().splitlines()[-1]
    path.unlink()
    return json.loads(last) | {"megabytes": peak / 1024}


def _anonymous(pid: int) -> int:
    """RssAnon of a process now, in KiB; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


def told_of(name: str, found: list[dict[str, Any]]) -> None:
    """A line per precision: medians of seconds and megabytes, means of accuracy, and the ratio of seconds."""
    for precision in PRECISIONS:
        of = {side: [one for one in found if (one["side"], one["precision"]) == (side, precision)] for side in SIDES}
        middle = {
            (side, key): statistics.median(one[key] for one in own)
            for side, own in of.items()
            for key in ("seconds", "clock", "megabytes")
        }
        accuracy = {side: statistics.mean(one["accuracy"] for one in own) for side, own in of.items()}
        ratios = [f"{middle[side, 'seconds'] / middle['graft', 'seconds']:.2f}x" for side in SIDES[1:]]
        parts = [
            f"{side} {middle[side, 'seconds']:.1f} s, {middle[side, 'megabytes']:.0f} MB, {accuracy[side]:.1f} %"
            for side in SIDES
        ]
        extra = statistics.median(one["ceiling"] for one in of["graft"])
        ceiling = f"; ceiling, the fit alone on stored features: {extra:.2f} s" if extra else ""
        print(f"{name}, {precision}, {len(of['graft'])} draws: {'; '.join(parts)}{ceiling}")
        print(f"  {ratios[0]} (wanted {TASKS[name].wanted}x), grouped {ratios[1]}", flush=True)


def main() -> None:
    """Measure what WORK has not yet, then tell."""
    from tasks.weights import resolve

    data, work = Path(sys.argv[1]), Path(sys.argv[2])
    draws, threads = (int(value) for value in (sys.argv[3:5] + ["5", "1"][len(sys.argv[3:5]) :]))
    if not (work / PEER).is_file():
        print(f"{work / PEER} is not there: make it with benchmarks/peers/trainer.txt, or there is nothing to compare.")
        return
    model = resolve(CANDIDATE, Path.cwd())
    for name in sys.argv[5:] or TASKS:
        for draw in range(draws):
            for precision in PRECISIONS:
                for side in SIDES:
                    key = {"task": name, "side": side, "precision": precision, "draw": draw, "threads": threads}
                    if not cells.read(work / "trainer.jsonl", **key):
                        told = spec(TASKS[name], data, work, model, draw, precision, threads)
                        cells.add(work / "trainer.jsonl", key | measured(side, told, work))
        told_of(name, cells.read(work / "trainer.jsonl", task=name, threads=threads))


if __name__ == "__main__":
    print(json.dumps(graft(json.loads(Path(sys.argv[1]).read_text())))) if len(sys.argv) == 2 else main()
