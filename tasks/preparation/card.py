"""The data card: what went in, what was left out and why, what came out."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tasks.rows.clean import Clean
from tasks.rows.row import kind
from tasks.rows.split import SPLITS
from tasks.words import cell


def record(clean: Clean, source: dict[str, str]) -> dict[str, Any]:
    """Data card as a record.

    Args:
        clean: rows after validation.
        source: data.path, data.test, data.feedback -> sha256 of the file or folder that each names.
    """
    per_split = {split: clean.of(split).per_label() for split in SPLITS}
    per_label = {label: {split: per_split[split][label] for split in SPLITS} for label in clean.labels}
    return {
        "source": source,
        "rows": {split: len(clean.of(split)) for split in SPLITS},
        "rows_per_label": per_label if clean.labelled else None,
        "left_out_by_where": clean.left_out,
        "quarantined": dict(sorted(Counter(kind(fault.reason) for fault in clean.quarantined).items())),
        "crossing_splits": clean.rows.in_two_splits(),
        "near_duplicates_within": clean.near,
    }


def markdown(card: dict[str, Any]) -> str:
    """The card for people."""
    lines = ["# Data card", "", "| split | rows |", "|---|---|"]
    lines += [f"| {split} | {count} |" for split, count in card["rows"].items()]
    lines += ["", f"Rows not kept by `data.where`: {card['left_out_by_where']}."]
    lines += [f"Contents that stand in two splits: {card['crossing_splits']}."]
    near = ", ".join(f"{count} in {split}" for split, count in card["near_duplicates_within"].items())
    lines += [f"Near duplicates of another row of their own split, which stay: {near}.", "", "## Quarantined", ""]
    lines += [f"- {count}: {reason}" for reason, count in card["quarantined"].items()] or ["Nothing."]
    if card["rows_per_label"] is None:
        return "\n".join([*lines, "", "No row has a label."]) + "\n"
    lines += ["", "## Rows per label", "", "| label | train | validation | test |", "|---|---|---|---|"]
    for label, counts in card["rows_per_label"].items():
        lines.append(f"| {cell(label)} | {counts['train']} | {counts['validation']} | {counts['test']} |")
    return "\n".join(lines) + "\n"
