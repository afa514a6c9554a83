"""What the rows hold beside examples and labels: the scripts of texts, columns that look like groups or times."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.rows.kind import kind_of
from tasks.rows.table import COLUMN_NAME

LEAST_SHARE = 0.005
# A column of groups has at least so many values, each in so many rows on average.
LEAST_GROUPS, LEAST_ROWS, MOST_ROWS = 10, 1.5, 20
GROUP_NAME = re.compile(
    r"(^|[_\W])(id|uid|uuid|user|customer|client|account|author|patient|subject|speaker|session|thread|group|order)s?$",
    re.IGNORECASE,
)
TIME_NAME = re.compile(r"(^|[_\W])(time|date|day|timestamp|datetime|when|at|on|created|updated|sent)$", re.IGNORECASE)
ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?")
# Seconds and milliseconds since 1970, either from 2001 to 2033.
EPOCHS = (range(10**9, 2 * 10**9), range(10**12, 2 * 10**12))


def scripts(texts: Iterable[str]) -> dict[str, float]:
    """Script -> share of all letters, the most frequent first; those under half a percent are left out.

    Letters of another width or style, such as bold ones of mathematics, count as the plain ones that they stand for.
    """
    letters: Counter[str] = Counter()
    for text in texts:
        letters.update(unicodedata.normalize("NFKC", text))
    shares: Counter[str] = Counter()
    for letter, count in letters.items():
        if letter.isalpha():
            shares[_script(letter)] += count
    total = shares.total()
    named = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return {name: round(count / total, 4) for name, count in named if count >= LEAST_SHARE * total}


def _script(letter: str) -> str:
    """The word with which Unicode begins the names of a script's letters."""
    return re.split(r"\W", unicodedata.name(letter, "UNKNOWN"), maxsplit=1)[0].capitalize()


def columns(table: pa.Table, named: Sequence[str], label: str) -> dict[str, Any]:
    """What the columns beside those that the params name look like.

    Args:
        table: the first rows of the source.
        named: columns that the params name already, which are passed over.
        label: the label column.

    Returns:
        groups: column -> mean rows per value; times: columns; steps: whether the labels are steps of a scale.
    """
    others = [name for name in table.column_names if name not in named and COLUMN_NAME.match(name)]
    once = [name for name in others if table.column_names.count(name) == 1]
    times = [name for name in once if _is_time(name, table.column(name))]
    repeats = {name: _rows_per_group(name, table.column(name)) for name in once if name not in times}
    return {
        "groups": {name: round(rows, 1) for name, rows in repeats.items() if rows is not None},
        "times": times,
        "steps": table.column_names.count(label) == 1 and kind_of(table.column(label)) == "steps",
    }


def _rows_per_group(name: str, column: pa.ChunkedArray) -> float | None:
    """None for a column that is no group: few values, or hardly one that repeats."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)  # its values cannot be counted otherwise
    texts = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if not texts and not pa.types.is_integer(column.type):
        return None
    values, filled = pc.count_distinct(column).as_py(), len(column) - column.null_count
    rows = filled / max(values, 1)
    if values < LEAST_GROUPS or rows < LEAST_ROWS:
        return None
    return rows if GROUP_NAME.search(name) or (texts and rows <= MOST_ROWS) else None


def _is_time(name: str, column: pa.ChunkedArray) -> bool:
    if pa.types.is_temporal(column.type):
        return True
    values = column.drop_null().slice(0, 1000).to_pylist()
    if values and isinstance(values[0], str):
        return all(ISO_DATE.fullmatch(value.strip()) for value in values)
    if values and isinstance(values[0], int) and not isinstance(values[0], bool) and TIME_NAME.search(name):
        return any(all(value in epoch for value in values) for epoch in EPOCHS)
    return False


def in_words(record: dict[str, Any]) -> list[str]:
    """Advice in sentences.

    Args:
        record: with what `scripts` gave as scripts, None where the examples are no texts, and with what `columns` gave
            as columns, None where there is no table.
    """
    said = []
    if record["scripts"]:
        shares = ", ".join(f"{share:.1%} {name}" for name, share in record["scripts"].items())
        said.append(f"Script of the letters: {shares}.")
    found = record["columns"] or {"groups": {}, "times": [], "steps": False}
    if found["steps"]:
        said.append("The labels are the steps of a scale: if their order counts, classification makes no use of it.")
    for name, rows in found["groups"].items():
        said.append(
            f"Column {name} repeats, {rows:.1f} rows a value: if these rows belong together, a split by content lets "
            "one group stand on both sides."
        )
    for name in found["times"]:
        said.append(
            f"Column {name} holds times: if the model is to answer later rows, a split by content is too kind to it."
        )
    return said
