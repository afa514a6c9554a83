"""A graph is timed in a process of its own; what cannot be timed is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks import stopwatch
from tasks.errors import CrashError, InputError
from tests.bundles import tiny_bundle

ROW = {name: np.ones((1, 3), dtype=np.int64) for name in ("input_ids", "attention_mask")}


def test_a_reading_has_times_of_a_row_alone_and_in_a_batch_and_the_memory(tmp_path: Path) -> None:
    graph = tiny_bundle(tmp_path / "bundle") / "model.onnx"
    found = stopwatch.in_own_process(graph, ROW, 1, "a graph", "wait")
    alone = found["alone"]
    assert 0 < found["milliseconds_per_row"]["1"] <= alone["p50"] <= alone["p99"] and alone["runs"] >= 10
    assert found["milliseconds_per_row"]["32"] > 0 and 20 < found["peak_megabytes"] < 1000


def test_a_graph_that_breaks_is_told(tmp_path: Path) -> None:
    with pytest.raises(CrashError, match=r"speed of a graph could not be read: .*NoSuchFile"):
        stopwatch.in_own_process(tmp_path / "graph.onnx", ROW, 1, "a graph", "wait")


def test_a_process_that_does_not_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopwatch, "LIMIT_SECONDS", 0.01)
    with pytest.raises(InputError, match=r"of a graph could not be read within 0\.01 seconds: take it out\.$"):
        stopwatch.in_own_process(tmp_path / "graph.onnx", ROW, 1, "a graph", "take it out")


@pytest.mark.parametrize(("seconds", "runs"), [(40.0, 1), (4.0, 8), (0.5, 10), (0.05, 20), (0.001, 200)])
def test_a_large_model_runs_less_often(seconds: float, runs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, done = [0.0], []

    class Session:
        def run(self, *_: object) -> None:
            clock[0] += seconds
            done.append(1)

    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: clock[0])
    assert min(stopwatch._seconds(Session(), {})) == pytest.approx(seconds) and abs(len(done) - runs) <= 1
