"""The data card: what went in, what was left out and why, what came out."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from typing import Any

from tasks.rows.clean import Clean, Quarantined
from tasks.rows.split import SPLITS

DIGITS = re.compile(r"\d+")
# Where a duplicate's first copy stands, and the name of a rare label.
FILE, LABEL = re.compile(r"(row \d+) of .+$"), re.compile(r"^label .* has ")


def record(clean: Clean, source: dict[str, str]) -> dict[str, Any]:
    """Data card as a record.

    Args:
        clean: rows after validation.
        source: data.path and data.test -> sha256 of the file that each names.
    """
    per_split = {split: Counter(row.label for row in clean.of(split)) for split in SPLITS}
    return {
        "source": source,
        "rows": {split: len(clean.of(split)) for split in SPLITS},
        "rows_per_label": {label: {split: per_split[split][label] for split in SPLITS} for label in clean.labels},
        "left_out_by_where": clean.left_out,
        "quarantined": dict(sorted(Counter(kind(fault.reason) for fault in clean.quarantined).items())),
        "crossing_splits": crossing(clean),
    }


def kind(reason: str) -> str:
    """A quarantine reason without what is particular to its row."""
    return DIGITS.sub("N", LABEL.sub("label … has ", FILE.sub(r"\1", reason)))


def crossing(clean: Clean) -> int:
    """Rows whose normalised content stands in two splits; the proof that the split is clean is 0."""
    places: dict[str, set[str]] = {}
    for row in clean.rows:
        places.setdefault(row.id, set()).add(row.split)
    return sum(len(splits) > 1 for splits in places.values())


def markdown(card: dict[str, Any]) -> str:
    """The card for people."""
    lines = ["# Data card", "", "| split | rows |", "|---|---|"]
    lines += [f"| {split} | {count} |" for split, count in card["rows"].items()]
    lines += ["", f"Rows not kept by `data.where`: {card['left_out_by_where']}."]
    lines += [f"Contents that stand in two splits: {card['crossing_splits']}.", "", "## Quarantined", ""]
    lines += [f"- {count}: {reason}" for reason, count in card["quarantined"].items()] or ["Nothing."]
    lines += ["", "## Rows per label", "", "| label | train | validation | test |", "|---|---|---|---|"]
    for label, counts in card["rows_per_label"].items():
        lines.append(f"| {label} | {counts['train']} | {counts['validation']} | {counts['test']} |")
    return "\n".join(lines) + "\n"


def quarantine_csv(quarantined: list[Quarantined]) -> str:
    """Every quarantined row with its place, reason and content, in the order of the source."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["file", "row", "reason", "input", "label"])
    for fault in sorted(quarantined, key=lambda fault: (fault.file, fault.number)):
        writer.writerow([fault.file, fault.number, fault.reason, fault.input, fault.label])
    return buffer.getvalue()
