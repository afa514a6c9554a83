"""The sources of the house and their syntax trees: what the tests of its rules share."""

from __future__ import annotations

import ast
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[1]
PACKAGES = ("flows", "tasks", "deploy")
SOURCES = sorted(path for package in PACKAGES for path in (HOUSE / package).rglob("*.py"))
PHASES = ("selection", "preparation", "adaptation", "deployment")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(HOUSE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in SOURCES}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
