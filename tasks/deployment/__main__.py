"""Edge of the deployment phase: reloads the checkpoint, exports, scores every artefact, writes the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tasks import drift, export, metrics, modalities, predictions, prepared
from tasks import network as networks
from tasks.artifacts import read_json, sha256_file, sha256_folder, write_json
from tasks.deployment import bundle, chain, quantise
from tasks.deployment.chain import Artefact
from tasks.modalities.contract import Encoder
from tasks.prepared import Prepared
from tasks.problems.classification.answer import probabilities
from tasks.runtime import Runtime
from tasks.stage import Stage, run

CHECKPOINT = Path("data/adaptation/model")


def main(stage: Stage) -> None:
    """A fresh process reloads the checkpoint; every artefact answers the rows that the training never saw."""
    params = stage.params
    test = prepared.load(stage.root).of("test")
    network = networks.load(stage.root / CHECKPOINT)
    encoder = modalities.part(params.project.modality, "encode").from_model(
        stage.root / prepared.FOLDER / prepared.MODEL, params.examples
    )
    graphs = _graphs(stage, network, encoder, test)
    artefacts = _reloaded(stage, network, encoder, test)
    pooled = {}
    for name, graph in graphs.items():
        stage.say(f"Scoring {name} on {len(test)} test rows.")
        candidate = graph.with_name(name)
        bundle.write(candidate, graph, encoder, _description(stage, test.labels, name))
        logits, pooled[name] = Runtime.load(candidate, params.resources.threads).run(test.encoded)
        artefacts[name] = Artefact(logits, graph.stat().st_size)

    drawn = metrics.Resamples(len(test), params.receipt.resamples, params.project.seed)

    def scored(artefact: Artefact) -> dict[str, Any]:
        return chain.score(artefact, artefacts["checkpoint"], test.classes, params.receipt.metric, drawn)

    records = {name: scored(artefact) for name, artefact in artefacts.items()}
    name, reason = chain.shipped(records, params.deployment, params.receipt.metric)
    stage.say(reason)
    reference = _reference(stage, pooled[name], artefacts[name])
    folder = stage.out("data/deployment/bundle")
    description = _description(stage, test.labels, name)
    bundle.write(folder, graphs[name], encoder, description, reference, _card(stage, reason), test.ids)

    source = modalities.part(params.project.modality, "source")
    raw = (source.read(cell, stage.root) for cell in test.inputs)
    served = Runtime.load(folder, params.resources.threads).predict(raw).logits
    records["served"] = scored(Artefact(served, None))
    largest = float(np.abs(artefacts["checkpoint"].logits).max())
    found = chain.breaks(records, largest, params.deployment) + chain.served_breaks(served, artefacts[name].logits)
    write_json(
        stage.out("data/deployment/chain.json"),
        {"artefacts": records, "shipped": name, "reason": reason, "breaks": found},
    )


def _graphs(stage: Stage, network: networks.Network, encoder: Encoder, test: Prepared) -> dict[str, Path]:
    stage.say("Exporting to ONNX.")
    folder = stage.staging / "graphs"
    folder.mkdir(parents=True)
    made = {"onnx": folder / "float32.onnx"}
    export.export(network, encoder, export.sample(test.encoded), made["onnx"], stage.params.deployment.opset)
    if stage.params.deployment.int8.enabled:
        made["int8"] = folder / "int8.onnx"
        quantise.quantise(made["onnx"], made["int8"])
    return made


def _reloaded(stage: Stage, network: networks.Network, encoder: Encoder, test: Prepared) -> dict[str, Artefact]:
    trained = predictions.load(stage.root / "data/adaptation/predictions.arrow", test.ids)
    size = sum(path.stat().st_size for path in (stage.root / CHECKPOINT).glob("*.safetensors"))
    return {
        "checkpoint": Artefact(trained.logits, size),
        "reloaded": Artefact(networks.logits(network, encoder, test.encoded), size),
    }


def _reference(stage: Stage, pooled: np.ndarray, artefact: Artefact) -> drift.Reference:
    settings, seed = stage.params.monitoring, stage.params.project.seed
    answers = probabilities(artefact.logits)
    found = drift.fit(pooled, answers, settings.window_rows, settings.false_alarm_rate, seed)
    if not np.isfinite(found.limits).all():
        stage.say(f"Drift cannot be watched: that needs {drift.FEWEST_ROWS} test rows, and there are {len(pooled)}.")
    return found


def _card(stage: Stage, reason: str) -> str:
    checkpoint = read_json(stage.root / CHECKPOINT / "graft.json")
    return bundle.card(
        {
            "project": stage.params.project.name,
            "choice": read_json(stage.root / "data/selection/choice.json"),
            "receipt": read_json(stage.root / "data/adaptation/receipt.json"),
            "data": read_json(stage.root / "data/preparation/card.json"),
            "scope": read_json(stage.root / "data/adaptation/adaptation.json")["scope"],
            "depth": checkpoint["depth"],
            "pool": checkpoint["pool"],
            "reason": reason,
        }
    )


def _description(stage: Stage, labels: list[str], artefact: str) -> dict[str, Any]:
    project = stage.params.project
    return {
        "project": project.name,
        "modality": project.modality,
        "problem": project.problem,
        "labels": labels,
        "artefact": artefact,
        "made_from": {
            "checkpoint": sha256_folder(stage.root / CHECKPOINT),
            "rows": sha256_file(stage.root / prepared.FOLDER / prepared.ROWS),
            "receipt": sha256_file(stage.root / "data/adaptation/receipt.json"),
        },
    }


if __name__ == "__main__":
    run("deployment", main)
