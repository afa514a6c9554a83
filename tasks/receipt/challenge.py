"""A new model against the one that is live, on the same rows, and which of them answers from now on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tasks import metrics, modalities
from tasks.artifacts import read_json
from tasks.errors import InputError
from tasks.manifest import JUDGED, LEARNED
from tasks.metrics import Estimate, Judged, Resamples
from tasks.params import Monitoring, Params
from tasks.receipt import compare
from tasks.rows.clean import Row, load
from tasks.rows.split import keys_of
from tasks.runtime import Runtime

# Rows that the live model was judged on, and those that came since; neither model was trained on any of them.
WORDS = {"all": "all rows", "before": "the rows from before", "later": "the rows that came later"}
Gate = Literal["better", "not_worse", "non_inferior"]
# Of each row's probability this much is spread over all labels: one that a model does not know, or is sure against,
# costs it some nats, and does not outweigh all other rows.
SPREAD = 0.01
MOST_NAMED = 5


def between(root: Path, params: Params, champion: Path, challenger: Path) -> dict[str, Any]:
    """Compare two bundles on the test rows of a project, as `challenge` does.

    Those count that the champion was judged on, and those that came later, by feedback or a new snapshot: all but those
    it learned from, which only another split makes test rows. A champion whose bundle does not say from which it
    learned, as older ones do not, is compared on what it was judged on and on feedback alone.

    Args:
        root: the project's folder.
        params: of the project.
        champion: bundle of the live model.
        challenger: bundle of the new one.

    Raises:
        InputError: what reading the rows or loading a bundle refuses, or no row is left to compare on.
    """
    source = modalities.part(params.project.modality, "source")
    models = [Runtime.load(folder, params.resources.threads) for folder in (champion, challenger)]
    known_rows, rows = _comparable(root, params, champion, models[0].manifest.files)
    if not rows:
        raise InputError(
            "No test row is left that the champion was judged on: `graft promote VERSION` decides by hand."
        )
    labels = [row.label for row in rows if row.label is not None]
    if not labels:
        raise InputError(
            "No row has a label, so nothing says which model is better: hand labelled rows in with `graft feedback`, "
            "or decide by hand with `graft promote VERSION`."
        )
    known = sorted({*labels, *(label for model in models for label in model.manifest.labels)})
    first, second = (
        judged(
            labels,
            model.probabilities_usable(source.read(row.input, root) for row in rows),
            model.manifest.labels,
            known,
        )
        for model in models
    )
    later = np.array([row.id not in known_rows for row in rows])
    settings, seed = params.receipt, params.project.seed
    rule, resamples = params.monitoring, settings.resamples
    found = challenge(first, second, later, settings.metric, rule, lambda count: Resamples(count, resamples, seed))
    strange = _strange(known, [model.manifest.labels for model in models])
    return found | {"sentence": " ".join([found["sentence"], *strange])}


def _strange(known: Sequence[str], own: Sequence[Sequence[str]]) -> list[str]:
    """A sentence for each of the two models that does not know every label."""
    sentences = []
    for name, labels in zip(("champion", "new model"), own, strict=True):
        unknown = [label for label in known if label not in labels]
        if unknown:
            more = f" and {len(unknown) - MOST_NAMED} more" if len(unknown) > MOST_NAMED else ""
            named = f"{', '.join(unknown[:MOST_NAMED])}{more}"
            sentences.append(f"The {name} does not know {named}: its answers to such rows count as wrong.")
    return sentences


def _comparable(root: Path, params: Params, champion: Path, files: Collection[str]) -> tuple[frozenset[str], list[Row]]:
    """Ids of the rows that the champion was judged on, and the test rows that it did not learn from."""
    known = frozenset(read_json(champion / JUDGED)) if JUDGED in files else frozenset()
    test = [*load(root, params).of("test")]
    if LEARNED not in files:
        return known, [row for row in test if row.id in known or row.source == "feedback"]
    learned = np.isin(keys_of(row.id for row in test)[:, 0], np.load(champion / LEARNED))
    return known, [row for row, seen in zip(test, learned, strict=True) if row.id in known or not seen]


def judged(
    labels: Sequence[str], answers: Sequence[np.ndarray | None], own: Sequence[str], known: Sequence[str]
) -> Judged:
    """Answers to N rows, judged over all labels that either model knows, and one more for rows without an answer.

    Args:
        labels: (N,) right labels.
        answers: (N,) probabilities of the model's own labels; None where there was no answer.
        own: the model's labels.
        known: K labels of both models and of the rows.
    """
    place = {label: k for k, label in enumerate(known)}
    columns = [place[label] for label in own]
    shares = np.zeros((len(labels), len(known) + 1))
    for row, answer in zip(shares, answers, strict=True):
        row[-1 if answer is None else columns] = 1.0 if answer is None else answer
    spread = (1 - SPREAD) * shares + SPREAD / (len(known) + 1)
    return metrics.judge(np.array([place[label] for label in labels]), spread)


def challenge(
    champion: Judged,
    challenger: Judged,
    later: np.ndarray,
    metric: str,
    rule: Monitoring,
    resamples: Callable[[int], Resamples],
) -> dict[str, Any]:
    """Compare two models and decide.

    Args:
        champion: the live model's answers to N rows.
        challenger: the new model's, to the same rows in the same order.
        later: (N,) booleans, the rows that came after the champion.
        metric: a row of `metrics.METRICS`.
        rule: what it takes to be promoted, see `decide`.
        resamples: count of rows -> draws of them.

    Returns:
        promote, sentence, and per group its rows, champion, challenger, difference with its interval; None for a group
        without rows.
    """
    masks = dict(zip(WORDS, (np.ones_like(later), ~later, later), strict=True))
    found: dict[str, Any] = {}
    differences: dict[str, Estimate] = {}
    loss_falls: dict[str, float] = {}
    for name, mask in masks.items():
        rows = np.flatnonzero(mask)
        if not len(rows):
            found[name] = None
            continue
        first, second = champion.take(rows), challenger.take(rows)
        differences[name] = metrics.paired_difference(metric, second, first, resamples(len(rows)))
        loss_falls[name] = metrics.log_loss(first) - metrics.log_loss(second)
        score = metrics.METRICS[metric]
        found[name] = {
            "rows": len(rows),
            "champion": round(score(first), 6),
            "challenger": round(score(second), 6),
            "difference": differences[name].record(),
            "log_loss": {
                "champion": round(metrics.log_loss(first), 6),
                "challenger": round(metrics.log_loss(second), 6),
            },
        }
    promote, reason = decide(differences, loss_falls, rule.gate, rule.margin)
    return {"metric": metric, "promote": promote, "sentence": f"{reason} {_figures(metric, found)}", "groups": found}


def decide(
    differences: dict[str, Estimate], loss_falls: dict[str, float], gate: Gate, margin: float
) -> tuple[bool, str]:
    """Whether the challenger takes over, and why.

    It must not be worse at 95 % on the rows from before, and be better on those that came later, or on all where none
    came: at 95 % for the gate `better`; for `not_worse` a lower log loss is enough where 95 % is reached neither way.
    New rows are few, and a proper score tells two models apart with fewer than the count of right ones does (Gneiting
    and Raftery 2007). For `non_inferior` neither counts, but that on both it is not worse by more than the margin, at
    95 % (Piaggio et al. 2012).

    Args:
        differences: group -> the challenger's score minus the champion's.
        loss_falls: group -> the champion's log loss minus the challenger's, in nats.
        gate: see above.
        margin: in units of the score, at least 0.
    """
    decisive = "later" if "later" in differences else "all"
    if gate == "non_inferior":
        apart = [name for name in ("before", "later") if name in differences]
        return _non_inferior(differences, apart if decisive == "later" else [decisive], margin)
    for name in ("before", decisive):
        if name in differences and compare.decide(differences[name]) == "did_not_pay_off":
            return False, f"Kept the champion: the new model is worse on {WORDS[name]}."
    words = f"on {WORDS[decisive]}"
    if compare.decide(differences[decisive]) == "paid_off":
        return True, f"Promoted the new model: it is better {words}, at 95 %."
    if gate == "not_worse" and loss_falls[decisive] > 0:
        return True, f"Promoted the new model: its log loss is lower {words}, and nothing is proven worse."
    wanted = "'s log loss is not lower" if gate == "not_worse" else " is not better at 95 %"
    return False, f"Kept the champion: the new model{wanted} {words}."


def _non_inferior(differences: dict[str, Estimate], groups: Sequence[str], margin: float) -> tuple[bool, str]:
    within = f"within {100 * margin:g} points of the champion, at 95 %"
    for name in groups:
        if differences[name].low < -margin:
            return False, f"Kept the champion: the new model is not proven {within}, on {WORDS[name]}."
    return True, f"Promoted the new model: it is {within}, on {' and '.join(WORDS[name] for name in groups)}."


def _figures(metric: str, found: dict[str, Any]) -> str:
    parts = [
        f"{WORDS[name]} ({one['rows']}): {100 * one['champion']:.1f} % before, {100 * one['challenger']:.1f} % now, "
        f"{100 * one['difference']['value']:+.1f} points [{100 * one['difference']['low']:+.1f}, "
        f"{100 * one['difference']['high']:+.1f}], log loss {one['log_loss']['champion']:.3f} before, "
        f"{one['log_loss']['challenger']:.3f} now"
        for name, one in found.items()
        if one
    ]
    return f"In {metric}, {'; '.join(parts)}."
