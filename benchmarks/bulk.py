"""Short rows through `graft predict`, beside tokenising and ONNX Runtime alone: a tenth, all, and a kill.

python -m benchmarks.bulk TEXTS.csv ROWS [BUNDLE]: rows are drawn from the column `text`. Without a bundle the model
costs nothing, and what is left is Graft's own cost.
"""

from __future__ import annotations

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from deploy.releases import Releases
from tasks.artifacts import read_json, sha256_file
from tasks.graph import session_options
from tasks.runtime import BATCH_ROWS, PORTION_ROWS, length_batches
from tests.bundles import tiny_bundle

HOUSE = Path(__file__).resolve().parents[1]
THREADS, LONGEST = 2, 60
GRAFT = "from flows.commands import app; app()"
CEILING = "import sys; from benchmarks.bulk import ceiling; ceiling(*sys.argv[1:])"


def write_rows(path: Path, texts: Path, count: int) -> Path:
    """A CSV of that many short texts, and a number before each."""
    draw = random.Random(0)
    with texts.open(encoding="utf-8", newline="") as file:
        short = [row["text"] for row in csv.DictReader(file) if 0 < len(row["text"].strip()) <= LONGEST]
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("id", "text"))
        rows.writerows((number, draw.choice(short)) for number in range(count))
    return path


def ceiling(bundle: str, path: str, batch_rows: str, by_length: str) -> None:
    """Tokenise and run every row of a CSV, and nothing else: batches in the file's order, or those that Graft makes."""
    folder, rows = Path(bundle), int(batch_rows)
    model, settings = read_json(folder / "manifest.json")["model"], read_json(folder / "encoder/encoder.json")
    session = onnxruntime.InferenceSession(str(folder / model), session_options(THREADS))
    tokenizer = Tokenizer.from_file(str(folder / "encoder/tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(settings["max_tokens"])
    with open(path, encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    for start in range(0, len(texts), PORTION_ROWS):
        ids = [one.ids for one in tokenizer.encode_batch_fast(texts[start : start + PORTION_ROWS])]
        in_order = [[*range(i, min(i + rows, len(ids)))] for i in range(0, len(ids), rows)]
        for batch in length_batches([len(one) for one in ids], rows) if by_length == "yes" else in_order:
            padded = np.full((len(batch), max(len(ids[i]) for i in batch)), settings["pad_id"], dtype=np.int64)
            mask = np.zeros_like(padded)
            for place, i in enumerate(batch):
                padded[place, : len(ids[i])], mask[place, : len(ids[i])] = ids[i], 1
            session.run(["logits"], {"input_ids": padded, "attention_mask": mask})


def timed(code: str, *arguments: str | Path) -> tuple[float, float, float]:
    """Seconds, CPU seconds and peak of resident memory in MB of a process of its own, its start included."""
    started = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=HOUSE, stderr=subprocess.PIPE)
    assert child.stderr is not None
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, f"ended with {child.returncode}: {said.decode()}"
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def told(name: str, rows: int, found: tuple[float, float, float]) -> float:
    """Print a line and return CPU seconds."""
    seconds, cpu, memory = found
    print(
        f"{name}: {rows} rows in {seconds:.1f} s ({rows / seconds:.0f}/s), CPU {cpu:.1f} s, {memory:.0f} MB", flush=True
    )
    return cpu


def killed_and_again(project: Path, path: Path, whole: Path) -> None:
    """A call that dies when a third of the answers are kept, the next one, and whether its file is the same."""
    out = whole.with_name(f"again{whole.suffix}")
    arguments = [sys.executable, "-c", GRAFT, "predict", path, "-o", out, "--project", project]
    kept = out.with_name(f".{out.name}.answers")
    portions = sum(1 for _ in path.open(encoding="utf-8")) // PORTION_ROWS
    child = subprocess.Popen(arguments, cwd=HOUSE, stderr=subprocess.DEVNULL)
    while child.poll() is None and not (kept.is_file() and kept.read_bytes().count(b"\n") > portions // 3):
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    print(f"killed: ended with {child.wait()}, output there: {out.exists()}")
    said = subprocess.run(arguments, cwd=HOUSE, check=True, capture_output=True, text=True).stderr
    print(f"{said.splitlines()[-1]} Same bytes: {sha256_file(out) == sha256_file(whole)}", flush=True)


def main(texts: Path, count: int, bundle: Path | None) -> None:
    """Print seconds, CPU seconds, memory, and the share that tokenising and the model alone would have cost."""
    with tempfile.TemporaryDirectory() as place:
        project = Path(place)
        shutil.copy(HOUSE / "params.yaml", project)
        made = bundle or tiny_bundle(project / "bundle")
        releases = Releases(project / "releases")
        releases.promote(releases.add(made), "speed", {})
        few = write_rows(project / "few.csv", texts, count // 10)
        rows = write_rows(project / "rows.csv", texts, count)
        for path, size in ((few, count // 10), (rows, count)):
            out = path.with_name(f"{path.stem}-answered.csv")
            cpu = told("graft predict", size, timed(GRAFT, "predict", path, "-o", out, "--project", project, "--json"))
        for name, batch_rows, by_length in (
            (f"ceiling, the same batches of {BATCH_ROWS}", BATCH_ROWS, "yes"),
            ("ceiling, batches of 16 in the file's order", 16, "no"),
        ):
            least = told(name, count, timed(CEILING, made, rows, str(batch_rows), by_length))
            print(f"share of the CPU: {least / cpu:.2f}", flush=True)
        killed_and_again(project, few, project / "few-answered.csv")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
