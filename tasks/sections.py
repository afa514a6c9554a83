"""The sections of `params.yaml`: every leaf with its type, range and meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, PlainValidator, StringConstraints, create_model, model_validator

from tasks.modalities import MODALITIES, part
from tasks.problems import PROBLEMS
from tasks.strict import Strict

Share = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0, le=1)]
Pool = Literal["mean", "first"]


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


def _row_of(registry: Mapping[str, str]) -> Callable[[str], str]:
    def check(name: str) -> str:
        if name not in registry:
            raise ValueError(f"one of {', '.join(sorted(registry))} is wanted")
        return name

    return check


class Project(Strict):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] = Field(
        description="Names the project in reports, metrics and cards: lower case, digits, dashes."
    )
    seed: int = Field(ge=0, lt=2**31, description="Seed of every random draw.")
    modality: Annotated[str, AfterValidator(_row_of(MODALITIES))] = Field(
        description="Kind of data: a folder below tasks/modalities.", json_schema_extra={"enum": [*MODALITIES]}
    )
    problem: Annotated[str, AfterValidator(_row_of(PROBLEMS))] = Field(
        description="What is asked: a folder below tasks/problems.", json_schema_extra={"enum": [*PROBLEMS]}
    )


class Data(Strict):
    path: str = Field(min_length=1, description="CSV, JSONL or Parquet file, or a folder, from the project's folder.")
    test: str | None = Field(description="The source's own test set, or null to split one off by hash.")
    input_column: str = Field(min_length=1, description="Column that holds the example.")
    label_column: str = Field(min_length=1, description="Column that holds the label.")
    feedback: str | None = Field(
        description="Labelled rows that came after a release, as `graft retrain` collects them, or null; all are kept."
    )
    where: dict[str, Scalar] = Field(description="Rows kept: column -> value.")
    test_share: Share = Field(
        description="Share of rows held out for the receipt; with `test`, of those that came later alone."
    )
    validation_share: Share = Field(description="Share of the other rows that steers the training.")
    min_rows_per_label: int = Field(ge=2, description="Labels with fewer rows are quarantined.")
    max_labels: int = Field(ge=2, le=10_000, description="More labels than this are refused.")
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
        "index of their shingles; other modalities have none.",
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


class Resources(Strict):
    device: Literal["auto", "cpu", "cuda"] = Field(
        description="What computes; auto: cuda where there is one. Another device gives other bytes."
    )
    threads: int = Field(ge=1, le=256, description="CPU threads; another count gives other bytes.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        description="Of training steps; auto: bfloat16 where the device computes in it, else float32."
    )
    min_free_disk_gb: float = Field(ge=0, description="Free disk in GB below which a run is refused.")
    cache_gb: float = Field(gt=0, description="Limit in GB of the feature store under .graft/features.")


class Candidate(Strict):
    source: Annotated[str, StringConstraints(pattern=r"^(package|path|hub):.+$")] = Field(
        description="package:NAME, path:FOLDER or hub:OWNER/NAME."
    )
    revision: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64}|[0-9a-f]{40})$")] = Field(
        description="sha256 of model.safetensors (package, path) or the commit (hub)."
    )

    @model_validator(mode="after")
    def _revision_fits_source(self) -> Candidate:
        length, noun = (40, "commit") if self.source.startswith("hub:") else (64, "sha256 of model.safetensors")
        if len(self.revision) != length:
            raise ValueError(f"the revision of {self.source} must be the {noun}, {length} hex digits")
        return self


class Selection(Strict):
    candidates: list[Candidate] = Field(min_length=1, description="Pre-trained models that compete.")
    pools: list[Pool] = Field(min_length=1, description="Ways to make one vector of a block's output.")
    folds: int = Field(ge=2, le=20, description="Folds of the linear probe's cross-validation.")
    repeats: int = Field(ge=1, le=20, description="How often the cross-validation is drawn anew, under 200 rows.")
    max_rows: int = Field(ge=50, description="Rows the probe is scored on, at most.")
    full_from_rows_per_label: int = Field(
        ge=1, description="Mean training rows per label from which full fine-tuning is chosen."
    )


if TYPE_CHECKING:

    class Preparation(Strict):
        """A section per modality, as its `settings` module says."""

else:
    Preparation = create_model(
        "Preparation", __base__=Strict, **{name: (part(name, "settings").Settings, ...) for name in MODALITIES}
    )


class FrozenScope(Strict):
    inverse_regularisation: list[float] = Field(
        min_length=1, description="Values of C tried for the solved head, by cross-validation."
    )
    folds: int = Field(ge=2, le=20, description="Folds of that cross-validation.")

    @model_validator(mode="after")
    def _positive(self) -> FrozenScope:
        if min(self.inverse_regularisation) <= 0:
            raise ValueError("every value of inverse_regularisation must be above 0")
        return self


class Training(Strict):
    """How a network is trained by gradient steps; the adapted model and the control each have one."""

    learning_rates: list[Rate] = Field(min_length=1, description="Peak rates the search tries.")
    search_epochs: int = Field(ge=1, description="Epochs each rate gets in the search.")
    epochs: int = Field(ge=1, description="Passes over the training rows, at most.")
    patience: int = Field(ge=1, description="Epochs without a better validation loss before stopping.")
    batch_rows: int = Field(ge=1, description="Rows a step.")
    warmup_share: Share = Field(description="Share of all steps in which the rate rises from 0.")
    weight_decay: float = Field(ge=0, description="AdamW decay of weights, not of biases and norms.")
    max_gradient_norm: float = Field(gt=0, description="Gradients are clipped to this L2 norm.")


class Scope(Strict):
    kind: Literal["auto", "frozen", "full"] = Field(description="What learns; auto: as selection chose.")
    frozen: FrozenScope
    full: Training


class Adaptation(Strict):
    scope: Scope


class Receipt(Strict):
    scratch: Training = Field(description="The control from scratch: its own search, at least as many steps.")
    metric: Literal["accuracy", "macro_f1"] = Field(description="Score the verdict is about.")
    resamples: int = Field(ge=100, le=100_000, description="Bootstrap resamples of every interval.")
    gate: Literal["better", "not_worse", "off"] = Field(
        description="What the verdict must be for the run to pass: better than every control, or not worse."
    )


class Int8(Strict):
    enabled: bool = Field(description="Whether a dynamically quantised model competes.")
    max_loss: Share = Field(description="Budget: int8 ships if the upper 95 % bound of its loss is inside.")


class Deployment(Strict):
    opset: int = Field(ge=18, le=23, description="ONNX operator set.")
    max_logit_difference: float = Field(
        gt=0, description="Tolerance between torch and ONNX float32, as a share of the largest logit, of 1 at least."
    )
    int8: Int8


class Monitoring(Strict):
    window_rows: int = Field(
        ge=10, le=10_000, description="Answers that are compared with the drift reference at once; at most half of it."
    )
    false_alarm_rate: float = Field(
        gt=0, le=0.5, description="Share of windows without drift that may raise an alarm: what the limits are set by."
    )
    gate: Literal["better", "not_worse"] = Field(
        description="What `graft retrain` promotes, if it is not worse on old rows: better than the champion "
        "on new ones, at 95 % or by its score."
    )
