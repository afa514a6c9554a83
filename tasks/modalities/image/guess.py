"""Which columns of a table may name images."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa

SAMPLE_ROWS = 200
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def inputs(table: pa.Table, folder: Path | None) -> list[str]:
    """Columns most of whose cells are paths of images below `folder`, those with most of them first."""
    if folder is None:
        return []
    shares = {name: _share(table, name, folder) for name in table.column_names if table.column_names.count(name) == 1}
    return sorted((name for name, share in shares.items() if share > 0.5), key=lambda name: -shares[name])


def _share(table: pa.Table, name: str, folder: Path) -> float:
    """Share of the cells that name an image, among some from all over the column."""
    column = table.column(name)
    cells = column.take(list(range(0, len(column), max(1, len(column) // SAMPLE_ROWS)))).to_pylist()
    named = [cell for cell in cells if isinstance(cell, str) and cell.lower().endswith(SUFFIXES)]
    return sum(os.path.isfile(folder / cell) for cell in named) / max(1, len(cells))
