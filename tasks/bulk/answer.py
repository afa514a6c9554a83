"""Rows -> the same rows with the columns prediction and probability, a portion in memory at a time."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from tasks.bulk.kept import Answers, Kept, kept_beside
from tasks.bulk.learned import Seen
from tasks.bulk.source import Source
from tasks.bulk.table import csv_stream, written
from tasks.rows.read import label_text
from tasks.runtime import PORTION_ROWS

if TYPE_CHECKING:
    from tasks.runtime import Example, Runtime

ANSWERED = (pa.field("prediction", pa.string()), pa.field("probability", pa.float64()))


class Tally:
    """What is known of the rows answered so far.

    Attributes:
        rows: their number.
        unanswered: those that cannot be answered.
        judged: those that have a label and an answer.
        right: those of them whose answer is their label.
        learned: those that have both and were learned from; None where the release does not tell.
        learned_right: those of them whose answer is their label.
        found: those that an earlier call had answered.
    """

    def __init__(self, tells: bool = False) -> None:
        self.rows = self.unanswered = self.judged = self.right = self.found = self.learned_right = 0
        self.learned = 0 if tells else None

    def add(self, table: pa.Table, label_column: str, seen: Callable[[], Sequence[bool]] | None) -> None:
        """Count a portion; its labels are read as training reads them, and which rows were learned from by `seen`."""
        predictions = table.column("prediction").to_pylist()
        self.rows += len(predictions)
        self.unanswered += predictions.count(None)
        if label_column in table.column_names:
            labels = map(label_text, table.column(label_column).to_pylist())
            learned = seen() if seen else [False] * len(predictions)
            trios = [trio for trio in zip(labels, predictions, learned, strict=True) if None not in trio[:2]]
            self.judged += len(trios)
            self.right += sum(a == b for a, b, _ in trios)
            if self.learned is not None:
                self.learned += sum(known for *_, known in trios)
                self.learned_right += sum(a == b for a, b, known in trios if known)


def answer(
    source: Source,
    runtime: Runtime,
    column: str,
    label_column: str,
    out: Path | None,
    threads: int,
    advance: Callable[[int, int], None] = lambda done, found: None,
    seen: Seen | None = None,
) -> Tally:
    """Answer all rows and write them, with two columns more; a killed call is taken up by the next of the same output.

    Args:
        source: the rows; columns of theirs that are called like the answers' give way to them.
        runtime: the release.
        column: that holds the examples.
        label_column: that the answers are compared with, if it is there.
        out: file ending in .csv, .jsonl or .parquet, which is whole or as before; None for CSV to standard output.
        threads: that the release was loaded with.
        advance: called after each portion with the rows done so far, and how many of them an earlier call had done.
        seen: which examples the release learned from, if it tells.

    Raises:
        BusyError: another process writes `out`.
        CrashError: a logit is not finite.
    """
    tally = Tally(tells=seen is not None)
    with ExitStack() as stack:
        kept = stack.enter_context(kept_beside(out, _terms(runtime, threads))) if out else None
        schema = _answered_schema(source.schema)
        write = stack.enter_context(written(out, schema) if out else csv_stream(sys.stdout.buffer, schema))
        for table in _portions(source.tables(), PORTION_ROWS):
            examples = [runtime.read(cell, source.folder) for cell in table.column(column).to_pylist()]
            answered = _with_answers(table, _answers(examples, runtime, kept)).cast(schema)
            write(answered)
            tally.add(answered, label_column, seen and functools.partial(seen, examples))
            tally.found = kept.rows_found if kept else 0
            advance(tally.rows, tally.found)
    return tally


def _terms(runtime: Runtime, threads: int) -> dict[str, str | int]:
    """What answers depend on beside examples; an int8 graph answers in another way with another portion."""
    return {
        "release": runtime.version,
        "threads": threads,
        "portion_rows": PORTION_ROWS,
        "onnxruntime": version("onnxruntime"),
    }


def _answers(examples: Sequence[Example | None], runtime: Runtime, kept: Kept | None) -> Answers:
    def made() -> Answers:
        return [one and (one.prediction, one.probability) for one in runtime.predict_usable(examples)]

    return kept.recall(examples, made) if kept else made()


def _portions(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Tables of `rows` each, the last of fewer, wherever the blocks of the source end."""
    rest: list[pa.Table] = []
    for table in tables:
        whole = pa.concat_tables([*rest, table])
        cut = whole.num_rows - whole.num_rows % rows
        yield from (whole.slice(start, rows) for start in range(0, cut, rows))
        rest = [whole.slice(cut)]
    yield from (table for table in rest if table.num_rows)


def _answered_schema(schema: pa.Schema) -> pa.Schema:
    names = [field.name for field in ANSWERED]
    return pa.schema([*(field for field in schema if field.name not in names), *ANSWERED], schema.metadata)


def _with_answers(table: pa.Table, answers: Answers) -> pa.Table:
    for field, values in zip(ANSWERED, zip(*[one or (None, None) for one in answers], strict=True), strict=True):
        if field.name in table.column_names:
            table = table.drop_columns([field.name])
        table = table.append_column(field, pa.array(values, type=field.type))
    return table
