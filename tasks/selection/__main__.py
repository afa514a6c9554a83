"""Edge of the selection phase: reads rows and weights, scores every candidate, writes the choice."""

from __future__ import annotations

import numpy as np

from tasks import device, features, fingerprint, modalities
from tasks import encoded as encoded_rows
from tasks.artifacts import read_table, write_json, write_text
from tasks.network import tensors
from tasks.params import Candidate
from tasks.rows.clean import Clean, Rows, load
from tasks.selection import analysis, choice, cost, probe
from tasks.stage import Stage, run
from tasks.weights import resolve


def main(stage: Stage) -> None:
    """Selection on the training side: rows outside the test split."""
    params = stage.params
    clean = load(stage.root, params)
    rows = clean.of("train", "validation").sample(params.selection.max_rows, params.project.seed)
    classes = np.array([clean.labels.index(row.label) for row in rows])
    scored: list[choice.Scored] = []
    encodings: dict[str, analysis.Encoding] = {}
    for candidate in params.selection.candidates:
        stage.say(f"Scoring {candidate.source} on {len(rows)} training rows.")
        found, encodings[candidate.source] = _score(stage, candidate, rows, classes, clean)
        scored += found
    source = modalities.part(params.project.modality, "source")
    record = analysis.analyse(clean, source.UNIT, encodings)
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
    stage: Stage, candidate: Candidate, rows: Rows, classes: np.ndarray, clean: Clean
) -> tuple[list[choice.Scored], analysis.Encoding]:
    params = stage.params
    folder = resolve(candidate, stage.root)
    modality, settings = params.project.modality, params.selection
    source = modalities.part(modality, "source")
    encoder = modalities.part(modality, "encode").from_model(folder, params.examples)
    backbone = modalities.part(modality, "backbone").load(folder)
    store = stage.staging / "encoded.arrow"
    encoded_rows.write(store, encoded_rows.encode(encoder, (source.read(row.input, stage.root) for row in rows)))
    encoded = encoded_rows.read(read_table(store))
    picked = device.pick(params.resources.device)
    unused = fingerprint.unused(modality, params.project.problem)
    identity = features.identity(folder, params.resources.threads, picked.type, unused)
    typical = sorted(encoded, key=encoder.positions)[len(encoded) // 2]
    costs = cost.at_all_depths(backbone, backbone.blocks, tensors(encoder, [typical]))
    backbone.to(picked)
    found = features.pooled(
        stage.state("features"), params.resources.cache_gb, identity, backbone, encoder, encoded, settings.pools
    )
    scored = []
    for (depth, pool), values in sorted(found.items()):
        result = probe.score(values, classes, len(clean.labels), settings.folds, settings.repeats, params.project.seed)
        scored.append(
            choice.Scored(
                candidate.source, candidate.revision, depth, backbone.depth, pool, **vars(result), **vars(costs[depth])
            )
        )
    lengths = np.array([encoder.positions(row) for row in encoded])
    cut = encoder.truncated(source.read(row.input, stage.root) for row in rows)
    return scored, analysis.Encoding(encoder.unit, lengths, cut)


if __name__ == "__main__":
    run("selection", main)
