"""The artefact chain: every form of the model scored on the same rows, and what breaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks import metrics
from tasks.known_answer import KnownAnswer
from tasks.metrics import Resamples
from tasks.params import Deployment
from tasks.problems.classification.answer import probabilities

# These compute as the checkpoint does, but for rounding.
MAKES_THE_SAME_ANSWERS = ("reloaded", "onnx")
# So does this one, but the graph as exported can ship in its place.
CAN_BE_LEFT_OUT = ("optimised",)


@dataclass(frozen=True)
class Artefact:
    """One form of the model.

    Attributes:
        logits: (N, K) on the test rows.
        bytes: size on disk; None for a form without a file of its own.
    """

    logits: np.ndarray
    bytes: int | None


def score(
    artefact: Artefact, checkpoint: Artefact, classes: np.ndarray | None, metric: str, drawn: Resamples
) -> dict[str, Any]:
    """Record of one artefact, compared with the checkpoint on the same rows.

    Args:
        artefact: any form of the model.
        checkpoint: the form that was trained.
        classes: (N,) class numbers; None where no row has a label, and score and loss are None too.
        metric: a row of `metrics.METRICS`.
        drawn: B draws of N rows.
    """
    measured: dict[str, Any] = {metric: None, "loss": None}
    if classes is not None:
        reference = metrics.judge(classes, probabilities(checkpoint.logits))
        judged = metrics.judge(classes, probabilities(artefact.logits))
        loss = metrics.paired_difference(metric, reference, judged, drawn)
        measured = {metric: round(metrics.METRICS[metric](judged), 6), "loss": loss.record()}
    return measured | {
        "max_logit_difference": float(f"{np.abs(artefact.logits - checkpoint.logits).max():.3g}"),
        "changed_answers": int((artefact.logits.argmax(axis=1) != checkpoint.logits.argmax(axis=1)).sum()),
        "bytes": artefact.bytes,
    }


def tolerance(largest: float, settings: Deployment) -> float:
    """Of a logit, where the largest has this absolute value."""
    return settings.max_logit_difference * max(1.0, largest)


def known_answer(
    example: str, logits: np.ndarray, name: str, record: dict[str, Any], largest: float, settings: Deployment
) -> KnownAnswer:
    """What a form answers to a fixed example, and how near another machine has to come.

    Args:
        example: as a client would send it.
        logits: (K,) of the form.
        name: of the form.
        record: what `score` made of it.
        largest, settings: as of `breaks`.
    """
    exact = name in (*MAKES_THE_SAME_ANSWERS, *CAN_BE_LEFT_OUT)
    rounding = tolerance(max(largest, float(np.abs(logits).max())), settings)
    within = rounding if exact else max(rounding, record["max_logit_difference"])
    return KnownAnswer(example, [round(float(logit), 6) for logit in logits], exact, within)


def breaks(records: dict[str, Any], largest: float, settings: Deployment) -> list[str]:
    """A sentence for every link that does not answer as the checkpoint does.

    Args:
        records: name of an artefact -> what `score` made of it.
        largest: absolute value of the checkpoint's largest logit, with which float32 rounding grows.
        settings: the tolerance.
    """
    off = _off(records, MAKES_THE_SAME_ANSWERS, largest, settings)
    return [f"{name} {how}." for name, how in off.items()]


def left_out(records: dict[str, Any], largest: float, settings: Deployment) -> dict[str, str]:
    """Form that should answer as the checkpoint does and does not -> why it cannot ship; arguments as of `breaks`."""
    return {name: f"it {how}" for name, how in _off(records, CAN_BE_LEFT_OUT, largest, settings).items()}


def _off(records: dict[str, Any], names: tuple[str, ...], largest: float, settings: Deployment) -> dict[str, str]:
    limit = tolerance(largest, settings)
    return {
        name: f"differs from the checkpoint by {records[name]['max_logit_difference']:.3g} in a logit, over "
        f"{limit:.3g}, which is deployment.max_logit_difference {settings.max_logit_difference:g} of the largest"
        for name in names
        if name in records and records[name]["max_logit_difference"] > limit
    }


def served_breaks(served: np.ndarray, graph: np.ndarray) -> list[str]:
    """Logits (N, K) of the bundle, asked with raw examples, must be its graph's of the prepared rows, to the bit."""
    if np.array_equal(served, graph):
        return []
    return ["The bundle answers raw examples otherwise than prepared rows: its encoder is not the one that made them."]
