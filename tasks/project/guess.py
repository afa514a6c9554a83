"""What a user's data are: modality, columns, problem. Only names of columns are told, never what stands in them."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from tasks import zero_shot
from tasks.errors import InputError
from tasks.modalities import MODALITIES, part
from tasks.rows.folder import SPLIT_NAMES
from tasks.rows.read import is_text, label_text, read_source
from tasks.rows.settings import MOST_LABELS
from tasks.rows.split import Split
from tasks.rows.table import COLUMN_NAME, NAMED_COLUMNS, check_columns
from tasks.rows.unlabelled import column_with

# A question and the answers to choose from -> one of them.
Ask = Callable[[str, Sequence[str]], str]

PROBLEM = "classification"
LABEL_NAMES = ("label", "labels", "class", "category", "target", "intent", "sentiment", "topic", "y")
RELATED_NAME = re.compile(rf"(^|[_ .-])({'|'.join(LABEL_NAMES)})($|[_ .-])", re.IGNORECASE)
DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class Given:
    """What the user said; None is to be guessed.

    Attributes:
        described: label -> its words, which answer where no row has a label.
    """

    input_column: str | None = None
    label_column: str | None = None
    modality: str | None = None
    described: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Guess:
    """What the data are.

    Attributes:
        label_column: may be missing where no row has a label.
        label_rows: rows of each label, ascending, without those that the source itself calls test rows.
        own_splits: splits that it names itself.
        reasons: a sentence for each thing that the user did not say.
    """

    modality: str
    problem: str
    input_column: str
    label_column: str
    label_rows: list[int]
    own_splits: frozenset[Split]
    reasons: list[str]


@dataclass(frozen=True)
class Source:
    """The user's file or folder, its rows, and somebody to ask about it."""

    path: Path
    table: pa.Table
    ask: Ask | None

    def name(self, column: str) -> str:
        """A file without a header has somebody's row for one; what users wrote belongs in no log."""
        return column if COLUMN_NAME.match(column) else f"number {self.table.column_names.index(column) + 1}"

    def choose(self, what: str, columns: Sequence[str], option: str) -> str:
        """The user's answer; InputError if nobody can be asked."""
        named = {self.name(column): column for column in columns}
        if self.ask is None:
            raise InputError(f"{what} cannot be known from {self.path.name}: give one of {', '.join(named)} {option}.")
        return named[self.ask(f"{what}?", [*named])]


def guess(path: Path, given: Given, max_rows: int, max_labels: int, ask: Ask | None) -> Guess:
    """Read the data and tell what they are.

    Args:
        path: a file or a folder.
        given: what needs no guess.
        max_rows: more are refused.
        max_labels: a column with more distinct values holds no labels, unless the user says so.
        ask: puts a question that the data leave open; without it such data are refused.

    Raises:
        InputError: unreadable data, a given column or modality that is not there, nothing to classify, or a question
            that stays open.
    """
    listed = read_source(path, max_rows, None)
    source = Source(path, listed.table, ask)
    for option, column in (("--text", given.input_column), ("--label", given.label_column)):
        if column is not None and not (option == "--label" and given.described):
            check_columns(path.name, source.table, [column], f"give one of these with {option}")
    modality, inputs = _modality(source, given)
    if given.described:
        label, reason = _described_column(source, inputs[0], modality, given, max_labels)
    else:
        label, reason = _label_column(source, inputs[0], given.label_column, max_labels)
    labels = _labels(source, label)
    trained = zip(labels, listed.splits, strict=True)
    rows = Counter(one for one, split in trained if one is not None and split != "test")
    told = [
        "" if given.modality else f"the examples are of modality {modality}",
        "" if given.input_column else _reason_of_input(source, inputs),
        reason,
        f"the problem is {PROBLEM}, with {len(rows) or len(given.described)} labels",
    ]
    reasons = [f"Guessed: {what}." for what in told if what]
    own = frozenset(split for split in listed.splits if split)
    return Guess(modality, PROBLEM, inputs[0], label, sorted(rows.values()), own, reasons)


def _modality(source: Source, given: Given) -> tuple[str, list[str]]:
    """The modality, and the columns that may hold its examples, likeliest first; at least one."""
    if given.modality not in (None, *MODALITIES):
        raise InputError(f"There is no modality {given.modality}: give one of {', '.join(MODALITIES)} with --modality.")
    names = [given.modality] if given.modality else [*MODALITIES]
    folder = source.path if source.path.is_dir() else None
    found = {name: columns for name in names if (columns := part(name, "guess").inputs(source.table, folder))}
    if given.input_column:
        found = {name: [given.input_column] for name, columns in found.items() if given.input_column in columns}
    if not found:
        name, column = _unlikely(source, names, given.input_column)
        return name, [column]
    name = _only(source, [*found])
    return name, found[name]


def _only(source: Source, modalities: list[str]) -> str:
    return modalities[0] if len(modalities) == 1 else source.choose("The modality", modalities, "with --modality")


def _unlikely(source: Source, names: list[str], column: str | None) -> tuple[str, str]:
    """Modality and column where no column looks like its examples: as the user says."""
    of_files = [name for name in names if part(name, "source").FILES]
    listed = " or ".join(of_files or names)
    if source.path.is_dir():
        raise InputError(
            f"The folder {source.path.name} names no files of modality {listed}: give another folder or, where the "
            "examples stand in a table, give that table with --data."
        )
    fitting = [name for name in names if name not in of_files]
    if not fitting:
        raise InputError(
            f"{source.path.name} is a file, but examples of modality {listed} are files of their own: give the folder "
            "that holds them, by label or beside their table, with --data."
        )
    modality = _only(source, fitting)
    if column and not is_text(kind := source.table.column(column).type):
        raise InputError(
            f"Column {source.name(column)} of {source.path.name} holds {kind}, not text: name another with --text, or "
            "cast it at the source."
        )
    option = "with --text, or, where the rows name files, the folder that holds both with --data"
    columns = source.table.column_names[:NAMED_COLUMNS]
    return modality, column or source.choose("The column of the examples", columns, option)


def _reason_of_input(source: Source, inputs: list[str]) -> str:
    others = f"; --text names another, such as {', '.join(map(source.name, inputs[1:]))}" if inputs[1:] else ""
    return f"the examples stand in column {source.name(inputs[0])}{others}"


def _label_column(source: Source, input_column: str, given: str | None, max_labels: int) -> tuple[str, str]:
    """The label's column, and why it is it; nothing where the user said so."""
    if given is not None:
        _refuse_unfit(source, given, input_column, max_labels, said=True)
        return given, ""
    table = source.table
    others = [name for name in table.column_names if name != input_column and table.column_names.count(name) == 1]
    likely = [name for name in others if _holds_labels(table.column(name), max_labels)]
    called = [name for name in others if name.lower() in LABEL_NAMES]
    by_name = [name for name in called if name in likely] or [name for name in likely if RELATED_NAME.search(name)]
    # A column that is called a label and cannot be one says that the others are none either.
    if len(by_name or likely) == 1 and (by_name or not called):
        chosen = (by_name or likely)[0]
        _refuse_without_header(source, chosen)
        why = "by its name" if by_name else "the only column that repeats itself as labels do"
        return chosen, f"the label stands in column {source.name(chosen)}, {why}"
    if not likely:
        if len(called) == 1:
            _refuse_unfit(source, called[0], input_column, max_labels, said=False)
        raise InputError(
            f"No column of {source.path.name} repeats itself as labels do, and only {PROBLEM} is supported: "
            "name the label's column with --label, or, where no row has a label, each label with --describe."
        )
    return source.choose("The label's column", (by_name or likely)[:NAMED_COLUMNS], "with --label"), ""


def _described_column(
    source: Source, input_column: str, modality: str, given: Given, max_labels: int
) -> tuple[str, str]:
    """The column that holds the described labels or, where no row has a label, one for those that come later."""
    found = given.label_column or column_with(source.table, [*given.described], input_column)
    if found and any(_labels(source, found)):
        _refuse_unfit(source, found, input_column, max_labels, said=given.label_column is not None)
        told = f"the label stands in column {source.name(found)}, which holds all that are described"
        return found, "" if given.label_column else told
    name = found or LABEL_NAMES[0]
    if name == input_column or any(_labels(source, name)):
        raise InputError(
            f"No column of {source.path.name} holds all labels that --describe names, and {name} is taken: describe "
            "labels as their column spells them or, where no row has a label, name a column to come with --label."
        )
    if len(given.described) < 2:
        raise InputError(f"No row of {source.path.name} has a label: name each of two labels at least with --describe.")
    if reason := zero_shot.why_not(part(modality, "source"), modality, given.described):
        raise InputError(f"No row of {source.path.name} has a label, so that only their words could answer. {reason}")
    return name, (
        "no row has a label, so that the words of the described ones answer, unmeasured; labels that come later are to "
        f"stand in column {name}"
    )


def _labels(source: Source, column: str) -> list[str | None]:
    """Labels of all rows; none of them has one in a column that is not there."""
    if column not in source.table.column_names:
        return [None] * source.table.num_rows
    check_columns(source.path.name, source.table, [column], "give one with --label that stands there once")
    cells = source.table.column(column)
    labels = labels_of(cells)
    return [label_text(cell) for cell in cells.to_pylist()] if labels is None else labels


def labels_of(column: pa.ChunkedArray) -> list[str | None] | None:
    """Each row's label as it is read later, None for a gap; None altogether if the column holds no labels.

    Lists, dates and numbers with fractions are no labels.
    """
    kind = column.type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind):
        return None
    labels = [label_text(cell) for cell in column.to_pylist()]
    filled = [label for label in labels if label is not None]
    fractions = all(map(_is_number, filled)) and not all(float(label).is_integer() for label in filled)
    return None if filled and (fractions or all(map(DATE.match, filled))) else labels


def _is_number(label: str) -> bool:
    try:
        return math.isfinite(float(label))
    except ValueError:
        return False


def _holds_labels(column: pa.ChunkedArray, max_labels: int) -> bool:
    rows = Counter(labels_of(column) or [])
    del rows[None]
    return (
        2 <= len(rows) <= max_labels
        and 2 * len(rows) <= rows.total()
        and not all(str(label).lower() in SPLIT_NAMES for label in rows)
    )


def _refuse_unfit(source: Source, column: str, input_column: str, max_labels: int, said: bool) -> None:
    """Refuse a column that holds no labels; more than `max_labels` that repeat are labels where the user said so."""
    where = f"Column {source.name(column)} of {source.path.name}"
    if column == input_column:
        raise InputError(f"{where} is to hold both examples and labels: name two columns with --text and --label.")
    labels = labels_of(source.table.column(column))
    if labels is None:
        raise InputError(
            f"{where} holds numbers with fractions, dates or lists, and only {PROBLEM} is supported: "
            "name a column of labels with --label."
        )
    count, rows = len({*labels} - {None}), len(labels) - labels.count(None)
    most = MOST_LABELS if said and max_labels < count <= rows / 2 else max_labels
    if not 2 <= count <= most:
        values = "one value" if count == 1 else f"{count} different values"
        raise InputError(
            f"{where} holds {values} in {rows} rows, and two to {most} labels are wanted: name "
            f"{'another' if said else 'the'} column of labels with --label."
        )


def _refuse_without_header(source: Source, column: str) -> None:
    if column in (labels_of(source.table.column(column)) or []):
        number = source.table.column_names.index(column) + 1
        raise InputError(
            f"{source.path.name} seems to have no header, for the name of column {number} is also one of its values: "
            "put the columns' names on a first line, or name the columns with --text and --label."
        )
