"""Every form of the model, from the checkpoint to the answer over HTTP, in one table for a terminal or a log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

NOTE = "Loss: points of {metric} that the checkpoint scores more, with the 95 % interval, on the same {rows} test rows."
# From the checkpoint to the answer over HTTP; what stands between `onnx` and `served` are forms of the graph.
FIRST, LAST = ("checkpoint", "reloaded", "onnx"), ("served", "http")
SPEED = "Speed on this machine, milliseconds: a row alone (median, 99th percentile), a row in a batch of 32."


def table(record: dict[str, Any]) -> list[str]:
    """Lines.

    Args:
        record: metric, test_rows, artefacts, calibration and lineage, as `render.collect` has them.
    """
    metric, rows = record["metric"], record["test_rows"]
    lines = [f"{'artefact':<24}{metric:>10}{'loss':>22}{'largest difference':>20}{'changed':>14}{'MB':>8}"]
    for name in _in_order(record["artefacts"]):
        one = record["artefacts"][name]
        size = "" if one["bytes"] is None else f"{one['bytes'] / 1e6:.1f}"
        changed = f"{one['changed_answers']} ({one['changed_answers'] / rows:.1%})"
        score = "-" if one[metric] is None else f"{one[metric]:.4f}"
        lines.append(f"{name:<24}{score:>10}{_loss(one['loss']):>22}{_largest(one):>20}{changed:>14}{size:>8}")
    lines.append(NOTE.format(metric=metric, rows=rows))
    lines += _speed(((record["lineage"]["runs"]["deployment"] or {}).get("deployment") or {}).get("forms") or {})
    return lines


def _in_order(names: Iterable[str]) -> list[str]:
    place = {name: i - len(FIRST) for i, name in enumerate(FIRST)} | {name: 1 + i for i, name in enumerate(LAST)}
    return sorted(names, key=lambda name: (place.get(name, 0), name))


def _loss(estimate: dict[str, float] | None) -> str:
    if estimate is None:
        return "-"
    value, low, high = (100 * estimate[name] for name in ("value", "low", "high"))
    return f"{value:.2f} [{low:.2f} {high:.2f}]"


def _largest(one: dict[str, Any]) -> str:
    if one["max_logit_difference"] is None:
        return f"{one['max_probability_difference']:.2g} in p"
    return f"{one['max_logit_difference']:.2g} in a logit"


def _speed(readings: dict[str, Any]) -> list[str]:
    if not readings:
        return []
    lines = ["", f"{'form':<24}{'alone':>10}{'p99':>10}{'of 32':>10}{'peak MB':>10}"]
    for name, one in readings.items():
        alone, batch = one["alone"], one["milliseconds_per_row"]["32"]
        lines.append(f"{name:<24}{alone['p50']:>10.3g}{alone['p99']:>10.3g}{batch:>10.3g}{one['peak_megabytes']:>10}")
    return [*lines, SPEED]
