"""Edge of the selection phase: reads rows and weights, scores every candidate, writes the choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks import cuts, device, features, modalities, zero_shot
from tasks import encoded as encoded_rows
from tasks.artifacts import read_table, write_json, write_text
from tasks.modalities.contract import Arrays, Encoder
from tasks.network import tensors
from tasks.params import Candidate
from tasks.rows.clean import Clean, Rows, load
from tasks.rows.head import head
from tasks.rows.kind import refuse_other_problem
from tasks.rows.read import columns
from tasks.selection import (
    analysis,
    by_words,
    choice,
    contents,
    cost,
    decision,
    limits,
    probe,
    reading,
    shift,
    transferability,
)
from tasks.stage import Stage, run
from tasks.weights import resolve


def main(stage: Stage) -> None:
    """Selection on the training side: rows outside the test split."""
    params = stage.params
    refuse_other_problem(stage.root, params)
    clean = load(stage.root, params)
    rows = clean.of("train", "validation").sample(params.selection.max_rows, params.project.seed)
    scored: list[choice.Scored] = []
    whole: list[by_words.Whole] = []
    out: list[limits.Out] = []
    encodings: dict[str, analysis.Encoding] = {}
    for candidate in params.selection.candidates:
        stage.say(f"{'Scoring' if clean.labelled else 'Reading'} {candidate.source} on {len(rows)} training rows.")
        folder = resolve(candidate, stage.root)
        if reason := limits.by_licence(reading.licence(stage, candidate, folder), params.selection.limits):
            out.append(limits.Out(candidate.source, candidate.revision, 0, reason))
            continue
        looked = _look(stage, candidate, folder, rows)
        encodings[candidate.source] = looked.seen
        out += looked.beyond
        if clean.labelled:
            scored += _score(stage, looked, rows, clean.labels)
        elif not looked.beyond:
            whole.append(_whole(looked))
    limits.refuse_nothing_left(len(scored) + len(whole), out)
    source = modalities.part(params.project.modality, "source")
    record = analysis.analyse(clean, source.UNIT, encodings) | _contents(stage, rows)
    chosen, ranking, told = _chosen(stage, clean, rows, scored, whole)
    words = [
        *analysis.in_words(record),
        *contents.in_words(record),
        *(one.sentence for one in out),
        chosen["model_reason"],
        f"Scope {chosen['scope_reason']}",
        cuts.of(chosen, chosen["scope"])["reason"],
        *told,
    ]
    apart, said = shift.tell(stage, chosen, rows, clean)
    record |= apart
    words += said
    write_json(stage.out("data/selection/analysis.json"), record)
    write_json(stage.out("data/selection/ranking.json"), [*ranking, *map(asdict, out)])
    write_json(stage.out("data/selection/choice.json"), chosen)
    write_text(stage.out("data/selection/summary.md"), "# Selection\n\n" + "".join(f"- {word}\n" for word in words))
    for word in words:
        stage.say(word)


def _contents(stage: Stage, rows: Rows) -> dict[str, Any]:
    data = stage.params.data
    texts = not modalities.part(stage.params.project.modality, "source").FILES
    table = head(stage.root / data.path, (data.input_column, data.label_column))
    return {
        "scripts": contents.scripts(rows.inputs()) if texts else None,
        "columns": contents.columns(table, columns(data), data.label_column) if table else None,
    }


def _chosen(
    stage: Stage, clean: Clean, rows: Rows, scored: list[choice.Scored], whole: list[by_words.Whole]
) -> tuple[dict[str, Any], list[dict[str, Any]], list[str]]:
    """The choice, the ranking, and what the choice rests on."""
    if not clean.labelled:
        words = zero_shot.label_words(clean.labels, stage.params.data.label_descriptions)
        return by_words.choose(whole, words), by_words.ranking(whole), []
    chosen = decision.decide(stage, scored, rows, clean)
    return chosen, choice.ranking(scored), [chosen["strategy"]["sentence"], choice.picks_in_words(scored)]


@dataclass(frozen=True)
class Looked:
    """What is known of a candidate before its features are.

    Attributes:
        candidate: source and revision.
        folder: its files.
        backbone: uncut.
        encoder: made `encoded`.
        encoded: one dict of unpadded arrays per training-side row.
        costs: at depth 0, 1, ...
        inside: how many of these depths the limits leave.
        beyond: what they leave out.
        seen: for the analysis.
    """

    candidate: Candidate
    folder: Path
    backbone: Any
    encoder: Encoder
    encoded: Sequence[Arrays]
    costs: list[cost.Cost]
    inside: int
    beyond: list[limits.Out]
    seen: analysis.Encoding


def _look(stage: Stage, candidate: Candidate, folder: Path, rows: Rows) -> Looked:
    params = stage.params
    modality, settings = params.project.modality, params.selection
    source = modalities.part(modality, "source")
    encoder = modalities.part(modality, "encode").from_model(folder, params.examples)
    backbone = modalities.part(modality, "backbone").load(folder)
    for lacking in sorted({*settings.pools} - {*backbone.pools}):
        stage.say(f"{candidate.source} has no pool {lacking}: it is scored without.")
    store = stage.staging / "encoded.arrow"
    encoded_rows.write(store, encoded_rows.encode(encoder, (source.read(row.input, stage.root) for row in rows)))
    encoded = encoded_rows.read(read_table(store))
    typical = sorted(encoded, key=encoder.positions)[len(encoded) // 2]
    costs = cost.at_all_depths(backbone, backbone.blocks, tensors(encoder, [typical]))
    lengths = np.array([encoder.positions(row) for row in encoded])
    cut = encoder.truncated(source.read(row.input, stage.root) for row in rows)

    def milliseconds(depth: int) -> float:
        found = reading.of_depth(stage, candidate, folder, depth, backbone.pools[0], encoder, encoded)
        return float(found["milliseconds_per_row"]["1"])

    inside, reason = limits.by_cost(costs, milliseconds, settings.limits)
    beyond = [limits.Out(candidate.source, candidate.revision, inside, reason)] if reason else []
    seen = analysis.Encoding(encoder.unit, lengths, cut)
    return Looked(candidate, folder, backbone, encoder, encoded, costs, inside, beyond, seen)


def _whole(looked: Looked) -> by_words.Whole:
    one = looked.candidate
    return by_words.Whole(one.source, one.revision, looked.backbone.depth, zero_shot.POOL, **vars(looked.costs[-1]))


def _score(stage: Stage, looked: Looked, rows: Rows, labels: list[str]) -> list[choice.Scored]:
    """Every depth and pool inside the limits."""
    if not looked.inside:
        return []
    params, backbone, candidate = stage.params, looked.backbone, looked.candidate
    modality, settings, seed = params.project.modality, params.selection, params.project.seed
    classes = np.array([labels.index(row.label) for row in rows if row.label is not None])
    backbone.to(device.pick(params.resources.device))
    store = features.store(stage.state("features"), params, looked.folder)
    found = features.pooled(store, backbone, looked.encoder, looked.encoded, settings.pools)
    typical_depth = modalities.part(modality, "backbone").TYPICAL_DEPTH
    scored = []
    for (depth, pool), values in sorted(found.items()):
        if depth >= looked.inside:
            continue
        result = probe.score(values, classes, len(labels), settings.folds, seed)
        measured = vars(result) | transferability.scores(values, classes, seed) | vars(looked.costs[depth])
        measured["off_typical"] = probe.off_typical(depth / backbone.depth, typical_depth, len(rows))
        scored.append(choice.Scored(candidate.source, candidate.revision, depth, backbone.depth, pool, **measured))
    return scored


if __name__ == "__main__":
    run("selection", main)
