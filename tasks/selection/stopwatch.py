"""Reads the times and the memory peak of a graph, in a process of its own where nothing else holds either."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tasks.runtime import session_options
from tasks.stage import die_with_parent

BATCHES = (1, 32)
LEAST_RUNS, MOST_RUNS = 10, 200
# In which these may end, and in which all do: of a large model one batch of 32 may take a minute.
SECONDS, MOST_SECONDS = 1.0, 30.0


def read(graph: Path, row: dict[str, np.ndarray], threads: int) -> dict[str, Any]:
    """Least milliseconds a row at each batch size of `BATCHES`, and the process's memory peak in MB of 10^6 bytes.

    Args:
        graph: ONNX file.
        row: input name -> (1, ...), repeated to make a batch.
        threads: of ONNX Runtime.
    """
    import onnxruntime as ort

    session = ort.InferenceSession(str(graph), session_options(threads), providers=["CPUExecutionProvider"])
    found = {}
    for rows in BATCHES:
        batch = {name: np.repeat(values, rows, axis=0) for name, values in row.items()}
        found[str(rows)] = float(f"{1000 * _least_seconds(session, batch) / rows:.3g}")
    return {"milliseconds_per_row": found, "peak_megabytes": _peak_megabytes()}


def _least_seconds(session: Any, batch: dict[str, np.ndarray]) -> float:
    runs: list[float] = []
    while sum(runs) < (SECONDS if len(runs) >= LEAST_RUNS else MOST_SECONDS) and len(runs) < MOST_RUNS:
        started = time.perf_counter()
        session.run(None, batch)
        runs.append(time.perf_counter() - started)
    # Other work on the machine, and a first run, only ever add to a time.
    return min(runs)


def _peak_megabytes() -> int:
    """Of this program alone: getrusage would count what its parent held when it started it."""
    peak = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    assert peak is not None
    return round(int(peak[1]) * 1024 / 1e6)


if __name__ == "__main__":
    die_with_parent()
    with np.load(sys.argv[2], allow_pickle=False) as arrays:
        print(json.dumps(read(Path(sys.argv[1]), dict(arrays), int(sys.argv[3]))))
