"""Regret of the depth and pool that selection picks for the scope full, on public text sets.

python -m benchmarks.selection_full DATA WORK [DRAWS]: every depth x pool of a coarse grid is fully fine-tuned by the
stage `adaptation` at its defaults, from the rows that benchmarks/selection.py draws, and judged on the set's own test
rows. WORK keeps features and a line a cell, so that a killed run goes on where it was. Without DRAWS a reduced form:
one draw of 8 rows a label of the sets that take seconds a cell.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks import adapted, cells, text_sets
from benchmarks.selection import (
    RULES,
    SEED,
    VALIDATION_SHARE,
    Draw,
    Record,
    as_scored,
    judged,
    picked,
    place,
    scored,
    table,
)
from tasks.modalities.text import encode, settings
from tasks.prepared import Prepared
from tasks.selection import choice
from tasks.stage import fix_randomness
from tasks.weights import resolve

SETS = ("banking77", "trec", "ag_news_7600", "sst2", "amazon_books", "amazon_kitchen")
QUICK = ("trec", "sst2")
DEPTHS = (2, 4, 6)
MOST_TEST = 500


def _chosen(all_of: list[Record]) -> np.ndarray:
    """1 for what `choice.choose` picks for the scope full, 0 for the rest."""
    scored = as_scored(all_of)
    chosen = choice.deepest(choice.ranked(scored)[0], scored, settings.BEATEN_POOLS)
    return np.array([place(one) == (chosen.depth, chosen.pool) for one in all_of], dtype=float)


FULL_RULES: dict[str, Callable[[list[Record]], np.ndarray]] = {
    "Graft": _chosen,
    "Graft's pick for frozen": RULES["Graft"],
    **{name: RULES[name] for name in ("probe (log loss)", "LogME", "H-score", "last block")},
}


def drawn(rows: text_sets.TextSet, own: np.ndarray, seed: int) -> Prepared:
    """The training rows at `own`, a share of them for validation, and the first `MOST_TEST` test rows."""
    texts = [rows.texts["train"][i] for i in own] + rows.texts["test"][:MOST_TEST]
    classes = np.concatenate([rows.classes["train"][own], rows.classes["test"][:MOST_TEST]])
    splits = np.repeat(["train", "test"], [len(own), len(texts) - len(own)]).astype(object)
    splits[np.random.default_rng(seed).permutation(len(own))[: round(VALIDATION_SHARE * len(own))]] = "validation"
    encoder = encode.from_model(resolve(text_sets.CANDIDATE, Path.cwd()), text_sets.SETTINGS)
    labels = [f"{number:03}" for number in range(rows.count)]
    return Prepared(
        [f"{i:x}" for i in range(len(texts))], splits.tolist(), texts, classes, encoder.encode(texts), labels
    )


def measured(name: str, size: str, number: int, data: Path, work: Path) -> Draw:
    """One draw: each candidate's scores on the drawn rows, and its accuracy after full fine-tuning."""
    path, key = work / "selection_full.jsonl", {"set": name, "size": size, "draw": number}
    missing = {*product(DEPTHS, text_sets.POOLS)} - {*map(place, cells.read(path, **key))}
    if missing:
        params = adapted.settings("full", SEED + number)
        fix_randomness(params)
        every = text_sets.load(data, name)
        own = picked(every, name, size, number)
        found = text_sets.pooled(work / "features", [every.texts["train"][i] for i in own])
        rows = drawn(every, own, SEED + number)
        folder = resolve(text_sets.CANDIDATE, Path.cwd())
    for depth, pool in sorted(missing):
        started = time.process_time()
        right = adapted.logits(rows, params, depth, pool, folder).argmax(axis=1) == rows.of("test").classes
        spent = {"cpu_seconds": round(time.process_time() - started, 1)}
        scores = scored(found[depth, pool], every.classes["train"][own], every.count, depth)
        cells.add(path, key | {"depth": depth, "pool": pool} | judged(right) | spent | scores)
    return name, size, sorted(cells.read(path, **key), key=place)


def main(data: Path, work: Path, draws: int | None) -> None:
    """Print a table per size."""
    if not data.is_dir():
        raise SystemExit(f"There is no folder {data} with text sets: name another one.")
    sizes, names = (("8", "32"), SETS) if draws else (("8",), QUICK)
    jobs = product(range(draws or 1), sizes, names)
    found = [measured(name, size, number, data, work) for number, size, name in jobs]
    for size in sizes:
        print("\n".join(table(found, size, FULL_RULES)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None)
