"""Which columns of a table may hold texts."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa

SAMPLE_ROWS = 1000
# What people call the column; of several, the first here is the likeliest.
NAMES = (
    "text", "sentence", "message", "utterance", "query", "question", "review", "comment", "tweet", "post", "body",
    "content", "document", "article", "abstract",
)  # fmt: skip
# Scripts that put no space between words: Thai, Lao, Khmer, kana, Chinese.
UNSPACED = re.compile("[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]{3}")
ADDRESS = re.compile(r"https?://\S+$|\S+@\S+$|.*\.[A-Za-z][A-Za-z0-9]{1,4}$")


def inputs(table: pa.Table, folder: Path | None) -> list[str]:
    """Columns that may hold texts, likeliest first: those that read like prose, then by name, then by length.

    Args:
        table: the rows.
        folder: of the files that they name; texts stand in the table itself.
    """
    if folder is not None:
        return []
    samples = {name: _sample(table, name) for name in table.column_names if table.column_names.count(name) == 1}
    prose = {name for name, cells in samples.items() if _is_prose(cells)}
    found = [name for name, cells in samples.items() if name in prose or _may_be_texts(name, cells)]
    return sorted(found, key=lambda name: (name not in prose, _rank(name), -sum(map(len, samples[name]))))


def _sample(table: pa.Table, name: str) -> list[str]:
    """Cells from all over the column, blank ones left out; none if it holds no strings."""
    column = table.column(name)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        return []
    cells = column.take(list(range(0, len(column), max(1, len(column) // SAMPLE_ROWS)))).to_pylist()
    return [cell.strip() for cell in cells if cell and cell.strip()]


def _rank(name: str) -> int:
    return NAMES.index(name.lower()) if name.lower() in NAMES else len(NAMES)


def _may_be_texts(name: str, cells: list[str]) -> bool:
    """Under a telling name a single word is a text too; elsewhere it is a label, a file or a code."""
    return _rank(name) < len(NAMES) and any(any(map(str.isalpha, cell)) and not ADDRESS.match(cell) for cell in cells)


def _is_prose(cells: list[str]) -> bool:
    """Most cells are several words, and most are distinct."""
    return 2 * sum(map(_is_phrase, cells)) > len(cells) and 2 * len(set(cells)) > len(cells)


def _is_phrase(cell: str) -> bool:
    if ADDRESS.match(cell):
        return False
    words = [word for word in cell.split() if any(map(str.isalpha, word))]
    letters = sum(map(str.isalpha, cell))
    return (len(words) > 1 and 2 * letters > len(cell)) or UNSPACED.search(cell) is not None
