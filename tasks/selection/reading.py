"""Edge: readings of a candidate: its time and memory in ONNX Runtime on this machine, what its hub says of it."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

from tasks import export, hub, modalities, problems, readings, stopwatch, weights
from tasks.modalities.contract import Arrays, Encoder
from tasks.network import Network
from tasks.params import Candidate
from tasks.stage import Stage

# Of the graph that is measured, which does not ship.
OPSET = 20
ADVICE = "take it out of selection.candidates, or set selection.limits.max_milliseconds to null"


def of_depth(
    stage: Stage, candidate: Candidate, folder: Path, depth: int, pool: str, encoder: Encoder, encoded: list[Arrays]
) -> dict[str, Any]:
    """Milliseconds per row and memory peak of a typical example, as `stopwatch.read` gives them.

    Args:
        stage: names threads, modality and problem, and keeps the readings.
        candidate: which weights.
        folder: where they are.
        depth: blocks that are kept.
        pool: a pool that the model has.
        encoder: makes a batch.
        encoded: at least two examples of the data; the one of median length is measured.
    """
    typical = encoder.collate([sorted(encoded, key=encoder.positions)[len(encoded) // 2]])
    of = {
        "what": "milliseconds",
        "weights": candidate.revision,
        "depth": depth,
        "inputs": {name: list(values.shape) for name, values in sorted(typical.items())},
        "threads": stage.params.resources.threads,
        "machine": readings.machine(),
        "onnxruntime": metadata.version("onnxruntime"),
    }

    def take() -> dict[str, Any]:
        stage.say(f"Reading the speed of {candidate.source} at depth {depth} in ONNX Runtime.")
        place = stage.staging / "reading"
        place.mkdir(parents=True, exist_ok=True)
        _export(stage, folder, depth, pool, encoder, encoded, place / "graph.onnx")
        threads = stage.params.resources.threads
        return stopwatch.in_own_process(place / "graph.onnx", typical, threads, "a candidate", ADVICE)

    found = readings.once(stage.state(readings.FOLDER), of, take)
    assert found is not None
    stage.readings.setdefault("speed", {})[f"{candidate.source} depth {depth}"] = found
    return found


def licence(stage: Stage, candidate: Candidate, folder: Path) -> str | None:
    """The candidate's licence by its card or package, else by its hub, which is asked once for all that it knows."""
    named = weights.licence(candidate, folder)
    scheme, name = candidate.source.split(":", 1)
    if scheme != "hub":
        return named
    of = {"what": "hub", "name": name, "revision": candidate.revision}
    facts = readings.once(stage.state(readings.FOLDER), of, lambda: hub.facts(name, candidate.revision))
    if facts is None:
        return named
    stage.readings.setdefault("hub", {})[candidate.source] = facts
    stage.say(
        f"{candidate.source}: {facts['downloads']} downloads in the last month, changed on {facts['last_change']}, "
        f"licence {named or facts['licence']}."
    )
    return named or facts["licence"]


def _export(
    stage: Stage, folder: Path, depth: int, pool: str, encoder: Encoder, encoded: list[Arrays], path: Path
) -> None:
    project = stage.params.project
    backbone = modalities.part(project.modality, "backbone").load(folder, depth, pool)
    head = problems.part(project.problem, "learn").make_head(backbone.width, 2)
    export.export(Network(backbone, head).eval(), encoder, export.sample(encoded), path, OPSET)
