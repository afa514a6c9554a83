"""One row as the phases see it: usable, or quarantined with a reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from tasks.rows.split import Split

# In the order that their rows stand in.
Source = Literal["path", "feedback", "test"]
SOURCES: tuple[Source, ...] = ("path", "feedback", "test")
# Where a duplicate's first copy stands, the name of a rare label, and the numbers that differ from row to row; those of
# a rule or a limit are the same in each and stay.
NUMBER = re.compile(r"\b(row|has) \d+\b")
FILE, LABEL = re.compile(r"(row \d+) of .+$"), re.compile(r"^label .* has ")


@dataclass(frozen=True)
class Row:
    """One usable row.

    Attributes:
        id: hash of the example's content.
        file: name of its source.
        number: its place there.
        input: the example, or its path from the project's folder.
        label: as the source spells it; None where no row has one.
        split: where it belongs.
        size: of the example, in the modality's unit.
        source: leaf of `data` that names its source.
    """

    id: str
    file: str
    number: int
    input: str
    label: str | None
    split: Split
    size: int
    source: Source = "path"


@dataclass(frozen=True)
class Quarantined:
    """One row that is not used, with the reason."""

    file: str
    number: int
    reason: str
    input: str | None
    label: str | None


def kind(reason: str) -> str:
    """A quarantine reason without what is particular to its row."""
    return NUMBER.sub(r"\1 N", LABEL.sub("label … has ", FILE.sub(r"\1", reason)))
