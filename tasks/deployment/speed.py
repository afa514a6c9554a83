"""Edge: readings of the forms' speed and memory on this machine, taken once for the same graph."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from tasks import readings, stopwatch
from tasks.artifacts import sha256_file
from tasks.stage import Stage

BATCH = str(max(stopwatch.BATCHES))
ADVICE = "take it out of deployment.forms"


def of_forms(stage: Stage, graphs: dict[str, Path], typical: dict[str, np.ndarray]) -> dict[str, float]:
    """Milliseconds of a row in a batch of 32; with a single form there is nothing to choose, and nothing is read.

    Args:
        stage: names the threads and keeps the readings.
        graphs: form -> ONNX file.
        typical: input name -> (1, ...), a row of median length.
    """
    if len(graphs) == 1:
        return dict.fromkeys(graphs, 0.0)
    found = {name: _read(stage, name, graph, typical) for name, graph in graphs.items()}
    stage.readings["forms"] = found
    return {name: reading["milliseconds_per_row"][BATCH] for name, reading in found.items()}


def _read(stage: Stage, name: str, graph: Path, typical: dict[str, np.ndarray]) -> dict[str, Any]:
    threads = stage.params.resources.threads
    of = {
        "what": "form",
        "graph": sha256_file(graph),
        "inputs": {name: list(values.shape) for name, values in sorted(typical.items())},
        "threads": threads,
        "machine": readings.machine(),
        "onnxruntime": metadata.version("onnxruntime"),
    }

    def take() -> dict[str, Any]:
        stage.say(f"Reading the speed of {name}.")
        return stopwatch.in_own_process(graph, typical, threads, f"the form {name}", ADVICE)

    found = readings.once(stage.state(readings.FOLDER), of, take)
    assert found is not None
    return found
