"""The folder that ships: graph, encoder, labels, drift reference, model card, and a manifest of them all."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks import calibration
from tasks.artifacts import sha256_folder, write_json, write_text
from tasks.drift import Reference
from tasks.graph import schema, session_options
from tasks.known_answer import KnownAnswer
from tasks.manifest import FORMAT, JUDGED, LEARNED, MANIFEST
from tasks.modalities.contract import Encoder
from tasks.rows.split import keys_of
from tasks.words import cell


def write(
    folder: Path,
    graph: Path,
    encoder: Encoder,
    description: dict[str, Any],
    reference: Reference | None = None,
    card: str | None = None,
    judged: Sequence[str] = (),
    learned: Sequence[str] = (),
    known: KnownAnswer | None = None,
) -> None:
    """Fill `folder`; without reference and card it is a candidate, complete enough to be scored as it would serve.

    Args:
        folder: empty or absent.
        graph: the ONNX file that ships.
        encoder: saved beside it.
        description: project, modality, problem, labels, artefact, temperature, licence, made_from.
        reference: for drift.
        card: markdown.
        judged: ids of the rows that the model was judged on: what a later one is compared on too.
        learned: ids of the rows that it learned from: what a later one is never compared on.
        known: what it must answer to a fixed example wherever it is loaded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(graph, folder / "model.onnx")
    encoder.save(folder / "encoder")
    if reference is not None:
        reference.save(folder / "drift.npz")
    if card is not None:
        write_text(folder / "card.md", card)
    if judged:
        write_json(folder / JUDGED, sorted({*judged}))
    if learned:
        np.save(folder / LEARNED, np.sort(keys_of(learned)[:, 0]))
    if known is not None:
        known.save(folder)
    written = {"format": FORMAT, "model": "model.onnx", "files": sha256_folder(folder)} | _schemas(graph)
    write_json(folder / MANIFEST, written | description)


def _schemas(graph: Path) -> dict[str, Any]:
    import onnxruntime as ort

    options = session_options(1)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # it only has to be read
    session = ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    return {"inputs": schema(session.get_inputs()), "outputs": schema(session.get_outputs())}


NOT_JUDGED = "Never judged: nobody knows how often it is right, on rows like these or on others."


def card(record: dict[str, Any]) -> str:
    """Model card (Mitchell et al. 2019) from records.

    Args:
        record: project, choice, receipt, data, scope, objective, depth, pool, reason; calibration, None if nothing was
            measured; and words, label -> what answers for it, if nothing was learned.
    """
    receipt, data = record["receipt"], record["data"]
    lines = [f"# {record['project']}", "", receipt["sentence"], "", "## Model", ""]
    lines += [f"- Base: {record['choice']['source']}, revision {record['choice']['revision']}"]
    lines += [f"- Licence of the base: {data['licence'] or 'none named'}"]
    lines += [f"- Scope {record['scope']}, objective {record['objective']}"]
    lines += [f"- Depth {record['depth']}, pool {record['pool']}", f"- {record['reason']}"]
    lines += ["", "## Test scores (95 % interval)", "", *_scores(receipt["scores"]["adapted"])]
    if record["calibration"]:
        lines += ["", calibration.in_words(record["calibration"])]
    lines += ["", "## Data", "", f"- Rows: {', '.join(f'{n} {split}' for split, n in data['rows'].items())}"]
    lines += [f"- Quarantined: {sum(data['quarantined'].values())}", f"- Source: {_sources(data)}"]
    lines += ["", "## Labels", "", *_labels(record)]
    limits = "Judged on rows like its training data only; watch drift before trusting others."
    lines += ["", "## Limits", "", f"- {limits if receipt['scores']['adapted'] else NOT_JUDGED}"]
    return "\n".join(lines) + "\n"


def _scores(scores: dict[str, Any] | None) -> list[str]:
    if scores is None:
        return ["None: no row has a label."]
    return [f"- {name}: {e['value']:.4f} ({e['low']:.4f} to {e['high']:.4f})" for name, e in scores.items()]


def _labels(record: dict[str, Any]) -> list[str]:
    """With their scores or, where nothing was measured, with the words that stand for them."""
    title, cells = "answered by these words", record["words"]
    if not cells:
        f1_per_label = record["receipt"]["f1_per_label"].items()
        title, cells = "F1 on test", {k: "no test rows" if f1 is None else f"{f1:.3f}" for k, f1 in f1_per_label}
    return [f"| label | {title} |", "|---|---|", *(f"| {cell(k)} | {cell(v)} |" for k, v in cells.items())]


def _sources(data: dict[str, Any]) -> str:
    return ", ".join(f"{name} sha256 {digest[:12]}" for name, digest in sorted(data["source"].items()))
