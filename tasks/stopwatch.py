"""Reads the times and the memory peak of a graph, in a process of its own where nothing else holds either."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tasks.errors import CrashError, InputError
from tasks.graph import session_options
from tasks.stage import die_with_parent

BATCHES = (1, 32)
LEAST_RUNS, MOST_RUNS = 10, 200
# In which these may end, and in which all do: of a large model one batch of 32 may take a minute.
SECONDS, MOST_SECONDS = 1.0, 30.0
LIMIT_SECONDS = 300


def in_own_process(graph: Path, row: dict[str, np.ndarray], threads: int, of: str, advice: str) -> dict[str, Any]:
    """What `read` gives, read in a new process.

    Args:
        graph: ONNX file; the row is left beside it.
        row: input name -> (1, ...).
        threads: of ONNX Runtime.
        of: what is read, for an error's sentence.
        advice: what to do where it takes too long, for the same.

    Raises:
        InputError: it takes longer than 300 seconds.
        CrashError: the graph does not run.
    """
    np.savez(graph.with_suffix(".npz"), **row)  # type: ignore[arg-type]
    command = [sys.executable, "-m", "tasks.stopwatch", graph.name, f"{graph.stem}.npz", str(threads)]
    variables = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    try:
        done = subprocess.run(
            command, cwd=graph.parent, env=variables, capture_output=True, text=True, timeout=LIMIT_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"The speed of {of} could not be read within {LIMIT_SECONDS} seconds: {advice}.") from None
    if done.returncode:
        raise CrashError(f"The speed of {of} could not be read: {(done.stderr.splitlines() or [''])[-1][:200]}.")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def read(graph: Path, row: dict[str, np.ndarray], threads: int) -> dict[str, Any]:
    """Least milliseconds a row at each batch size of `BATCHES`, median and 99th percentile of a row alone, and the
    process's memory peak in MB of 10^6 bytes.

    Args:
        graph: ONNX file.
        row: input name -> (1, ...), repeated to make a batch.
        threads: of ONNX Runtime.
    """
    import onnxruntime as ort

    session = ort.InferenceSession(str(graph), session_options(threads), providers=["CPUExecutionProvider"])
    seconds = {}
    for rows in BATCHES:
        batch = {name: np.repeat(values, rows, axis=0) for name, values in row.items()}
        seconds[rows] = _seconds(session, batch)
    p50, p99 = np.quantile(seconds[1], [0.5, 0.99])
    return {
        # Other work on the machine, and a first run, only ever add to a time.
        "milliseconds_per_row": {str(rows): _milliseconds(min(runs) / rows) for rows, runs in seconds.items()},
        "alone": {"p50": _milliseconds(p50), "p99": _milliseconds(p99), "runs": len(seconds[1])},
        "peak_megabytes": _peak_megabytes(),
    }


def _milliseconds(seconds: float) -> float:
    return float(f"{1000 * seconds:.3g}")


def _seconds(session: Any, batch: dict[str, np.ndarray]) -> list[float]:
    """Of each run."""
    runs: list[float] = []
    while sum(runs) < (SECONDS if len(runs) >= LEAST_RUNS else MOST_SECONDS) and len(runs) < MOST_RUNS:
        started = time.perf_counter()
        session.run(None, batch)
        runs.append(time.perf_counter() - started)
    return runs


def _peak_megabytes() -> int:
    """Of this program alone: getrusage would count what its parent held when it started it."""
    peak = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    assert peak is not None
    return round(int(peak[1]) * 1024 / 1e6)


if __name__ == "__main__":
    die_with_parent()
    with np.load(sys.argv[2], allow_pickle=False) as arrays:
        print(json.dumps(read(Path(sys.argv[1]), dict(arrays), int(sys.argv[3]))))
