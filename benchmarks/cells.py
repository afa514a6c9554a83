"""Measured cells, a line of JSON each, so that a killed benchmark goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Cell = dict[str, Any]


def read(path: Path, **key: Any) -> list[Cell]:
    """Cells whose values are these, in the order they were measured; a line that a kill cut short is no cell."""
    if not path.is_file():
        return []
    found = [_parsed(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [cell for cell in found if cell and all(cell[name] == value for name, value in key.items())]


def _parsed(line: str) -> Cell:
    try:
        return dict(json.loads(line))
    except ValueError:
        return {}


def add(path: Path, cell: Cell) -> None:
    """Append one, in a single write: several processes may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(cell) + "\n")
