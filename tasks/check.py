"""Every fault of params, environment, data and weights that can be told before anything is spent."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tasks import environment, modalities
from tasks.errors import InputError
from tasks.params import Candidate, Data, Params, Preparation, Project, load, read_tree
from tasks.rows import references
from tasks.rows.clean import load as load_rows
from tasks.rows.kind import refuse_other_problem
from tasks.sources.url import refuse_secrets
from tasks.stage import read_dvc_yaml
from tasks.weights import CONFIG, resolve


def check(root: Path, deep: bool = False) -> list[str]:
    """Every fault at once, each one sentence; nothing is changed.

    Args:
        root: the project's folder.
        deep: also hash the weights of every candidate, and download a hub candidate that is not here.
    """
    path = root / "params.yaml"
    try:
        params = load(path)
    except InputError as error:
        return [*_data_faults(root, path), *error.sentences]
    # What is no class at all makes the rows' own faults follow.
    found = _sentences(lambda: refuse_other_problem(root, params)) or _sentences(lambda: load_rows(root, params))
    found += environment.faults(root, params)
    if params.source.url is not None:
        found += _sentences(functools.partial(refuse_secrets, params.source.url))
    found += _sentences(lambda: read_dvc_yaml(root))
    found += _sentences(lambda: references.load(root, params))
    named = (params.data.path, params.data.test, params.data.feedback, *params.selection.references.values())
    found += _left_to_dvc(root, [path for path in named if path is not None])
    for candidate in params.selection.candidates:
        if deep or not candidate.source.startswith("hub:"):
            found += _sentences(functools.partial(_prepares, candidate, root, params, hashed=deep))
    return found


def _prepares(candidate: Candidate, root: Path, params: Params, hashed: bool) -> None:
    """Refuse a candidate that is not here, or that brings nothing to prepare examples of this modality with."""
    folder = resolve(candidate, root, hashed)
    try:
        modalities.part(params.project.modality, "encode").from_model(folder, params.examples)
    except ValueError:
        raise InputError(f"{CONFIG} of {candidate.source} cannot be read: restore the file.") from None


def _data_faults(root: Path, path: Path) -> list[str]:
    """Faults of the data when the rest of the params is broken; none when a section is that they depend on."""
    try:
        tree = read_tree(path)
        params = Params.model_construct(
            project=Project.model_construct(modality=(tree.get("project") or {}).get("modality")),
            data=Data.model_validate(tree.get("data")),
            preparation=Preparation.model_validate(tree.get("preparation")),
        )
        params.examples  # noqa: B018  a modality that there is
    except (InputError, ValidationError, AttributeError, TypeError):
        return []
    return _sentences(lambda: load_rows(root, params))


def _left_to_dvc(root: Path, paths: Sequence[str]) -> list[str]:
    """After a clone, a merge or a checkout of git, files that DVC keeps are not there yet."""
    away = [path for path in paths if not (root / path).exists() and (root / f"{path}.dvc").is_file()]
    return [
        f"DVC keeps {path}: `dvc checkout {path}.dvc` brings it, or `dvc pull {path}.dvc` from the remote."
        for path in away
    ]


def _sentences(attempt: Callable[[], Any]) -> list[str]:
    try:
        attempt()
    except InputError as error:
        return error.sentences
    return []


def refuse_unusable(root: Path, deep: bool = True) -> Params:
    """Check before DVC is asked for anything.

    Raises:
        InputError: with all faults found.
    """
    faults = check(root, deep)
    if faults:
        raise InputError(faults)
    return load(root / "params.yaml")
