"""Declared rules of columns, `data.rules`: which rows break one, and which columns are too often empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.errors import InputError
from tasks.params import Rule

if TYPE_CHECKING:
    import pandas as pd

Batch: TypeAlias = "pa.RecordBatch | pa.Table"
NO_VALUE = {
    "integer": "is no whole number", "number": "is no number", "date": "is no date in ISO 8601",
}  # fmt: skip


class Inspection:
    """The rules on all batches of one source.

    What must be unique is so across batches, of which 8 bytes a row are kept (two values have one hash with a
    probability of 3e-8 in a million rows); gaps are counted over all.

    Args:
        name: of the source, for who reads the errors.
        rules: column -> what its values must be.
    """

    def __init__(self, name: str, rules: Mapping[str, Rule]) -> None:
        self._name, self._rules = name, rules
        self._schema = _schema(rules) if rules else None
        self._seen = {column: np.empty(0, np.uint64) for column, rule in rules.items() if rule.unique}
        self._missing = dict.fromkeys(rules, 0)
        self._rows = 0

    def reasons(self, batch: Batch) -> list[str | None]:
        """Why each row breaks a rule, in the order of the rules; None for a row that keeps all of them.

        Raises:
            InputError: a column holds lists, bytes or the like.
        """
        found: list[str | None] = [None] * batch.num_rows
        if self._schema is None:
            return found
        texts = {column: self._text(batch, column) for column in self._rules}
        self._rows += batch.num_rows
        for column, text in texts.items():
            self._missing[column] += int(text.isna().sum())
        for row, reason in _broken(texts, self._rules, self._schema):
            found[row] = found[row] or reason
        for column in self._seen:
            for row in self._repeated(column, texts[column], [reason is None for reason in found]):
                found[row] = f"column {column!r} repeats a value of an earlier row"
        return found

    def refuse_gaps(self) -> None:
        """Judge the source as a whole, after its last batch.

        Raises:
            InputError: with a sentence for each column with more gaps than its rule allows.
        """
        faults = []
        for column, rule in self._rules.items():
            share = self._missing[column] / max(1, self._rows)
            if rule.max_missing_share is not None and share > rule.max_missing_share:
                faults.append(
                    f"{self._name}: column {column!r} is empty in {self._missing[column]} of {self._rows} rows, over "
                    f"data.rules.{column}.max_missing_share {rule.max_missing_share:g}: fill it or raise the share."
                )
        if faults:
            raise InputError(faults)

    def _text(self, batch: Batch, column: str) -> pd.Series[str]:
        """Values as texts without the white space around them; NA where there is nothing."""
        values = batch.column(column)
        kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
        try:
            values = values.cast(kind)
            if pa.types.is_floating(kind):  # pandas writes a gap as NaN
                values = pc.if_else(pc.is_nan(values), None, values)
            text = pc.utf8_trim_whitespace(values.cast(pa.large_string()))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise InputError(
                f"{self._name}: column {column!r} holds {kind} that cannot be read as text: mend it or remove its rule "
                "from data.rules."
            ) from None
        return pc.if_else(pc.equal(text, ""), None, text).to_pandas().astype("str")

    def _repeated(self, column: str, text: pd.Series[str], kept: list[bool]) -> np.ndarray:
        """Positions whose value stood in a row before them that is kept."""
        from pandas.util import hash_array

        rows = np.flatnonzero(np.asarray(kept) & text.notna().to_numpy())
        hashes = hash_array(text.to_numpy(dtype=object)[rows], categorize=False)
        values, first = np.unique(hashes, return_index=True)
        seen = self._seen[column]  # sorted, so that a batch costs one look a row and one copy
        places = np.searchsorted(seen, values)
        new = seen.take(places, mode="clip") != values if len(seen) else np.ones(len(values), bool)
        self._seen[column] = np.insert(seen, places[new], values[new])
        return np.delete(rows, first[new])


def _broken(texts: Mapping[str, pd.Series[str]], rules: Mapping[str, Rule], schema: Any) -> list[tuple[int, str]]:
    """Row and reason of every value that breaks a rule, column by column."""
    import pandas as pd
    from pandera.errors import SchemaErrors

    values = {column: _values(text, rules[column].type) for column, text in texts.items()}
    found: dict[str, list[tuple[int, str]]] = {
        column: [(int(row), f"column {column!r} {NO_VALUE[rules[column].type]}") for row in rows]
        for column, text in texts.items()
        if len(rows := np.flatnonzero(values[column].isna() & text.notna()))
    }
    try:
        schema.validate(pd.DataFrame(values), lazy=True)
    except SchemaErrors as errors:
        for column, check, row in errors.failure_cases[["column", "check", "index"]].itertuples(index=False):
            found.setdefault(column, []).append((int(row), f"column {column!r} {check}"))
    return [one for column in rules for one in found.get(column, [])]


def _values(text: pd.Series[str], kind: str) -> pd.Series[Any]:
    """Texts as values of a type, NA where one is none; a date is a day, in UTC."""
    import pandas as pd

    if kind == "date":
        return pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce").dt.normalize()
    if kind == "string":
        return text
    numbers = pd.to_numeric(text, errors="coerce").astype("float64")
    fits = np.isfinite(numbers) & ((numbers % 1 == 0) if kind == "integer" else True)
    return numbers.where(fits)


def _schema(rules: Mapping[str, Rule]) -> Any:
    from pandera.pandas import Column, DataFrameSchema

    return DataFrameSchema({column: Column(checks=_checks(rule), nullable=True) for column, rule in rules.items()})


def _checks(rule: Rule) -> list[Any]:
    """The rule as the library's own checks; the error of each completes "column 'x' ..."."""
    import pandas as pd
    from pandera.pandas import Check

    checks = []
    if rule.allowed:
        allowed = _values(pd.Series([rule.spelled(value) for value in rule.allowed], dtype="str"), rule.type)
        checks.append(Check.isin(allowed.tolist(), error="has a value that is not allowed"))
    if rule.minimum is not None:
        checks.append(Check.ge(_bound(rule.minimum), error=f"is under the minimum {_told(rule.minimum)}"))
    if rule.maximum is not None:
        checks.append(Check.le(_bound(rule.maximum), error=f"is over the maximum {_told(rule.maximum)}"))
    if rule.pattern is not None:
        fits = rule.compiled.fullmatch
        checks.append(Check(lambda value: fits(value) is not None, element_wise=True, error="does not fit its pattern"))
    if rule.min_characters is not None:
        under = f"is shorter than {rule.min_characters} characters"
        checks.append(Check.str_length(min_value=rule.min_characters, error=under))
    if rule.max_characters is not None:
        over = f"is longer than {rule.max_characters} characters"
        checks.append(Check.str_length(max_value=rule.max_characters, error=over))
    return checks


def _bound(value: Any) -> Any:
    import pandas as pd

    return value if isinstance(value, float) else pd.Timestamp(value, tz="UTC")


def _told(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
