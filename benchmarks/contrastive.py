"""Few rows: the objective contrastive against SetFit, on the same rows, body, steps and rows a step, one thread each.

python -m benchmarks.contrastive DATA WORK [DRAWS]: DATA holds the sets; WORK keeps a line a cell, so that a killed run
goes on where it was; WORK/peers/setfit is an environment with what benchmarks/peers/setfit.txt lists. Each of the two
loads the body, learns from eight rows a label and answers the set's first test rows; imports are not counted.
Graft keeps 15 % of these rows for validation and solves its head on all of them; `shipped` is Graft with the steps that
`params.yaml` has, `float32` the same without bfloat16, which SetFit does not use. Turn and turn about, draw by draw.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zlib
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks import adapted, cells, text_sets
from benchmarks.selection import SEED, VALIDATION_SHARE, draw
from tasks.modalities.text import encode
from tasks.params import Params
from tasks.prepared import Prepared
from tasks.stage import fix_randomness
from tasks.weights import resolve

HOUSE = Path(__file__).resolve().parents[1]
PEER = "peers/setfit/bin/python"
ROWS, MOST_TEST, DEPTH, POOL = 8, 500, 6, "mean"
# Set -> steps of SetFit, and draws in which Graft takes as many. SetFit takes 16 pairs a step, Graft 32 rows.
SETS = {"trec": (60, 5), "banking77": (150, 1)}
PAIRS = 16
WHO = ("graft", "shipped", "float32", "setfit")


def settings(steps: int, seed: int) -> Params:
    """The house's own, with so many steps of as many rows as SetFit's pairs have."""
    params = adapted.settings("contrastive", seed)
    objective = params.adaptation.objective
    pairs = objective.contrastive.model_copy(update={"steps": steps, "batch_rows": 2 * PAIRS})
    changed = params.adaptation.model_copy(update={"objective": objective.model_copy(update={"contrastive": pairs})})
    return params.model_copy(update={"adaptation": changed})


def shipped(seed: int, who: str) -> Params:
    """The house's own, and in float32 where that is asked for."""
    params = adapted.settings("contrastive", seed)
    resources = params.resources.model_copy(update={"precision": "float32"} if who == "float32" else {})
    return params.model_copy(update={"resources": resources})


def rows(data: Path, name: str, number: int, params: Params, folder: Path, each: int = ROWS) -> Prepared:
    """Training, validation and test rows of a draw, so many of each label on the training side."""
    every = text_sets.load(data, name)
    picked = draw(every.classes["train"], each, (zlib.crc32(name.encode()), each, number))
    texts = [every.texts["train"][i] for i in picked] + every.texts["test"][:MOST_TEST]
    classes = np.concatenate([every.classes["train"][picked], every.classes["test"][:MOST_TEST]])
    splits = np.repeat(["train", "test"], [len(picked), len(texts) - len(picked)]).astype("<U10")
    splits[np.random.default_rng(SEED + number).permutation(len(picked))[: round(VALIDATION_SHARE * len(picked))]] = (
        "validation"
    )
    encoder = encode.from_model(folder, params.preparation.text)  # type: ignore[attr-defined]
    labels = [f"{label:03}" for label in range(every.count)]
    return Prepared(
        [f"{i:x}" for i in range(len(texts))], splits.tolist(), texts, classes, encoder.encode(texts), labels
    )


def by_graft(params: Params, of: Prepared, folder: Path) -> dict[str, object]:
    """Answers and seconds of the stage `adaptation`."""
    wall, cpu = time.perf_counter(), time.process_time()
    answers = adapted.logits(of, params, DEPTH, POOL, folder).argmax(axis=1).tolist()
    return {"answers": answers, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def by_setfit(steps: int, seed: int, python: Path, of: Prepared, folder: Path) -> dict[str, object]:
    """The same of SetFit, in its own environment."""
    known, test = of.of("train", "validation"), of.of("test")
    given = {"texts": known.inputs, "classes": known.classes.tolist(), "test": test.inputs, "model": str(folder)}
    with TemporaryDirectory() as work:
        into, out = Path(work) / "in.json", Path(work) / "out.json"
        into.write_text(json.dumps(given | {"pairs": PAIRS, "steps": steps, "seed": seed}), encoding="utf-8")
        learns = HOUSE / "benchmarks/peers/setfit_learns.py"
        subprocess.run([python, learns, into, out], check=True, capture_output=True)
        return dict(json.loads(out.read_text(encoding="utf-8")))


def run(data: Path, path: Path, python: Path, draws: int) -> None:
    """Measure every cell that is not there yet."""
    folder = resolve(text_sets.CANDIDATE, HOUSE)
    fix_randomness(settings(1, SEED))
    for name, (steps, same_steps) in SETS.items():
        for number in range(draws):
            of = rows(data, name, number, settings(steps, SEED), folder)
            for who in WHO:
                if cells.read(path, set=name, draw=number, who=who) or (who == "graft" and number >= same_steps):
                    continue
                seed = SEED + number
                params = settings(steps, seed) if who == "graft" else shipped(seed, who)
                learn = partial(by_setfit, steps, seed, python) if who == "setfit" else partial(by_graft, params)
                found = learn(of, folder)
                right = float((np.array(found.pop("answers")) == of.of("test").classes).mean())
                taken = steps if who == "setfit" else params.adaptation.objective.contrastive.steps
                cell = {"set": name, "draw": number, "who": who, "steps": taken, "accuracy": right}
                cells.add(path, cell | found)
                print(name, number, who, f"{right:.1%}", found, flush=True)


def report(path: Path) -> list[str]:
    """Markdown: a line a set and side, of the draws that SetFit has too; a ratio is SetFit's seconds to this side's."""
    lines = ["| set | who | draws | accuracy, % | SetFit | s of CPU | ratio |", "|---" * 7 + "|"]
    for name in SETS:
        of = {who: {one["draw"]: one for one in cells.read(path, set=name, who=who)} for who in WHO}
        for who, own in of.items():
            both = sorted(own.keys() & of["setfit"].keys())
            if both:
                mine, theirs = ([100 * side[i]["accuracy"] for i in both] for side in (own, of["setfit"]))
                cpu, peer = (np.mean([side[i]["cpu"] for i in both]) for side in (own, of["setfit"]))
                each = ", ".join(f"{one:.1f}" for one in mine)
                told = f"{np.mean(mine):.1f} ({each}) | {np.mean(theirs):.1f} | {cpu:.1f} | {peer / cpu:.2f} |"
                lines.append(f"| {name} | {who} | {len(both)} | {told}")
    return lines


def main(data: Path, work: Path, draws: int) -> None:
    """Run what is missing, then print what it says."""
    python = work / PEER
    if not python.is_file():
        print(f"{python} is not there: make it with benchmarks/peers/setfit.txt, or there is nothing to compare.")
        return
    path = work / "contrastive.jsonl"
    run(data, path, python, draws)
    print("\n".join(report(path)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 5)
