"""Do the distances of `tasks/selection/distance.py` name the source to learn from? Reviews of four kinds of goods.

python -m benchmarks.domain_distance FOLDER, with DOMAIN_train.jsonl and DOMAIN_test.jsonl of text and label for each
domain. For each target the other three are sources: a head solved on a source's frozen features answers the target's
test rows, and that accuracy is compared with each distance between the source's and the target's training rows, of
which no label is looked at.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from tasks import features, modalities
from tasks.params import load
from tasks.problems.classification.learn import solve_head
from tasks.selection import distance
from tasks.weights import resolve

MAX_TOKENS, SEED, INVERSE_REGULARISATION, ROWS = 64, 13, 0.01, 400
MEASURES = ("proxy A-distance", "discrepancy", "unknown words")


def read(path: Path) -> tuple[list[str], np.ndarray]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row["text"] for row in rows], np.array([int(row["label"]) for row in rows])


def main(folder: Path) -> None:
    """Print a line per pair, and how each distance orders the sources of a target."""
    root = Path(__file__).resolve().parents[1]
    params = load(root / "params.yaml")
    model = resolve(params.selection.candidates[0], root)
    settings = params.examples.model_copy(update={"max_tokens": MAX_TOKENS})
    encoder = modalities.part("text", "encode").from_model(model, settings)
    backbone = modalities.part("text", "backbone").load(model)
    domains = sorted(path.name.removesuffix("_train.jsonl") for path in folder.glob("*_train.jsonl"))
    texts, labels, values = {}, {}, {}
    for domain in domains:
        for part in ("train", "test"):
            texts[domain, part], labels[domain, part] = read(folder / f"{domain}_{part}.jsonl")
            values[domain, part] = features.at_own_depth(backbone, encoder, encoder.encode(texts[domain, part]))
    table = {}
    for source in domains:
        head = solve_head(values[source, "train"], labels[source, "train"], 2, INVERSE_REGULARISATION)
        for target in domains:
            answers = head.logits(values[target, "test"]).argmax(axis=1)
            accuracy = float((answers == labels[target, "test"]).mean())
            one, other = ((values[domain, "train"], texts[domain, "train"]) for domain in (source, target))
            found = (
                distance.proxy_a_distance(one[0], other[0], SEED),
                distance.discrepancy(one[0][:ROWS], other[0][:ROWS], SEED).value,
                1 - distance.overlap(one[1], other[1]).words,
            )
            table[source, target] = (accuracy, *found)
            named = ", ".join(f"{name} {value:.4f}" for name, value in zip(MEASURES, found, strict=True))
            print(f"{source} -> {target}: accuracy {accuracy:.1%}, {named}", flush=True)
    for k, name in enumerate(MEASURES, start=1):
        orders, hits, loss = [], 0, 0.0
        for target in domains:
            rows = [table[source, target] for source in domains if source != target]
            orders.append(kendalltau([row[0] for row in rows], [-row[k] for row in rows]).statistic)
            best, picked = max(row[0] for row in rows), min(rows, key=lambda row: row[k])[0]
            hits, loss = hits + (picked == best), loss + best - picked
        lost, tau = 100 * loss / len(domains), np.mean(orders)
        print(f"{name}: the best source for {hits} of {len(domains)} targets, {lost:.1f} points lost, tau {tau:.2f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
