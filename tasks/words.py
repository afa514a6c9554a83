"""Counts in sentences."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """1 and "new row" -> "1 new row"; 2 -> "2 new rows"."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
