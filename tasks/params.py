"""`params.yaml`: every value that can change a result, each leaf claimed by exactly one class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationError,
    create_model,
    model_validator,
)  # fmt: skip

from tasks.errors import InputError
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
    where: dict[str, Scalar] = Field(description="Rows kept: column -> value.")
    test_share: Share = Field(description="Share of rows held out for the receipt; ignored with `test`.")
    validation_share: Share = Field(description="Share of the other rows that steers the training.")
    min_rows_per_label: int = Field(ge=2, description="Labels with fewer rows are quarantined.")
    max_labels: int = Field(ge=2, le=10_000, description="More labels than this are refused.")
    max_rows: int = Field(ge=1, description="A larger source is refused.")


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
    max_logit_difference: float = Field(gt=0, description="Tolerance between torch and ONNX float32.")
    int8: Int8


class Params(Strict):
    """All of `params.yaml`."""

    project: Project
    data: Data
    resources: Resources
    selection: Selection
    preparation: Preparation
    adaptation: Adaptation
    receipt: Receipt
    deployment: Deployment

    @property
    def examples(self) -> Any:
        """The section of `preparation` that the project's modality reads."""
        return getattr(self.preparation, self.project.modality)

    @model_validator(mode="after")
    def _control_is_treated_fairly(self) -> Params:
        if self.receipt.scratch.epochs < self.adaptation.scope.full.epochs:
            raise ValueError(
                "receipt.scratch.epochs must be at least adaptation.scope.full.epochs, "
                "or the control from scratch learns for less time than the model it is compared with"
            )
        if self.receipt.scratch.batch_rows > self.adaptation.scope.full.batch_rows:
            raise ValueError(
                "receipt.scratch.batch_rows must not exceed adaptation.scope.full.batch_rows, "
                "or the control from scratch takes fewer steps than the model it is compared with"
            )
        if self.data.test is not None and Path(self.data.test) == Path(self.data.path):
            raise ValueError("data.test must be another file than data.path, or null")
        return self


def leaves(tree: dict[str, Any], model: type[BaseModel] = Params, prefix: str = "") -> dict[str, Any]:
    """Flat view of a params tree: dotted path -> value, down to what no params class divides further."""
    flat: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        value, path = tree[name], f"{prefix}{name}"
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            flat |= leaves(value, kind, f"{path}.")
        else:
            flat[path] = value
    return flat


def read_tree(path: Path) -> dict[str, Any]:
    """The sections of `params.yaml`, unchecked.

    Raises:
        InputError: no file, no YAML, no sections.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"There is no {path.name} in this folder: run graft from a project's folder or name it with --project."
        ) from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        place = getattr(error, "problem_mark", None)
        where = f" at line {place.line + 1}" if place else ""
        raise InputError(f"{path.name} is not valid YAML in UTF-8{where}: correct it there.") from None
    if not isinstance(tree, dict):
        raise InputError(f"{path.name} holds no sections: `graft schema` prints what is accepted.")
    return tree


def load(path: Path) -> Params:
    """Read and check `params.yaml`.

    Raises:
        InputError: with a sentence for every fault found, each naming the leaf and what is accepted.
    """
    tree = read_tree(path)
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        raise InputError([_sentence(path.name, fault) for fault in error.errors()]) from None


def _sentence(file: str, fault: Any) -> str:
    where = ".".join(str(part) for part in fault["loc"]) or "the whole file"
    if fault["type"] == "extra_forbidden":
        accepted = ", ".join(_fields_beside(fault["loc"]))
        return f"{file}: {where} is not a known key; accepted here: {accepted}."
    if fault["type"] == "missing":
        return f"{file}: {where} is missing; `graft schema` prints its meaning and range."
    given = "" if isinstance(fault["input"], dict | BaseModel) else f", not {fault['input']!r}"
    message = fault["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{file}: {where}: {message}{given}."


def _fields_beside(location: tuple[int | str, ...]) -> list[str]:
    model: Any = Params
    for key in location[:-1]:
        if isinstance(key, int):
            continue
        annotation = model.model_fields[key].annotation
        arguments = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type)]
        model = arguments[0] if arguments else annotation
    return sorted(model.model_fields)
