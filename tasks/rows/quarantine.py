"""Rows that are not used: as a table, and how many of them are too many."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from tasks.errors import InputError
from tasks.rows.row import Quarantined, kind

# Where they lie after a refusal, which leaves the outputs of the last good run.
REFUSED = Path(".graft/quarantine.csv")
NAMED_REASONS = 3


def write_quarantine(path: Path, quarantined: Iterable[Quarantined]) -> None:
    """Every quarantined row with its place, reason and content, as they come."""
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "row", "reason", "input", "label"])
        for fault in quarantined:
            writer.writerow([fault.file, fault.number, fault.reason, fault.input, fault.label])


def refuse_too_many(quarantined: Collection[Quarantined], rows: int, limit: float, name: str, root: Path) -> None:
    """Refuse a source most of which would be left out; what is quarantined is written where the error says.

    Args:
        quarantined: rows that are not used.
        rows: count of those that are.
        limit: share of both that may be quarantined, in [0, 1].
        name: of the source.
        root: the project's folder.

    Raises:
        InputError: more are quarantined.
    """
    total = rows + len(quarantined)
    if len(quarantined) <= limit * total:
        return
    write_quarantine(root / REFUSED, quarantined)
    common = Counter(kind(fault.reason) for fault in quarantined).most_common(NAMED_REASONS)
    reasons = "; ".join(f"{count} of them: {reason}" for reason, count in common)
    raise InputError(
        f"{name}: {len(quarantined)} of {total} rows would be quarantined, over data.max_quarantined_share {limit:g} "
        f"({reasons}): correct them or raise the share; nothing is lost, {REFUSED} lists each with its reason."
    )
