"""Edge of the selection phase: reads rows and weights, scores every candidate, writes the choice."""

from __future__ import annotations

import numpy as np

from tasks import features, modalities
from tasks.artifacts import sha256_text, write_json, write_text
from tasks.modalities.contract import Arrays
from tasks.network import tensors
from tasks.params import Candidate
from tasks.rows.clean import Clean, Row, load
from tasks.selection import analysis, choice, cost, probe
from tasks.stage import Stage, run
from tasks.weights import resolve


def main(stage: Stage) -> None:
    """Selection on the training side: rows outside the test split."""
    params = stage.params
    clean = load(stage.root, params.data)
    rows = _sample(clean.of("train", "validation"), params.selection.max_rows, params.project.seed)
    classes = np.array([clean.labels.index(row.label) for row in rows])
    scored: list[choice.Scored] = []
    lengths: dict[str, np.ndarray] = {}
    truncated: dict[str, int] = {}
    for candidate in params.selection.candidates:
        stage.say(f"Scoring {candidate.source} on {len(rows)} training rows.")
        found, encoded, lost = _score(stage, candidate, rows, classes, clean)
        scored += found
        lengths[candidate.source] = np.array([max(a.size for a in row.values()) for row in encoded])
        truncated[candidate.source] = lost
    record = analysis.analyse(clean, lengths, truncated)
    full_from = params.selection.full_from_rows_per_label
    chosen = choice.choose(scored, len(clean.of("train", "validation")), len(clean.labels), full_from)
    words = [*analysis.in_words(record), chosen["model_reason"], chosen["scope_reason"]]
    words.append(chosen["scopes"][chosen["scope"]]["reason"])
    write_json(stage.out("data/selection/analysis.json"), record)
    write_json(stage.out("data/selection/ranking.json"), choice.ranking(scored))
    write_json(stage.out("data/selection/choice.json"), chosen)
    write_text(stage.out("data/selection/summary.md"), "# Selection\n\n" + "".join(f"- {word}\n" for word in words))
    for word in words:
        stage.say(word)


def _score(
    stage: Stage, candidate: Candidate, rows: list[Row], classes: np.ndarray, clean: Clean
) -> tuple[list[choice.Scored], list[Arrays], int]:
    params = stage.params
    folder = resolve(candidate, stage.root)
    modality, settings = params.project.modality, params.selection
    encoder = modalities.part(modality, "encode").from_model(folder, getattr(params.preparation, modality))
    backbone = modalities.part(modality, "backbone").load(folder)
    examples = [row.input for row in rows]
    encoded = encoder.encode(examples)
    identity = features.identity(folder, params.resources.threads)
    found = features.pooled(
        stage.state("features"), params.resources.cache_gb, identity, backbone, encoder, encoded, settings.pools
    )
    typical = sorted(encoded, key=lambda row: max(array.size for array in row.values()))[len(encoded) // 2]
    costs = cost.at_all_depths(backbone, backbone.blocks, tensors(encoder, [typical]))
    scored = []
    for (depth, pool), values in sorted(found.items()):
        result = probe.score(values, classes, len(clean.labels), settings.folds, settings.repeats, params.project.seed)
        scored.append(
            choice.Scored(
                candidate.source, candidate.revision, depth, backbone.depth, pool, **vars(result), **vars(costs[depth])
            )
        )
    return scored, encoded, encoder.truncated(examples)


def _sample(rows: list[Row], most: int, seed: int) -> list[Row]:
    """At most `most` rows; which ones depends on their content and the seed alone."""
    if len(rows) <= most:
        return rows
    kept = {row.id for row in sorted(rows, key=lambda row: sha256_text(f"{seed}{row.id}"))[:most]}
    return [row for row in rows if row.id in kept]


if __name__ == "__main__":
    run("selection", main)
