"""What selection costs, as a share of fully fine-tuning every candidate at the defaults, both measured in one go."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from benchmarks import text_sets
from tasks import features, modalities, problems
from tasks.modalities.contract import Arrays, Encoder
from tasks.network import Network, tensors
from tasks.selection import probe, transferability
from tasks.weights import resolve

# Defaults of adaptation.training: two rates searched for an epoch each, then four epochs; 85 % of the rows train.
EPOCHS, BATCH_ROWS, TRAIN_SHARE = 6, 16, 0.85
FOLDS, SEED = 5, 13
# Few of each suffice for a share: rows whose features are timed, candidates that are scored, steps that are taken.
TIMED_ROWS, TIMED_DEPTHS, TIMED_STEPS = 256, (2, 4, 6), 4
Draw = Callable[[np.ndarray], np.ndarray]


def shares(data: Path, work: Path, draws: Mapping[str, Draw]) -> list[str]:
    """Markdown: seconds of both and their ratio, by size of a draw, summed over the sets."""
    spent = {size: np.zeros(3) for size in draws}
    for name in text_sets.SETS:
        rows = text_sets.load(data, name)
        found = text_sets.pooled(work / "features", rows.texts["train"])
        per_row, steps = _per_row_and_steps(rows.texts["train"][:: max(1, len(rows.texts["train"]) // TIMED_ROWS)])
        for size, draw in draws.items():
            picked = draw(rows.classes["train"])
            scoring = _scoring(found, picked, rows.classes["train"][picked], rows.count)
            batches = np.ceil(TRAIN_SHARE * len(picked) / BATCH_ROWS)
            tuning = EPOCHS * batches * sum(steps) * len(text_sets.POOLS)
            spent[size] += np.array([per_row * len(picked), scoring, tuning])
    lines = ["| rows | features, s | scores, s | fine-tuning all, s | share |", "|---|---|---|---|---|"]
    for size, (computed, scored, tuned) in spent.items():
        lines.append(f"| {size} | {computed:.0f} | {scored:.0f} | {tuned:.0f} | {(computed + scored) / tuned:.1%} |")
    return lines


def _per_row_and_steps(texts: list[str]) -> tuple[float, list[float]]:
    """Seconds of all features of a row, and of a training step at each depth from 0."""
    folder = resolve(text_sets.CANDIDATE, Path.cwd())
    encoder = modalities.part("text", "encode").from_model(folder, text_sets.SETTINGS)
    encoded = encoder.encode(texts)
    load = modalities.part("text", "backbone").load
    whole = load(folder)
    features.compute(whole, encoder, encoded[:32], text_sets.POOLS)
    started = time.perf_counter()
    features.compute(whole, encoder, encoded, text_sets.POOLS)
    per_row = (time.perf_counter() - started) / len(encoded)
    return per_row, [_step(Network(load(folder, d), _head()), encoder, encoded) for d in range(whole.depth + 1)]


def _head() -> torch.nn.Module:
    head: torch.nn.Module = problems.part("classification", "learn").make_head(384, 2)
    return head


def _step(network: Network, encoder: Encoder, encoded: list[Arrays]) -> float:
    """Seconds of a step of AdamW in bfloat16, the first left out."""
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-5, fused=True)
    random = np.random.default_rng(SEED)
    started = 0.0
    for step in range(TIMED_STEPS + 1):
        if step == 1:
            started = time.perf_counter()
        batch = tensors(encoder, [encoded[i] for i in random.integers(0, len(encoded), BATCH_ROWS)])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits, _ = network(batch)
            loss = torch.nn.functional.cross_entropy(logits, torch.zeros(BATCH_ROWS, dtype=torch.long))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return (time.perf_counter() - started) / TIMED_STEPS


def _scoring(found: dict[features.Key, np.ndarray], picked: np.ndarray, classes: np.ndarray, count: int) -> float:
    """Seconds of all scores of all candidates, from those of a few."""
    _score(np.random.default_rng(SEED).normal(size=(40, 4)), np.arange(40) % 2, 2)  # imports
    started = time.perf_counter()
    for depth in TIMED_DEPTHS:
        _score(found[depth, "mean"][picked], classes, count)
    return (time.perf_counter() - started) / len(TIMED_DEPTHS) * len(found)


def _score(values: np.ndarray, classes: np.ndarray, count: int) -> None:
    probe.score(values, classes, count, FOLDS, SEED)
    transferability.scores(values, classes, SEED)
