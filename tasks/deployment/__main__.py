"""Edge of the deployment phase: reloads the checkpoint, makes and scores every form, writes the bundle."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from tasks import drift, export, known_answer, metrics, modalities, predictions, prepared, zero_shot
from tasks import network as networks
from tasks.artifacts import read_json, sha256_file, sha256_folder, write_json
from tasks.deployment import bundle, chain, forms, shipping, speed
from tasks.deployment.chain import Artefact
from tasks.errors import CrashError
from tasks.modalities.contract import Encoder
from tasks.prepared import Prepared
from tasks.problems.classification.answer import probabilities
from tasks.runtime import Runtime
from tasks.stage import Stage, run

CHECKPOINT = Path("data/adaptation/model")
BATCH_ROWS = 16  # of what static quantisation reads


def main(stage: Stage) -> None:
    """A fresh process reloads the checkpoint; every form answers the rows that the training never saw."""
    params = stage.params
    rows = prepared.load(stage.root)
    test, learned = rows.of("test"), rows.of("train", "validation")
    network = networks.load(stage.root / CHECKPOINT)
    encoder = modalities.part(params.project.modality, "encode").from_model(
        stage.root / prepared.FOLDER / prepared.MODEL, params.examples
    )
    graphs, left_out = _graphs(stage, network, encoder, rows)
    artefacts = _reloaded(stage, network, encoder, test)
    description = _description(stage, test.labels)
    pooled, known = {}, {}
    for name, graph in list(graphs.items()):
        stage.say(f"Scoring {name} on {len(test)} test rows.")
        try:
            answered, pooled[name], known[name] = _answered(stage, name, graph, encoder, test, description)
            artefacts |= answered
        except Exception as error:  # ONNX Runtime's errors share no other base
            if name == forms.FLOAT32:
                raise
            left_out[name] = f"it cannot be run ({type(error).__name__})"
            del graphs[name]
    drawn = metrics.Resamples(len(test), params.receipt.resamples, params.project.seed)
    classes = test.classes if test.labelled else None

    def scored(artefact: Artefact) -> dict[str, Any]:
        return chain.score(artefact, artefacts["checkpoint"], classes, params.receipt.metric, drawn)

    records = {name: scored(artefact) for name, artefact in artefacts.items()}
    largest = float(np.abs(artefacts["checkpoint"].logits).max())
    typical = encoder.collate([sorted(test.encoded, key=encoder.positions)[len(test) // 2]])
    name, reason = _chosen(stage, records, graphs, left_out, largest, typical)
    stage.say(reason)
    description |= {"artefact": name}
    calibrated = _calibration(artefacts[name].logits, classes, description["temperature"])
    reference = _reference(stage, pooled[name], artefacts[name].logits / description["temperature"])
    folder = stage.out("data/deployment/bundle")
    card = _card(stage, reason, calibrated)
    seen = learned.ids if learned.labelled else []
    example = known_answer.example_of(params.project.modality)
    expected = chain.known_answer(example, known[name], name, records[name], largest, params.deployment)
    bundle.write(folder, graphs[name], encoder, description, reference, card, test.ids, seen, expected)

    source = modalities.part(params.project.modality, "source")
    raw = (source.read(cell, stage.root) for cell in test.inputs)
    served = Runtime.opened(folder, params.resources.threads).predict(raw).logits
    records["served"] = scored(Artefact(served, None))
    found = chain.breaks(records, largest, params.deployment) + chain.served_breaks(served, artefacts[name].logits)
    write_json(
        stage.out("data/deployment/chain.json"),
        {"artefacts": records, "shipped": name, "reason": reason, "calibration": calibrated, "breaks": found},
    )


def _graphs(
    stage: Stage, network: networks.Network, encoder: Encoder, rows: Prepared
) -> tuple[dict[str, Path], dict[str, str]]:
    """Form -> its graph, float32 first; and why those that are missing could not be made."""
    stage.say("Exporting to ONNX.")
    folder, settings = stage.staging / "graphs", stage.params.deployment
    folder.mkdir(parents=True)
    graphs = {forms.FLOAT32: folder / f"{forms.FLOAT32}.onnx"}
    left_out: dict[str, str] = {}
    export.export(network, encoder, export.sample(rows.of("test").encoded), graphs[forms.FLOAT32], settings.opset)
    learned = rows.of("train").encoded[: settings.calibration_rows]
    batches = [encoder.collate(learned[i : i + BATCH_ROWS]) for i in range(0, len(learned), BATCH_ROWS)]
    for name in dict.fromkeys(settings.forms):
        stage.say(f"Making {name}.")
        try:
            graphs[name] = forms.make(name, folder, batches)
        except Exception as error:  # each library's own; what it cannot make does not ship
            left_out[name] = f"it cannot be made of this model ({type(error).__name__})"
    return graphs, left_out


def _answered(
    stage: Stage, name: str, graph: Path, encoder: Encoder, test: Prepared, description: dict[str, Any]
) -> tuple[dict[str, Artefact], np.ndarray, np.ndarray]:
    """A form's answers as it would serve, its pooled features (N, F), and its logits (K,) of the fixed example.

    One whose answers depend on what shares the batch answers twice: in batches, and each row alone.
    """
    candidate = stage.staging / "candidates" / name
    bundle.write(candidate, graph, encoder, description | {"artefact": name})
    runtime = Runtime.opened(candidate, stage.params.resources.threads)
    logits, pooled = runtime.run(test.encoded)
    found = {name: Artefact(logits, graph.stat().st_size)}
    if name in forms.BY_BATCH:
        found[shipping.alone(name)] = Artefact(runtime.run(test.encoded, batch_rows=1)[0], None)
    known = runtime.asked(known_answer.example_of(stage.params.project.modality))[0][0]
    shutil.rmtree(candidate)
    if not all(np.isfinite(numbers).all() for numbers in (*(one.logits for one in found.values()), pooled, known)):
        raise CrashError(f"The form {name} answers with numbers that are not finite.")
    return found, pooled, known


def _chosen(
    stage: Stage,
    records: dict[str, Any],
    graphs: dict[str, Path],
    left_out: dict[str, str],
    largest: float,
    typical: dict[str, np.ndarray],
) -> tuple[str, str]:
    """The form that ships, and why; what computes in float32 and is off, as of `chain.left_out`, competes no more."""
    settings = stage.params.deployment
    left_out = left_out | chain.left_out(records, largest, settings)
    competing = [name for name in graphs if name != forms.FLOAT32 and name not in left_out]
    inside = shipping.inside_budget(records, competing, settings)
    milliseconds = speed.of_forms(stage, {name: graphs[name] for name in (forms.FLOAT32, *inside)}, typical)
    return shipping.choose(records, milliseconds, left_out, settings, stage.params.receipt.metric)


def _calibration(logits: np.ndarray, classes: np.ndarray | None, temperature: float) -> dict[str, Any] | None:
    """What the temperature is worth on the test rows; None where these have no labels."""
    if classes is None:
        return None
    found: dict[str, Any] = {"temperature": temperature}
    for when, by in (("before", 1.0), ("after", temperature)):
        judged = metrics.judge(classes, probabilities(logits / by))
        scores = {"log_loss": metrics.log_loss, "calibration_error": metrics.calibration_error}
        found[when] = {name: round(function(judged), 6) for name, function in scores.items()}
    return found


def _reloaded(stage: Stage, network: networks.Network, encoder: Encoder, test: Prepared) -> dict[str, Artefact]:
    trained = predictions.load(stage.root / "data/adaptation/predictions.arrow", test.ids)
    size = sum(path.stat().st_size for path in (stage.root / CHECKPOINT).glob("*.safetensors"))
    return {
        "checkpoint": Artefact(trained.logits, size),
        "reloaded": Artefact(networks.logits(network, encoder, test.encoded), size),
    }


def _reference(stage: Stage, pooled: np.ndarray, logits: np.ndarray) -> drift.Reference:
    settings, seed = stage.params.monitoring, stage.params.project.seed
    found = drift.fit(pooled, probabilities(logits), settings.window_rows, settings.false_alarm_rate, seed)
    if not np.isfinite(found.limits).all():
        stage.say(f"Drift cannot be watched: that needs {drift.FEWEST_ROWS} test rows, and there are {len(pooled)}.")
    return found


def _card(stage: Stage, reason: str, calibrated: dict[str, Any] | None) -> str:
    checkpoint = read_json(stage.root / CHECKPOINT / "graft.json")
    adaptation = read_json(stage.root / "data/adaptation/adaptation.json")
    return bundle.card(
        {
            "project": stage.params.project.name,
            "choice": read_json(stage.root / "data/selection/choice.json"),
            "receipt": read_json(stage.root / "data/adaptation/receipt.json"),
            "data": read_json(stage.root / "data/preparation/card.json"),
            "scope": adaptation["scope"],
            "objective": adaptation["objective"],
            "words": adaptation.get("words"),
            "depth": checkpoint["depth"],
            "pool": checkpoint["pool"],
            "reason": reason,
            "calibration": calibrated,
        }
    )


def _description(stage: Stage, labels: list[str]) -> dict[str, Any]:
    """Of every form, but for its name."""
    project = stage.params.project
    return {
        "project": project.name,
        "modality": project.modality,
        "problem": project.problem,
        "labels": labels,
        "temperature": read_json(stage.root / "data/adaptation/adaptation.json")["temperature"],
        "licence": read_json(stage.root / "data/preparation/card.json")["licence"],
        "made_from": _base(stage)
        | {
            "checkpoint": sha256_folder(stage.root / CHECKPOINT),
            "rows": sha256_file(stage.root / prepared.FOLDER / prepared.ROWS),
            "receipt": sha256_file(stage.root / "data/adaptation/receipt.json"),
        },
    }


def _base(stage: Stage) -> dict[str, Any]:
    """The cut that `graft retrain` holds to; where nothing was measured there is none."""
    if read_json(stage.root / "data/adaptation/adaptation.json")["scope"] == zero_shot.SCOPE:
        return {}
    chosen = read_json(stage.root / "data/selection/choice.json")
    checkpoint = read_json(stage.root / CHECKPOINT / "graft.json")
    return {name: chosen[name] for name in ("source", "revision")} | {
        name: checkpoint[name] for name in ("depth", "pool")
    }


if __name__ == "__main__":
    run("deployment", main)
