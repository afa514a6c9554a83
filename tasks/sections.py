"""The sections of `params.yaml`: every leaf with its type, range and meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, create_model, model_validator

from tasks.modalities import MODALITIES, part
from tasks.problems import PROBLEMS
from tasks.strict import Share, Strict
from tasks.training.settings import Objective, Scope, ScopeKind, Search, Training

ReferenceName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
Pool = Literal["mean", "first", "last"]


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
        description="Kind of data.", json_schema_extra={"enum": [*MODALITIES]}
    )
    problem: Annotated[str, AfterValidator(_row_of(PROBLEMS))] = Field(
        description="What is asked of it.", json_schema_extra={"enum": [*PROBLEMS]}
    )


class Source(Strict):
    url: str | None = Field(
        min_length=1,
        description="What data.path is a snapshot of: the URL of a database (SQLAlchemy), of a file, folder or "
        "Parquet pattern (fsspec), or hf://datasets/OWNER/NAME@REVISION/FILE; null if of nothing. ${NAME} is an "
        "environment variable, and the only way to name a secret.",
    )
    query: str | None = Field(min_length=1, description="SELECT that gives the rows, where url names a database.")


class Resources(Strict):
    device: Literal["auto", "cpu", "cuda"] = Field(
        description="What computes; auto: cuda where there is one. Another device gives other bytes."
    )
    threads: int = Field(ge=1, le=256, description="CPU threads; another count gives other bytes.")
    processes: int = Field(
        ge=1,
        le=64,
        description="That share the rows of each training step, every one with as many threads or a GPU of its own; "
        "another count gives other bytes.",
    )
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


class Limits(Strict):
    """Candidates beyond one of these are out, whatever they score."""

    max_milliseconds: float | None = Field(
        gt=0,
        description="Time of one row of median length, alone, in float32 ONNX Runtime with resources.threads, as read "
        "on the machine that chooses; or null.",
    )
    max_megabytes: float | None = Field(gt=0, description="Float32 weights up to the depth, in 10^6 bytes; or null.")
    licences: list[str] | None = Field(
        min_length=1,
        description="Licences that may be used, as README, package or hub name them (such as mit), or null for any.",
    )


class Halving(Strict):
    """Successive halving: short adaptations, of which the better half goes on with twice the steps."""

    models: int | None = Field(ge=1, description="Best models of the ranking that compete by each scope; null is off.")
    scopes: list[ScopeKind] = Field(min_length=1, description="Scopes that compete.")
    steps: int = Field(ge=1, description="Gradient steps of the first round.")


class Strategy(Strict):
    """What decides, at adaptation.scope.kind auto, what learns: bounds in a table of measured rules."""

    full_from_rows_per_label: int = Field(
        ge=1, description="Mean training rows per label from which labels are learned from; under it, pairs of rows."
    )
    max_steps: int | None = Field(
        ge=1, description="Gradient steps expected of a training, its search included: over it, frozen; or null."
    )
    max_minutes: float | None = Field(
        gt=0,
        description="The same in minutes, by a step's time as read once on the machine that chooses; or null.",
    )
    halving: Halving


class Incumbent(Strict):
    """The live model's depth and pool, as `graft retrain` writes them; all null where nothing is live."""

    source: str | None = Field(description="Its source, as in candidates; or null.")
    revision: str | None = Field(description="Its revision, as in candidates; or null.")
    depth: int | None = Field(ge=0, description="Its blocks; or null.")
    pool: Pool | None = Field(description="Its pool; or null.")


class Selection(Strict):
    candidates: list[Candidate] = Field(min_length=1, description="Pre-trained models that compete.")
    pools: list[Pool] = Field(min_length=1, description="Ways to make one vector of a block's output.")
    limits: Limits
    folds: int = Field(ge=2, le=20, description="Folds of the linear probe's cross-validation.")
    max_rows: int = Field(ge=50, description="Rows the probe is scored on, at most.")
    references: dict[ReferenceName, Annotated[str, StringConstraints(min_length=1)]] = Field(
        description="Sets that are ranked by their distance to the training rows: name -> file or folder with "
        "data.input_column, of which no label is looked at."
    )
    incumbent: Incumbent
    strategy: Strategy


if TYPE_CHECKING:

    class Preparation(Strict):
        """A section per modality, as its `settings` module says."""

else:
    Preparation = create_model(
        "Preparation", __base__=Strict, **{name: (part(name, "settings").Settings, ...) for name in MODALITIES}
    )


if TYPE_CHECKING:

    class Augmentation(Strict):
        """A section per modality, as its `settings` module says."""

else:
    Augmentation = create_model(
        "Augmentation", __base__=Strict, **{name: (part(name, "settings").Augmentation, ...) for name in MODALITIES}
    )


class Adaptation(Strict):
    scope: Scope
    objective: Objective
    training: Training = Field(description="Of every scope that learns by gradient steps.")
    search: Search
    balance: Literal["none", "weights", "resample"] = Field(
        description="How every label counts the same in training: by weights in the loss, or by as many rows an epoch."
    )
    augmentation: Augmentation


class Receipt(Strict):
    scratch: Training = Field(description="The control from scratch: its own search, at least as many steps.")
    metric: Literal["accuracy", "macro_f1"] = Field(description="Score the verdict is about.")
    resamples: int = Field(ge=100, le=100_000, description="Bootstrap resamples of every interval.")
    gate: Literal["better", "not_worse", "off"] = Field(
        description="What the verdict must be for the run to pass: better than every control, or not worse."
    )


Form = Literal["optimised", "int8", "int8_per_tensor", "int8_static", "int8_static_per_tensor", "float16"]


class Deployment(Strict):
    opset: int = Field(ge=18, le=23, description="ONNX operator set.")
    max_logit_difference: float = Field(
        gt=0,
        description="Tolerance between torch and ONNX float32, optimised or not, as a share of the largest logit, of 1 "
        "at least.",
    )
    forms: list[Form] = Field(
        description="Forms of the model that compete with float32: attention fused (optimised), dynamically quantised "
        "with a scale a column or a matrix, statically quantised, half precision (for GPUs)."
    )
    max_loss: Share = Field(
        description="Budget: the fastest form ships of those whose loss has its upper 95 % bound inside."
    )
    calibration_rows: int = Field(
        ge=1, le=10_000, description="Training rows that static quantisation reads the ranges of activations off."
    )


class Monitoring(Strict):
    window_rows: int = Field(
        ge=10,
        le=256,  # half of `drift.SAMPLE_ROWS`: more would be lowered to it without a word
        description="Answers that are compared with the drift reference at once; at most half of it.",
    )
    false_alarm_rate: float = Field(
        gt=0, le=0.5, description="Share of windows without drift that may raise an alarm: what the limits are set by."
    )
    gate: Literal["better", "not_worse", "non_inferior"] = Field(
        description="What becomes the champion: what is not worse on old rows and better on new ones, at 95 % or, for "
        "not_worse, where that decides nothing, by log loss; non_inferior: at most the margin worse on both, at 95 %."
    )
    margin: float = Field(
        ge=0, le=0.5, description="By how much a non_inferior model may be worse, as a share of receipt.metric."
    )
