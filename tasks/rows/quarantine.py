"""Rows that are not used: by kind of reason, as a table, and how many of them are too many."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.artifacts import write_text
from tasks.errors import InputError

if TYPE_CHECKING:
    from tasks.rows.clean import Quarantined

# Where they lie after a refusal, which leaves the outputs of the last good run.
REFUSED = Path(".graft/quarantine.csv")
NAMED_REASONS = 3
DIGITS = re.compile(r"\d+")
# Where a duplicate's first copy stands, and the name of a rare label.
FILE, LABEL = re.compile(r"(row \d+) of .+$"), re.compile(r"^label .* has ")


def kind(reason: str) -> str:
    """A quarantine reason without what is particular to its row."""
    return DIGITS.sub("N", LABEL.sub("label … has ", FILE.sub(r"\1", reason)))


def quarantine_csv(quarantined: Sequence[Quarantined]) -> str:
    """Every quarantined row with its place, reason and content, in the order of the source."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["file", "row", "reason", "input", "label"])
    for fault in sorted(quarantined, key=lambda fault: (fault.file, fault.number)):
        writer.writerow([fault.file, fault.number, fault.reason, fault.input, fault.label])
    return buffer.getvalue()


def refuse_too_many(quarantined: Sequence[Quarantined], rows: int, limit: float, name: str, root: Path) -> None:
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
    write_text(root / REFUSED, quarantine_csv(quarantined))
    common = Counter(kind(fault.reason) for fault in quarantined).most_common(NAMED_REASONS)
    reasons = "; ".join(f"{count} of them: {reason}" for reason, count in common)
    raise InputError(
        f"{name}: {len(quarantined)} of {total} rows would be quarantined, over data.max_quarantined_share {limit:g} "
        f"({reasons}): correct them or raise the share; nothing is lost, {REFUSED} lists each with its reason."
    )
