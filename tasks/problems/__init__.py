"""Kinds of question, one folder each. The dict below is the whole registry; rows are imported on use."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

PROBLEMS: dict[str, str] = {"classification": "tasks.problems.classification"}


def part(problem: str, name: str) -> ModuleType:
    """Module `name` (answer, learn) of a problem."""
    return import_module(f"{PROBLEMS[problem]}.{name}")
