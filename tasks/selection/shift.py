"""Edge: how far the test set of the source's own is from the training rows, by the chosen model's features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks import device, features, modalities, zero_shot
from tasks import encoded as encoded_rows
from tasks.artifacts import read_table
from tasks.params import Candidate
from tasks.rows.clean import Row
from tasks.selection import distance
from tasks.stage import Stage
from tasks.weights import resolve

# Of each side.
ROWS = 400


def measure(stage: Stage, chosen: dict[str, Any], training: Sequence[Row], test: Sequence[Row]) -> dict[str, Any]:
    """What `distance.record` makes of both; told, and never chosen by.

    Args:
        stage: names modality, device and seed.
        chosen: what `choice.choose` gave, whose frozen depth and pool give the features, or `by_words.choose`.
        training: rows on the training side, a sample.
        test: rows of the test set, a sample.
    """
    params, picked = stage.params, chosen["scopes"].get("frozen") or chosen["scopes"][zero_shot.SCOPE]
    modality = params.project.modality
    folder = resolve(Candidate(source=chosen["source"], revision=chosen["revision"]), stage.root)
    encoder = modalities.part(modality, "encode").from_model(folder, params.examples)
    backbone = modalities.part(modality, "backbone").load(folder, picked["depth"], picked["pool"])
    backbone.to(device.pick(params.resources.device))
    source = modalities.part(modality, "source")
    store = stage.staging / "shift.arrow"
    # Together, since the make-up of batches shows in the last digits.
    examples = (source.read(row.input, stage.root) for row in [*training, *test])
    encoded_rows.write(store, encoded_rows.encode(encoder, examples))
    values = features.at_own_depth(backbone, encoder, encoded_rows.read(read_table(store)))
    before, after, seed = values[: len(training)], values[len(training) :], params.project.seed
    words = None if source.FILES else distance.overlap(*([row.input for row in side] for side in (training, test)))
    apart = distance.proxy_a_distance(before, after, seed)
    return distance.record(apart, distance.discrepancy(before, after, seed), words)
