"""Faults planted into a public set, and how many of them each detector of preparation finds.

`python -m benchmarks.planted_faults FILE.csv...`, each with the columns text and label: 2 % exact duplicates, 2 % near
duplicates across splits, 1 % broken rows, 5 % flipped labels, and a token in 80 % of the rows of one label.
"""

from __future__ import annotations

import csv
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, hstack

from tasks import features, modalities, problems
from tasks.params import Params, Rule, load
from tasks.preparation import leaking, quality
from tasks.prepared import Prepared
from tasks.rows.clean import Clean, Row
from tasks.rows.clean import load as load_rows
from tasks.rows.split import place
from tasks.weights import resolve

HOUSE = Path(__file__).resolve().parents[1]
EXACT, NEAR, FLIPPED, BROKEN, LEAK = 0.02, 0.02, 0.05, 0.01, 0.8
TOKEN, NEAR_REASON = "qx7ref", "near duplicate of"
ROW = re.compile(r"row (\d+)")
LISTED = 12
ENCODED_ROWS = 2000  # rows whose labels are judged; all others only cost time
DEPTH, POOL = 5, "mean"
MODALITY, PROBLEM = "text", "classification"


@dataclass
class Planted:
    """Rows as they are written, and which of them, counted from 1, have which fault."""

    rows: list[dict[str, str]]
    exact: set[int] = field(default_factory=set)
    near: dict[int, int] = field(default_factory=dict)  # copy -> original
    broken: set[int] = field(default_factory=set)
    flipped: set[int] = field(default_factory=set)
    leaking: str = ""


def base(path: Path) -> list[dict[str, str]]:
    """Usable rows of the set, each content once, in one shuffled order."""
    identity = modalities.part(MODALITY, "source").identity
    with path.open(encoding="utf-8", newline="") as file:
        rows = {identity(row["text"]): row for row in csv.DictReader(file) if row["text"].strip()}
    kept = [{"text": row["text"], "label": row["label"]} for row in rows.values()]
    random.Random(0).shuffle(kept)
    return [{"id": f"T-{number:06d}", **row} for number, row in enumerate(kept, start=1)]


def plant(rows: list[dict[str, str]], params: Params) -> Planted:
    """Faults in rows of their own, so that each is the fault of one detector alone."""
    draw, total = random.Random(1), len(rows)
    made = Planted([dict(row) for row in rows])
    order = draw.sample(range(total), total)
    taken = iter(order)
    labels = sorted({row["label"] for row in rows})
    for at in (next(taken) for _ in range(round(FLIPPED * total))):
        made.rows[at]["label"] = draw.choice([label for label in labels if label != rows[at]["label"]])
        made.flipped.add(at + 1)
    made.leaking = Counter(row["label"] for row in rows).most_common(1)[0][0]
    spared = set(order[round(FLIPPED * total) :])
    for at in (at for at in range(total) if at in spared and rows[at]["label"] == made.leaking):
        if draw.random() < LEAK:
            made.rows[at]["text"] = _inserted(rows[at]["text"], TOKEN, draw)
    for _ in range(round(EXACT * total)):
        made.rows.append(dict(made.rows[next(taken)]))
        made.exact.add(len(made.rows))
    for _ in range(round(NEAR * total)):
        at = next(taken)
        made.rows.append(made.rows[at] | {"text": _moved(made.rows[at]["text"], params, draw)})
        made.near[len(made.rows)] = at + 1
    for number in range(round(BROKEN * total)):
        made.rows.append(_broken(made.rows[next(taken)], number % 5))
        made.broken.add(len(made.rows))
    for number, row in enumerate(made.rows[total:], start=total + 1):
        row["id"] = row["id"] if row["id"].startswith("X") else f"T-{number:06d}"
    return made


def _inserted(text: str, word: str, draw: random.Random) -> str:
    words = text.split()
    words.insert(draw.randint(0, len(words)), word)
    return " ".join(words)


def _moved(text: str, params: Params, draw: random.Random) -> str:
    """The text with one word twice, left out or with a letter more, in another split than before."""
    source, data = modalities.part(MODALITY, "source"), params.data

    def split(text: str) -> str:
        return place(source.identity(text), data.test_share, data.validation_share)

    changes: list[Callable[[str], list[str]]] = [lambda word: [word, word], lambda word: [], lambda word: [f"{word}s"]]
    while True:
        words = text.split()
        at = draw.randrange(len(words))
        words[at : at + 1] = draw.choice(changes)(words[at])
        changed = " ".join([*words, *(["please"] if draw.random() < 0.3 else [])])
        if changed.strip() and split(changed) != split(text):
            return changed


def _broken(row: dict[str, str], kind: int) -> dict[str, str]:
    text = f"{row['text']} again"
    changes = ({"text": " "}, {"label": ""}, {"text": f"{text} schÃ¶n"}, {"label": "???"}, {"id": "X1"})
    return row | {"text": text} | changes[kind]


def report(name: str, found: Iterable[int], planted: Iterable[int], note: str = "") -> None:
    """One line: recall and precision."""
    found, planted = set(found), set(planted)
    hits = len(found & planted)
    recall, precision = hits / max(1, len(planted)), hits / max(1, len(found))
    print(f"  {name}: {len(planted)} planted, {len(found)} found, recall {recall:.3f}, precision {precision:.3f}{note}")


def unplanted(rows: Sequence[dict[str, str]], reasons: dict[int, str]) -> None:
    """Pairs of the set's own that count as false alarms above: how many have one label, and some of them to judge."""
    pairs = [(number, int(numbers[0])) for number, why in sorted(reasons.items()) if (numbers := ROW.findall(why))]
    same = sum(rows[one - 1]["label"] == rows[other - 1]["label"] for one, other in pairs)
    print(f"    {len(pairs)} of them nobody planted, {same} under one label:")
    for one, other in pairs[:LISTED]:
        print(f"      {rows[one - 1]['text'][:200]}\n        {rows[other - 1]['text'][:200]}")


def judged(clean: Clean, planted: Planted, params: Params) -> None:
    """Suspected labels of rows from all over, by the frozen features."""
    rows = [clean.rows[i] for i in np.linspace(0, len(clean.rows) - 1, ENCODED_ROWS).astype(int)]
    folder = resolve(params.selection.candidates[0], HOUSE)
    encoder = modalities.part(MODALITY, "encode").from_model(folder, params.examples)
    backbone = modalities.part(MODALITY, "backbone").load(folder, DEPTH, POOL)
    encoded = encoder.encode([row.input for row in rows])
    data = prepared(rows, clean.labels)
    values = features.at_own_depth(backbone, encoder, encoded)
    found, noise = quality.doubts(data, values, problems.part(PROBLEM, "learn"), params.project.seed)
    numbers = [rows[doubt.position].number for doubt in found]
    there = planted.flipped & {row.number for row in rows}
    report("flipped labels", numbers, there, f"; estimated noise {noise:.3f}, in {len(rows)} rows")
    first = numbers[: len(there)]
    print(f"    of the first {len(first)} listed, {len(there & set(first)) / len(first):.3f} are flipped")


def prepared(rows: Sequence[Row], labels: list[str]) -> Prepared:
    """Rows as preparation leaves them, without what an encoder makes of them."""
    classes = np.array([labels.index(row.label) for row in rows])
    inputs, splits = [row.input for row in rows], [row.split for row in rows]
    return Prepared([row.id for row in rows], list(splits), inputs, classes, [{}] * len(rows), labels)


def leaks(clean: Clean, planted: Planted) -> None:
    """The token that was planted, and beside it one of each label that is not there."""
    data = prepared(clean.of("train", "validation"), clean.labels)
    present, terms = modalities.part(MODALITY, "classical").presence(data)
    found = leaking.giveaways(present, terms, data.classes)
    names = [one.term for one in found]
    rank = names.index(TOKEN) + 1 if TOKEN in names else None
    print(f"  leaking token (label {planted.leaking}): named {rank or 'not'} of {len(found)}; others {names[:6]}")
    draw, hits = np.random.default_rng(2), 0
    for k in range(len(data.labels)):
        column = ((data.classes == k) & (draw.random(len(data)) < LEAK)).astype(float)[:, None]
        hits += _is_named(column, present, data.classes)
    print(f"    one such token per label, {len(data.labels)} labels: {hits / len(data.labels):.3f} named")


def _is_named(column: np.ndarray, present: Any, classes: np.ndarray) -> bool:
    """Whether a token in these rows is named beside the set's own terms, which share the error rate with it."""
    whole = hstack([csr_matrix(column), present], format="csr")
    terms = [TOKEN, *(f"term {t}" for t in range(whole.shape[1] - 1))]
    return any(one.term == TOKEN for one in leaking.giveaways(whole, terms, classes))


def main(paths: Sequence[str]) -> None:
    """Print the lines of each file."""
    params = load(HOUSE / "params.yaml")
    for name in paths:
        rows = base(Path(name))
        labels = sorted({row["label"] for row in rows})
        rules = {"id": Rule(pattern=r"T-\d{6}", unique=True), "label": Rule(allowed=list(labels))}
        data = params.data.model_copy(
            update={"path": "rows.csv", "test": None, "feedback": None, "where": {}, "rules": rules}
        )
        own = params.model_copy(update={"data": data})
        planted = plant(rows, own)
        with tempfile.TemporaryDirectory() as folder:
            with (Path(folder) / "rows.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, ["id", "text", "label"])
                writer.writeheader()
                writer.writerows(planted.rows)
            clean = load_rows(Path(folder), own)
        print(f"{'/'.join(Path(name).parts[-2:])}: {len(rows)} rows, {len(labels)} labels")
        reasons = {fault.number: fault.reason for fault in clean.quarantined}
        near = {number for number, reason in reasons.items() if reason.startswith(NEAR_REASON)}
        exact = {number for number, reason in reasons.items() if reason.startswith("duplicate of")}
        report("exact duplicates", exact, planted.exact)
        report("broken rows", reasons.keys() - near - exact, planted.broken)
        if near:
            # Of a pair, the row on the training side leaves, which may be the original.
            back = {original: copy for copy, original in planted.near.items()}
            report("near duplicates across splits", {back.get(number, number) for number in near}, planted.near)
            unplanted(planted.rows, {number: reasons[number] for number in near - planted.near.keys() - back.keys()})
        leaks(clean, planted)
        judged(clean, planted, own)


if __name__ == "__main__":
    main(sys.argv[1:])
