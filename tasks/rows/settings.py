"""The section `data` of `params.yaml`: which rows, what their values must be, and where each belongs."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import Field, PlainValidator, StringConstraints, model_validator

from tasks.strict import Share, Strict

MOST_LABELS = 10_000


def _scalar(value: object) -> str | int | float | bool:
    if not isinstance(value, str | int | float | bool):
        raise ValueError("a text, a number or true/false is wanted")
    return value


Scalar = Annotated[str | int | float | bool, PlainValidator(_scalar)]


def moment(value: object) -> datetime:
    """A time of ISO 8601, a date being its first moment; UTC where no zone is said.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, date) and not isinstance(value, datetime):
        value = value.isoformat()
    at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _moment_text(value: object) -> str:
    try:
        moment(value)
    except ValueError:
        raise ValueError("a date or time of ISO 8601 is wanted, such as 2026-01-31") from None
    return str(value)


Moment = Annotated[str, PlainValidator(_moment_text, json_schema_input_type=str)]


class Rule(Strict):
    """What the values of one column must be; the white space around a value does not count, nor does a gap."""

    type: Literal["string", "integer", "number", "date"] = Field(
        "string", description="What every value is; a date is a day in ISO 8601, in UTC."
    )
    minimum: float | date | None = Field(None, description="Least number or first day.")
    maximum: float | date | None = Field(None, description="Largest number or last day.")
    allowed: list[Scalar] | None = Field(None, min_length=1, description="All texts or numbers there may be.")
    pattern: str | None = Field(None, description="Regular expression that the whole text fits.")
    min_characters: int | None = Field(None, ge=1, description="Length of the shortest text.")
    max_characters: int | None = Field(None, ge=1, description="Length of the longest text.")
    unique: bool = Field(False, description="Whether no value stands twice; the first row with it stays.")
    max_missing_share: float | None = Field(None, ge=0, lt=1, description="Share of gaps above which a run is refused.")

    @property
    def compiled(self) -> re.Pattern[str]:
        """The pattern, which there must be."""
        assert self.pattern is not None
        return re.compile(self.pattern)

    @staticmethod
    def spelled(value: str | int | float | bool) -> str:
        """An allowed value as its column spells it."""
        return str(value).lower() if isinstance(value, bool) else str(value).strip()

    @model_validator(mode="after")
    def _bounds_fit_the_type(self) -> Rule:
        limits = [bound for bound in (self.minimum, self.maximum) if bound is not None]
        lengths = [bound for bound in (self.min_characters, self.max_characters) if bound is not None]
        if self.type == "string" and limits:
            raise ValueError("minimum and maximum need the type integer, number or date")
        if self.type != "string" and (lengths or self.pattern is not None):
            raise ValueError("pattern, min_characters and max_characters need the type string")
        if self.type != "string" and any(isinstance(value, str | bool) for value in self.allowed or []):
            raise ValueError("allowed texts need the type string")
        if any(isinstance(bound, date) != (self.type == "date") for bound in limits):
            raise ValueError(f"minimum and maximum must be {'days' if self.type == 'date' else 'numbers'}")
        for low, high in ((self.minimum, self.maximum), (self.min_characters, self.max_characters)):
            if low is not None and high is not None and low > high:  # type: ignore[operator]
                raise ValueError(f"no value is at least {low} and at most {high}")
        return self

    @model_validator(mode="after")
    def _pattern_compiles(self) -> Rule:
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(f"the pattern is no regular expression ({error})") from None
        return self


class Data(Strict):
    path: str = Field(min_length=1, description="CSV, JSONL or Parquet file, or a folder, from the project's folder.")
    test: str | None = Field(description="The source's own test set, or null to split one off by hash.")
    input_column: str = Field(min_length=1, description="Column that holds the example.")
    label_column: str = Field(min_length=1, description="Column that holds the label.")
    feedback: str | None = Field(
        description="Labelled rows that came after a release, as `graft retrain` collects them, or null; all are kept."
    )
    where: dict[str, Scalar] = Field(description="Rows kept: column -> value.")
    label_descriptions: dict[str, Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]] = Field(
        description="What a label means, in words: label -> description, for zero-shot; one without has its name. "
        "Where no row has a label, these are the labels, and label_column may be missing."
    )
    rules: dict[str, Rule] = Field(description="What the values of a column must be: column -> rule.")
    max_quarantined_share: float = Field(
        ge=0, le=1, description="Share of the rows that `where` keeps above which quarantined ones refuse a run."
    )
    test_share: Share = Field(
        description="Share of rows held out for the receipt; with `test`, of those that came later alone."
    )
    validation_share: Share = Field(
        description="Share of the other rows that steers the training; 0 where the source names validation rows."
    )
    min_rows_per_label: int = Field(ge=2, description="Labels with fewer training-side rows are quarantined.")
    max_labels: int = Field(ge=2, le=MOST_LABELS, description="More labels than this are refused.")
    max_rows: int = Field(ge=1, description="A larger source is refused.")
    group_column: str | None = Field(description="Column whose rows of one value share a split, or null.")
    split_column: str | None = Field(description="Column that says train, validation or test, or null.")
    time_column: str | None = Field(description="Column with the date or time of a row, ISO 8601, or null.")
    validation_from: Moment | None = Field(
        description="Rows from this time on are validation; null takes `validation_share` of those that are not test."
    )
    test_from: Moment | None = Field(description="Rows from this time on are test.")
    near_duplicate_similarity: float | None = Field(
        gt=0,
        le=1,
        description="Similarity from which two examples are near duplicates, or null; of texts, the Jaccard "
        "index of their shingles, and in few words what differs; other modalities have none.",
    )
    leaks: Literal["mend", "refuse"] = Field(
        description="What happens to a training-side row whose content, near duplicate or group is in another "
        "split: it is quarantined, or the data are refused."
    )

    @model_validator(mode="after")
    def _one_says_where_a_row_belongs(self) -> Data:
        named = [f"data.{name}" for name in ("group_column", "split_column", "time_column") if getattr(self, name)]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} each say where a row belongs: set all but one to null")
        if self.time_column and self.test:
            raise ValueError("data.time_column and data.test both say which rows are test: set one of them to null")
        if (self.time_column is None) != (self.test_from is None):
            raise ValueError("data.time_column and data.test_from go together: set both or neither")
        if self.validation_from and not self.time_column:
            raise ValueError("data.validation_from needs data.time_column: name it, or set this to null")
        if self.validation_from and self.test_from and moment(self.validation_from) >= moment(self.test_from):
            raise ValueError("data.validation_from must be earlier than data.test_from")
        return self
