"""Edge: how far test set and reference sets are from the training rows, by the chosen model's features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tasks import device, features, modalities, zero_shot
from tasks import encoded as encoded_rows
from tasks.artifacts import read_table
from tasks.params import Candidate
from tasks.rows import references
from tasks.rows.clean import Clean, Rows
from tasks.selection import distance, nearest
from tasks.stage import Stage
from tasks.weights import resolve

# Examples, or their paths, and their features (N, F).
Side = tuple[Sequence[str], np.ndarray]


def tell(stage: Stage, chosen: dict[str, Any], rows: Rows, clean: Clean) -> tuple[dict[str, Any], list[str]]:
    """What `analysis.json` holds as `shift` and `references`, where there are such sets, and the same in sentences.

    Nothing is chosen by it.

    Args:
        stage: names test set, reference sets, modality, device and seed.
        chosen: what `choice.choose` gave, whose frozen depth and pool give the features, or `by_words.choose`.
        rows: on the training side.
        clean: all rows.
    """
    params, sets = stage.params, references.load(stage.root, stage.params)
    test = clean.of("test").from_source("test")
    if params.data.test is None and not sets:
        return {}, []
    samples = [[row.input for row in side.sample(references.ROWS, params.project.seed)] for side in (rows, test)]
    texts = [*samples, *sets.values()]
    training, tested, *others = zip(texts, _features(stage, chosen, texts), strict=True)
    record: dict[str, Any] = {}
    words = []
    if params.data.test is not None:
        record["shift"] = found = _apart(stage, training, tested)
        words.append(distance.in_words(found) if found else distance.TOO_FEW)
    if sets:
        sides = dict(zip(sets, others, strict=True))
        rows_of = {name: min(len(side[0]), len(training[0])) for name, side in sides.items()}
        record["references"] = nearest.rank({n: _apart(stage, side, training) for n, side in sides.items()}, rows_of)
        words += nearest.sentences(record["references"])
    return record, words


def _features(stage: Stage, chosen: dict[str, Any], texts: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """(N, F) of each set of examples; encoded together, since the make-up of batches shows in the last digits."""
    params, picked = stage.params, chosen["scopes"].get("frozen") or chosen["scopes"][zero_shot.SCOPE]
    modality = params.project.modality
    folder = resolve(Candidate(source=chosen["source"], revision=chosen["revision"]), stage.root)
    encoder = modalities.part(modality, "encode").from_model(folder, params.examples)
    backbone = modalities.part(modality, "backbone").load(folder, picked["depth"], picked["pool"])
    backbone.to(device.pick(params.resources.device))
    source = modalities.part(modality, "source")
    store = stage.staging / "shift.arrow"
    examples = (source.read(cell, stage.root) for cells in texts for cell in cells)
    encoded_rows.write(store, encoded_rows.encode(encoder, examples))
    values = features.at_own_depth(backbone, encoder, encoded_rows.read(read_table(store)))
    return np.split(values, np.cumsum([len(cells) for cells in texts])[:-1])


def _apart(stage: Stage, source: Side, target: Side) -> dict[str, Any] | None:
    """What `distance.record` makes of both; None where one has too few rows."""
    (cells, before), (asked, after), seed = source, target, stage.params.project.seed
    if min(len(cells), len(asked)) < distance.FEWEST_ROWS:
        return None
    files = modalities.part(stage.params.project.modality, "source").FILES
    words = None if files else distance.overlap(cells, asked)
    apart = distance.proxy_a_distance(before, after, seed)
    return distance.record(apart, distance.discrepancy(before, after, seed), words)
