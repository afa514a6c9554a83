"""Reference sets ranked by their distance to the training rows, and how to read it: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import hypot
from typing import Any

from tasks.selection.distance import FAR, FEWEST_ROWS, in_words, margin
from tasks.words import listed


def rank(found: Mapping[str, Mapping[str, Any] | None], rows: Mapping[str, int]) -> dict[str, Any]:
    """What `analysis.json` holds of them.

    Args:
        found: name -> what `distance.record` gave of the set as source and the training rows as target; None where one
            of the two has fewer than `FEWEST_ROWS`.
        rows: name -> rows of each of the two that were compared, the smaller number.

    Returns:
        ranked: nearest first by proxy A-distance, then by discrepancy, those without a distance last; reading: a
        sentence.
    """
    unknown = dict.fromkeys(("proxy_a_distance", "discrepancy", "overlap"))
    ranked = [{"name": name, "rows": rows[name], **(one or unknown)} for name, one in found.items()]
    ranked.sort(key=_place)
    return {"ranked": ranked, "reading": _reading(ranked)}


def _place(one: Mapping[str, Any]) -> tuple[bool, float, float, str]:
    if one["discrepancy"] is None:
        return True, 0.0, 0.0, one["name"]
    return False, one["proxy_a_distance"], one["discrepancy"]["value"], one["name"]


def _reading(ranked: Sequence[Mapping[str, Any]]) -> str:
    told = ", ".join(
        f"{one['name']} {one['proxy_a_distance']:.2f}"
        if one["discrepancy"]
        else f"{one['name']} unknown ({one['rows']} rows to compare, {FEWEST_ROWS} are needed)"
        for one in ranked
    )
    said = f"Reference sets by proxy A-distance to the training rows, 2 at most, nearest first: {told}"
    first, *others = (one for one in ranked if one["discrepancy"]) if ranked[0]["discrepancy"] else (None,)
    if first is None:
        return f"{said}."
    near = [one["name"] for one in others if not _apart(first, one)]
    if near:
        said += f"; so few rows do not tell {listed(near)} from {first['name']}"
    advice = f"To learn from one of them, try {first['name']} first"
    far = ", though it is far too" if first["proxy_a_distance"] > FAR else ""
    return f"{said}. {advice}{far}."


def _apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    widths = (margin(each["proxy_a_distance"], each["rows"]) for each in (one, other))
    return bool(abs(one["proxy_a_distance"] - other["proxy_a_distance"]) > hypot(*widths))


def sentences(record: Mapping[str, Any]) -> list[str]:
    """The reading, and each distance in words."""
    measured = [one for one in record["ranked"] if one["discrepancy"]]
    return [record["reading"], *(in_words(one, f"reference set {one['name']}", "training rows") for one in measured)]
