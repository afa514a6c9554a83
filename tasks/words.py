"""Counts, names and values in sentences, and texts in the tables of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def counted(count: int, noun: str) -> str:
    """1 and "new row" -> "1 new row"; 2 -> "2 new rows"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """One name or more: "a", "a and b", "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def valued(values: Mapping[str, float]) -> str:
    """Names and values in the order of the names; whole numbers as they are, others to three digits."""
    told = {name: value if isinstance(value, int) else f"{value:.3g}" for name, value in sorted(values.items())}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in told.items())


def cell(text: str) -> str:
    """A text in a cell: on one line, and with no sign that ends the cell."""
    return " ".join(text.split()).replace("|", r"\|")
