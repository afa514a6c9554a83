"""The verdict: the adapted model minus the best control without transfer, paired, at 95 %."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from tasks import metrics
from tasks.metrics import Estimate, Judged, Resamples

Verdict = Literal["paid_off", "undecided", "did_not_pay_off"]
CONTROLS = ("from_scratch", "classical", "majority")
WORDS: dict[Verdict, str] = {
    "paid_off": "The transfer paid off",
    "undecided": "Undecided",
    "did_not_pay_off": "The transfer did not pay off",
}


def decide(difference: Estimate) -> Verdict:
    """Paid off when the whole interval lies above 0, did not when it lies below, else undecided."""
    if difference.low > 0:
        return "paid_off"
    return "did_not_pay_off" if difference.high < 0 else "undecided"


def compare(judged: dict[str, Judged], metric: str, labels: list[str], drawn: Resamples) -> dict[str, Any]:
    """The receipt as a record.

    Args:
        judged: model -> its answers to the same test rows; has "adapted" and all of `CONTROLS`. What others have
            learned before, as the probe and zero-shot have, is compared and no control.
        metric: the score that the verdict is about.
        labels: K labels.
        drawn: B draws of N >= 1 rows.

    Returns:
        verdict, sentence, scores with intervals, paired differences, F1 per label (None for one without test rows).
    """
    scores = {name: metrics.estimates(answers, drawn) for name, answers in judged.items()}
    best = max(CONTROLS, key=lambda name: (scores[name][metric].value, name))
    differences = {
        name: metrics.paired_difference(metric, judged["adapted"], judged[name], drawn)
        for name in judged
        if name != "adapted"
    }
    verdict = decide(differences[best])
    per_label = metrics.f1_per_label(judged["adapted"])
    return {
        "verdict": verdict,
        "sentence": sentence(verdict, metric, best, differences[best], scores["adapted"][metric], scores[best][metric]),
        "metric": metric,
        "best_control": best,
        "test_rows": len(judged["adapted"].classes),
        "scores": {"zero_shot": None}
        | {name: {m: e.record() for m, e in found.items()} for name, found in scores.items()},
        "differences": {name: difference.record() for name, difference in differences.items()},
        "f1_per_label": {
            label: None if f1 is None else round(f1, 6) for label, f1 in zip(labels, per_label, strict=True)
        },
    }


def unlabelled(metric: str, labels: list[str], models: Sequence[str], rows: int) -> dict[str, Any]:
    """The receipt where no row has a label, in the form of `compare`: undecided, and every score null.

    Args:
        metric: the score that a verdict would be about.
        labels: K labels.
        models: their names.
        rows: test rows.
    """
    return {
        "verdict": "undecided",
        "sentence": f"{WORDS['undecided']}: no labelled rows, so nothing was measured. The model answers with that of "
        f"{len(labels)} labels whose words it finds nearest, and nobody knows how often it is right.",
        "metric": metric,
        "best_control": None,
        "test_rows": rows,
        "scores": dict.fromkeys(models),
        "differences": {},
        "f1_per_label": dict.fromkeys(labels),
    }


def sentence(
    verdict: Verdict, metric: str, control: str, difference: Estimate, adapted: Estimate, other: Estimate
) -> str:
    """The verdict in words, with the figures it rests on, in percent."""
    return (
        f"{WORDS[verdict]}: {metric} {100 * adapted.value:.1f} % adapted against {100 * other.value:.1f} % for the "
        f"best control without transfer ({control.replace('_', ' ')}), a difference of {100 * difference.value:+.1f} "
        f"points (95 % interval {100 * difference.low:+.1f} to {100 * difference.high:+.1f}, paired)."
    )


def passes(verdict: Verdict, gate: Literal["better", "not_worse", "off"]) -> bool:
    """Whether a verdict satisfies `receipt.gate`."""
    return gate == "off" or verdict == "paid_off" or (gate == "not_worse" and verdict == "undecided")
