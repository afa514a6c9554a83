"""Edge of the preparation phase: checks machine and model, validates, encodes, writes rows, card and snapshot."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from tasks import encoded, environment, modalities, prepared
from tasks.artifacts import read_json, sha256_source, write_json, write_text
from tasks.errors import InputError
from tasks.modalities.contract import Backbone, Encoder, Example
from tasks.network import tensors
from tasks.params import Candidate
from tasks.preparation import card
from tasks.prepared import FOLDER, MODEL
from tasks.rows.clean import load
from tasks.rows.quarantine import write_quarantine
from tasks.stage import Stage, run
from tasks.weights import licence, resolve, snapshot_files


def main(stage: Stage) -> None:
    """Preparation, the model first: nothing is spent on what cannot run."""
    params = stage.params
    chosen = read_json(stage.root / "data/selection/choice.json")
    candidate = Candidate(source=chosen["source"], revision=chosen["revision"])
    model = resolve(candidate, stage.root)
    modality = params.project.modality
    source = modalities.part(modality, "source")
    encoder = modalities.part(modality, "encode").from_model(model, params.examples)
    clean = load(stage.root, params)
    examples = (source.read(cell, stage.root) for cell in clean.rows.inputs())
    _warm_pass(modalities.part(modality, "backbone").load(model), encoder, source.read(clean.rows[0].input, stage.root))
    stage.readings["environment"] = found = environment.readings(stage.root)
    stage.say(
        f"Environment as locked, {found['free_disk_gb']} GB of disk and {found['free_memory_gb']} of memory free."
    )

    folder = stage.out(str(FOLDER / prepared.ROWS)).parent
    prepared.save(folder, clean.rows, encoded.encode(encoder, examples), clean.labels)
    data = params.data
    sources = {"data.path": data.path, "data.test": data.test, "data.feedback": data.feedback}
    record = card.record(clean, {name: sha256_source(stage.root / path) for name, path in sources.items() if path})
    record["threads"], record["licence"] = params.resources.threads, licence(candidate, model)
    assert record["crossing_splits"] == 0, "a content stands in two splits"
    write_json(stage.out("data/preparation/card.json"), record)
    write_text(stage.out("data/preparation/card.md"), card.markdown(record))
    write_quarantine(stage.out("data/preparation/quarantine.csv"), clean.quarantined)
    _snapshot(model, stage.out(str(FOLDER / MODEL)))
    stage.say(f"{len(clean.rows)} rows encoded, {len(clean.quarantined)} quarantined.")


def _warm_pass(backbone: Backbone, encoder: Encoder, example: Example) -> None:
    with torch.inference_mode():
        values = backbone.pooled(tensors(encoder, encoder.encode([example])))
    if not bool(torch.isfinite(values).all()):
        raise InputError("The model answers with numbers that are not finite: its weights are damaged; restore them.")


def _snapshot(model: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in snapshot_files(model):
        shutil.copyfile(file, folder / file.name)


if __name__ == "__main__":
    run("preparation", main)
