"""`params.yaml`: every value that can change a result, each leaf claimed by exactly one class."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn, get_origin

import yaml
from pydantic import BaseModel, ValidationError, model_validator

from tasks import modalities
from tasks.errors import InputError
from tasks.rows.settings import Data, Rule
from tasks.sections import (
    Adaptation,
    Candidate,
    Deployment,
    Halving,
    Incumbent,
    Limits,
    Monitoring,
    Preparation,
    Project,
    Receipt,
    Resources,
    Selection,
    Source,
    Strategy,
)
from tasks.strict import Strict
from tasks.training.settings import FrozenScope, Search, Training

__all__ = [
    "Adaptation",
    "Candidate",
    "Data",
    "Deployment",
    "FrozenScope",
    "Halving",
    "Incumbent",
    "Limits",
    "Monitoring",
    "Params",
    "Preparation",
    "Project",
    "Receipt",
    "Rule",
    "Search",
    "Source",
    "Strategy",
    "Training",
    "leaves",
    "load",
    "read_tree",
]


class Params(Strict):
    """All of `params.yaml`."""

    project: Project
    data: Data
    source: Source
    resources: Resources
    selection: Selection
    preparation: Preparation
    adaptation: Adaptation
    receipt: Receipt
    deployment: Deployment
    monitoring: Monitoring

    @property
    def examples(self) -> Any:
        """The section of `preparation` that the project's modality reads."""
        return getattr(self.preparation, self.project.modality)

    @property
    def augmentation(self) -> Any:
        """The section of `adaptation.augmentation` that the project's modality reads."""
        return getattr(self.adaptation.augmentation, self.project.modality)

    @property
    def augments(self) -> bool:
        """Whether any training row is changed."""
        settings = self.augmentation
        return bool(max(getattr(settings, name) for name in type(settings).model_fields))

    @property
    def pairs(self) -> bool:
        """Whether `auto` learns from few rows of the project's modality by pairs."""
        return bool(modalities.part(self.project.modality, "settings").PAIRS)

    @model_validator(mode="after")
    def _augmentation_needs_steps(self) -> Params:
        if self.adaptation.scope.kind == "frozen" and self.augments:
            raise ValueError(
                "adaptation.augmentation changes rows anew each epoch, but the scope frozen learns from features that "
                "are computed once: set adaptation.scope.kind to full, or all of augmentation to 0"
            )
        return self

    @model_validator(mode="after")
    def _search_needs_steps(self) -> Params:
        search, kind = self.adaptation.search, self.adaptation.scope.kind
        if kind == "frozen" and (search.trials or search.seeds > 1):
            raise ValueError(
                "adaptation.search is of trainings by gradient steps, but the scope frozen solves its head, with C by "
                "cross-validation: set adaptation.scope.kind to full, or search.trials to 0 and search.seeds to 1"
            )
        if search.trials and search.space.lora_rank and kind not in ("auto", "lora"):
            raise ValueError(
                f"adaptation.search.space.lora_rank is of the scope lora, but adaptation.scope.kind is {kind}: set one "
                "to lora, or the other to null"
            )
        return self

    @model_validator(mode="after")
    def _pairs_need_a_body_that_learns(self) -> Params:
        if self.adaptation.scope.kind == "frozen" and self.adaptation.objective.kind == "contrastive":
            raise ValueError(
                "adaptation.objective.kind contrastive moves the body by pairs of rows, but under the scope frozen "
                "nothing of it learns: set adaptation.scope.kind to full, or objective.kind to supervised"
            )
        return self

    @model_validator(mode="after")
    def _pairs_beside_labels_need_both(self) -> Params:
        adaptation = self.adaptation
        scope, objective, name = adaptation.scope.kind, adaptation.objective.kind, "adaptation.objective.supervised"
        if not adaptation.objective.supervised.contrastive_weight.on:
            return self
        if scope in ("auto", "frozen") or objective == "contrastive":
            raise ValueError(
                f"{name}.contrastive_weight adds pairs to steps by labels, of which a training by scope.kind {scope} "
                f"and objective.kind {objective} may have none: set adaptation.scope.kind to full and "
                "objective.kind to supervised, or start and end of the weight to 0"
            )
        if adaptation.balance == "weights":
            raise ValueError(
                f"{name}.contrastive_weight adds pairs, which adaptation.balance weights does not weigh: set it to "
                "resample or none, or start and end of the weight to 0"
            )
        return self

    @model_validator(mode="after")
    def _pools_are_of_the_modality(self) -> Params:
        known = modalities.part(self.project.modality, "settings").POOLS
        if unknown := [pool for pool in self.selection.pools if pool not in known]:
            raise ValueError(
                f"selection.pools: modality {self.project.modality} has no pool {' or '.join(unknown)}, only "
                f"{', '.join(known)}"
            )
        return self

    @model_validator(mode="after")
    def _control_is_treated_fairly(self) -> Params:
        if self.receipt.scratch.epochs < self.adaptation.training.epochs:
            raise ValueError(
                "receipt.scratch.epochs must be at least adaptation.training.epochs, "
                "or the control from scratch learns for less time than the model it is compared with"
            )
        if self.receipt.scratch.batch_rows > self.adaptation.training.batch_rows:
            raise ValueError(
                "receipt.scratch.batch_rows must not exceed adaptation.training.batch_rows, "
                "or the control from scratch takes fewer steps than the model it is compared with"
            )
        return self

    @model_validator(mode="after")
    def _sources_are_files_of_their_own(self) -> Params:
        named = [Path(path) for path in (self.data.path, self.data.test, self.data.feedback) if path is not None]
        if len({*named}) < len(named):
            raise ValueError("data.path, data.test and data.feedback must be different files, or the last two null")
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


class _Loader(yaml.SafeLoader):
    """YAML as DVC reads it, where only true and false are booleans: `off` and `no` are words."""


BOOLEAN = "tag:yaml.org,2002:bool"
_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in forms if tag != BOOLEAN]
    for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(BOOLEAN, re.compile("(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


class _BareDate(yaml.MarkedYAMLError):
    """A date without quotation marks: DVC refuses the whole file for it, wherever it stands."""


def _refuse_date(_: yaml.SafeLoader, node: yaml.ScalarNode) -> NoReturn:
    raise _BareDate(problem=node.value, problem_mark=node.start_mark)


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _refuse_date)


def read_tree(path: Path) -> dict[str, Any]:
    """The sections of `params.yaml`, unchecked.

    Raises:
        InputError: no file, no YAML, a date without quotation marks, no sections.
    """
    try:
        tree = _Loader(path.read_text(encoding="utf-8")).get_single_data()
    except FileNotFoundError:
        raise InputError(
            f"There is no {path.name} in this folder: run graft from a project's folder or name it with --project."
        ) from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        place = getattr(error, "problem_mark", None)
        where = f" at line {place.line + 1}" if place else ""
        if isinstance(error, _BareDate):
            raise InputError(
                f"{path.name} holds a date without quotation marks{where}, which DVC does not read: "
                f'write "{error.problem}".'
            ) from None
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
        beside = _fields_beside(fault["loc"])
        near = get_close_matches(str(fault["loc"][-1]), beside, 1)
        accepted = f"the nearest is {near[0]}" if near else f"accepted here: {', '.join(beside)}"
        return f"{file}: {where} is not a known key; {accepted}."
    if fault["type"] == "missing":
        return f"{file}: {where} is missing; `graft schema` prints its meaning and range."
    if fault["loc"][-1:] == ("[key]",) and fault["type"] == "string_type":
        key = ".".join(map(str, fault["loc"][:-2]))
        given = Rule.spelled(fault["input"])
        return f'{file}: {key}: the key {given} is no text: write "{given}" in quotation marks.'
    given = "" if isinstance(fault["input"], dict | BaseModel) else f", not {fault['input']!r}"
    message = fault["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{file}: {where}: {message}{given}."


def _fields_beside(location: tuple[int | str, ...]) -> list[str]:
    model: Any = Params
    free = False  # whether the key is of the user's own choice, as a column's name is
    for key in location[:-1]:
        if isinstance(key, int) or free:
            free = False
            continue
        annotation = model.model_fields[key].annotation
        free = get_origin(annotation) is dict
        arguments = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type) and issubclass(a, BaseModel)]
        model = arguments[0] if arguments else annotation
    return sorted(model.model_fields)
