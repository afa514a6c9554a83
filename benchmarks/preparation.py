"""A tenth of the rows and all of them through the stage `preparation`, beside a bare `datasets.map`."""

from __future__ import annotations

import csv
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

from tasks.artifacts import read_json, write_json

HOUSE = Path(__file__).resolve().parents[1]
WORDS, LABELS = 17, 20
# Of a hundred rows, by their last two digits.
BROKEN, EXACT, NEAR = {7}, {21, 22}, {41, 42}
BARE = """
import sys, time, resource, datasets, transformers
datasets.disable_progress_bars()
tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
def encode(batch):
    texts = [text or "" for text in batch["text"]]
    return tokenizer(texts, truncation=True, max_length=128, return_token_type_ids=False, return_attention_mask=False)
rows = datasets.Dataset.from_csv(sys.argv[2], cache_dir=sys.argv[3])
started = time.perf_counter()
rows.map(encode, batched=True, cache_file_name=sys.argv[3] + "/rows.arrow")
print(time.perf_counter() - started)
"""


def texts(count: int) -> Iterator[tuple[str, str]]:
    """Words of the demo as often as they stand there; a hundredth is broken, four come again, half of those changed."""
    draw = random.Random(0)
    with (HOUSE / "data/raw/support_tickets.csv").open(encoding="utf-8") as file:
        words = [word for row in csv.DictReader(file) for word in re.findall(r"[\w']+", row["text"])]
    recent: list[tuple[list[str], str]] = []
    for number in range(count):
        kind = number % 100
        row, label = draw.choices(words, k=WORDS), f"label {draw.randrange(LABELS):02d}"
        if kind in EXACT | NEAR:
            copied, label = draw.choice(recent)
            row = [*copied]
        if kind in NEAR:
            row[draw.randrange(WORDS)] = draw.choice(words)
            row[draw.randrange(WORDS)] += "!"
        recent[number % 1000 : number % 1000 + 1] = [(row, label)]
        yield "" if kind in BROKEN else " ".join(row), label


def write_project(root: Path, count: int) -> None:
    """A project that has come as far as the choice of the demo's first candidate."""
    root.mkdir()
    with (root / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *texts(count)])
    tree = yaml.safe_load((HOUSE / "params.yaml").read_text(encoding="utf-8"))
    tree["data"] |= {"path": "rows.csv", "where": {}, "max_rows": count}
    (root / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    write_json(root / "data/selection/choice.json", tree["selection"]["candidates"][0])
    shutil.copyfile(HOUSE / "dvc.yaml", root / "dvc.yaml")
    (root / ".git").mkdir()
    (root / ".dvc").mkdir()
    (root / ".dvc/config").touch()


def run(command: list[str], folder: Path) -> tuple[float, float, str]:
    """Seconds, peak of resident memory in MB, and output of a process of its own."""
    variables = os.environ | {"PYTHONPATH": str(HOUSE), "HF_HUB_OFFLINE": "1", "RAYON_NUM_THREADS": "2"}
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as told:
        child = subprocess.Popen([sys.executable, *command], cwd=folder, env=variables, stdout=told)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0, f"{command} ended with {child.returncode}"
        told.seek(0)
        return seconds, usage.ru_maxrss / 1024, told.read()


def main(count: int) -> None:
    """Print seconds, memory and rates, and what was found of the planted faults."""
    found: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as place:
        for number, rows in enumerate((count // 10, count)):
            root = Path(place) / str(number)
            write_project(root, rows)
            seconds, memory, _ = run(["-m", "tasks.preparation"], root)
            found.append((seconds, memory))
            cache = root / "cache"
            cache.mkdir()
            bare = run(["-c", BARE, str(root / "data/preparation/model"), str(root / "rows.csv"), str(cache)], root)
            rate, plain = rows / seconds, rows / float(bare[2])
            print(
                f"{rows} rows: {seconds:.1f} s, {memory:.0f} MB, {rate:.0f}/s; bare map {float(bare[2]):.1f} s, "
                f"{bare[1]:.0f} MB, {plain:.0f}/s; ratio {rate / plain:.2f}",
                flush=True,
            )
            card = read_json(root / "data/preparation/card.json")
            print({name: card[name] for name in ("rows", "quarantined", "near_duplicates_within")}, flush=True)
            shutil.rmtree(root)
    print(f"ten times the rows: {found[1][0] / found[0][0]:.1f}x the time, {found[1][1] / found[0][1]:.2f}x the memory")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
