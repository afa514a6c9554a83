"""Features of every depth from one forward pass, against one pass per depth with the backbone cut there."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from tasks import features, modalities
from tasks.params import load
from tasks.rows.clean import load as load_rows
from tasks.weights import resolve

ROWS = 256


def main() -> None:
    """Print both times, their ratio, and the largest difference between the two sets of features."""
    root = Path(__file__).resolve().parents[1]
    params = load(root / "params.yaml")
    folder = resolve(params.selection.candidates[0], root)
    encoder = modalities.part("text", "encode").from_model(folder, params.examples)
    rows = load_rows(root, params).of("train")[:ROWS]
    encoded = encoder.encode([row.input for row in rows])
    backbones = modalities.part("text", "backbone")
    whole = backbones.load(folder)
    features.compute(whole, encoder, encoded[:32], ["mean"])

    started = time.perf_counter()
    together = features.compute(whole, encoder, encoded, ["mean"])
    one_pass = time.perf_counter() - started

    alone, per_depth = {}, 0.0
    for depth in range(whole.depth + 1):
        cut = backbones.load(folder, depth, "mean")
        started = time.perf_counter()
        alone[depth, "mean"] = features.at_own_depth(cut, encoder, encoded)
        per_depth += time.perf_counter() - started
    difference = max(float(np.abs(together[key] - alone[key]).max()) for key in alone)
    print(f"{len(rows)} rows, {whole.depth + 1} depths: one pass {one_pass:.2f} s, a pass per depth {per_depth:.2f} s")
    print(f"ratio {per_depth / one_pass:.2f}, largest difference {difference:.1e}")


if __name__ == "__main__":
    main()
