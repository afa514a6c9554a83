"""Which form of the model ships: the fastest of those that lose little enough; float32 is always the way back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tasks.deployment.forms import FLOAT32
from tasks.params import Deployment

# A form must be so many times as fast as float32: readings of one graph differed by a third while the machine had other
# work, and a choice that flips with them cannot be made again from a clone.
FASTER = 1.5


def alone(name: str) -> str:
    """Of what a form answers to each row by itself, where that is otherwise than in a batch."""
    return f"{name}_alone"


def inside_budget(records: dict[str, Any], forms: Iterable[str], settings: Deployment) -> list[str]:
    """Forms whose loss has the upper bound of its 95 % interval inside the budget; none where no loss was measured.

    A form that answers otherwise in a batch than alone must be inside in both ways, for a server is asked in both.

    Args:
        records: name -> what `chain.score` made of it.
        forms: that compete with float32.
        settings: the budget.
    """
    return [name for name in forms if records[name]["loss"] and _high(records, name) <= settings.max_loss]


def choose(
    records: dict[str, Any],
    milliseconds: dict[str, float],
    left_out: dict[str, str],
    settings: Deployment,
    metric: str,
) -> tuple[str, str]:
    """The form that ships, and why; the sentence holds no time, which is no result.

    Args:
        records: name -> what `chain.score` made of it, for every form that could be made.
        milliseconds: of a row in a batch, of float32 and of each form inside the budget.
        left_out: form -> why it cannot ship whatever it scores.
        settings: the budget.
        metric: that the loss is of.
    """
    forms = [name for name in records if name in settings.forms]
    fastest = min(milliseconds, key=lambda name: (milliseconds[name], name))
    if milliseconds[FLOAT32] < FASTER * milliseconds[fastest]:
        fastest = FLOAT32
    out = [f"{name} is out, {reason}" for name, reason in left_out.items()]
    for name in forms:
        if name == fastest or name in left_out:
            continue
        if records[name]["loss"] is None:
            changed = records[name]["changed_answers"]
            out.append(f"{name} is out, without labelled rows its loss cannot be measured ({changed} answers change)")
        elif name not in milliseconds:
            budget = f"over the budget of {100 * settings.max_loss:.2f}"
            out.append(f"{name} is out, {_bound(records, name, metric)}, {budget}")
        elif fastest == FLOAT32:
            out.append(f"{name} is not {FASTER} times as fast")
        else:
            out.append(f"{name} is slower")
    if fastest != FLOAT32:
        inside = f"inside the budget of {100 * settings.max_loss:.2f}"
        out.insert(0, f"the fastest here, {_bound(records, fastest, metric)}, {inside}")
    told = "onnx (float32)" if fastest == FLOAT32 else fastest
    return fastest, f"{told} ships: {'; '.join(out) or 'deployment.forms names no other'}."


def _bound(records: dict[str, Any], name: str, metric: str) -> str:
    return f"the upper 95 % bound of its loss in {metric} is {100 * _high(records, name):.2f} points"


def _high(records: dict[str, Any], name: str) -> float:
    highs: list[float] = [records[way]["loss"]["high"] for way in (name, alone(name)) if way in records]
    return max(highs)
