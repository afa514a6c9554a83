"""A new project: the user's data and models under DVC, params.yaml with their values, one commit."""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tasks import fingerprint, versions, zero_shot
from tasks.artifacts import new_folder, write_text
from tasks.errors import InputError
from tasks.modalities import part
from tasks.params import Candidate
from tasks.project.candidates import bring_in, pin
from tasks.project.folder import as_it_was, copy, ignore
from tasks.project.guess import Ask, Given, Guess, guess
from tasks.project.template import with_values
from tasks.rows.read import read_source
from tasks.rows.table import check_columns
from tasks.sources.snapshot import RECORD, Snapshot
from tasks.words import counted

RAW = "data/raw"
FEWEST_ROWS = 2
Say = Callable[[str], None]


@dataclass(frozen=True)
class Wishes:
    """What the user asks of a new project.

    Attributes:
        data: file or folder.
        test: the source's own test set, of the same kind and columns.
        given: what the data are, as far as the user says.
        models: sources of the candidates; none for the modality's own.
        commit: whether to commit in a repository that was there before.
        snapshot: what `data` is one of, if it was fetched.
    """

    data: Path
    test: Path | None = None
    given: Given = field(default_factory=Given)
    models: Sequence[str] = ()
    commit: bool = False
    snapshot: Snapshot | None = None


@dataclass(frozen=True)
class Created:
    """What was made.

    Attributes:
        told: a sentence for each thing that was guessed or chosen.
        params: dotted leaf of params.yaml -> the value it got.
        files: what git has to keep, from the project's folder.
        committed: whether it does already.
    """

    told: list[str]
    params: dict[str, Any]
    files: list[str]
    committed: bool


def create(directory: Path, wishes: Wishes, ask: Ask | None, say: Say) -> Created:
    """Make a project in a folder; a failure leaves the folder as it was.

    Args:
        directory: the project's folder, which need not be there.
        wishes: what the user said.
        ask: puts a question that stays open, with the answers to choose from, if any; without it that is refused.
        say: receives a sentence for each thing that was guessed or chosen, at once.

    Raises:
        InputError: a project is there, data or models cannot be used, git or DVC refuses.
    """
    root, data = _absolute(directory), _absolute(wishes.data)
    test = _absolute(wishes.test) if wishes.test else None
    _refuse_places(root, data, test)
    template = (fingerprint.HOUSE / "params.yaml").read_text(encoding="utf-8")
    told: list[str] = []

    def tell(sentence: str) -> None:
        told.append(sentence)
        say(sentence)

    values, candidates = _settled(data, test, wishes, yaml.safe_load(template)["data"], ask, tell)
    ours = versions.repository(root) is None
    with new_folder(root) if ours and not root.exists() else as_it_was(root) as place:
        made = _Project(root, place)
        made.under_versions(ours, tell)
        values |= {
            "project.name": _project_name(root.name),
            "data.path": made.data(data),
            "data.test": made.data(test) if test else None,
            "selection.candidates": [made.model(candidate).model_dump() for candidate in candidates],
        }
        if wishes.snapshot:
            values |= {"source.url": wishes.snapshot.source, "source.query": wishes.snapshot.query}
            made.recorded(wishes.snapshot, values["data.path"])
        made.described(with_values(template, values))
        if ours or wishes.commit:
            versions.commit(place, made.files, f"Begin the Graft project {values['project.name']}")
    return Created(told, values, made.files, ours or wishes.commit)


def described(options: Sequence[str]) -> dict[str, str]:
    """Label -> words of options like LABEL=WORDS, or LABEL for its name.

    Raises:
        InputError: no label, one that stands twice, or no words behind the sign.
    """
    found: dict[str, str] = {}
    for option in options:
        label, sign, words = (part.strip() for part in option.partition("="))
        if not label or label in found or (sign and not words):
            raise InputError(f"--describe {option!r}: give every label once, as LABEL or LABEL=WORDS.")
        found |= zero_shot.label_words([label], {label: words} if words else {})
    return found


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


def _refuse_places(root: Path, data: Path, test: Path | None) -> None:
    if root.exists() and not root.is_dir():
        raise InputError(f"{root.name} is a file: name another folder for the project.")
    for name in ("params.yaml", "dvc.yaml"):
        if (root / name).exists():
            raise InputError(
                f"The folder {root.name} has a {name} already, and nothing is overwritten: name another folder or, if "
                "it is a project, run `graft upgrade` there."
            )
    for source in (data, *([test] if test else [])):
        if not source.exists():
            raise InputError(f"There is no file or folder {source}: correct --data or --test.")
        if root.is_relative_to(source):
            raise InputError(f"The project would lie inside its data, {source.name}: name a folder beside them.")
    if test and test.name == data.name and not (data.parent == test.parent == root / RAW):
        raise InputError(
            f"--data and --test are both called {data.name} and would have one place in {RAW}: rename one of them."
        )
    if data == root / RAW:
        raise InputError(f"--data is {RAW} itself: name a file or folder that lies in it.")
    if test and (test.is_relative_to(data) or data.is_relative_to(test)):
        raise InputError(
            f"Of {data.name} and {test.name} one lies inside the other, so that test rows would be trained on: give "
            "two sources, or with --data alone a folder that has train and test below it."
        )


def _settled(
    data: Path, test: Path | None, wishes: Wishes, limits: dict[str, Any], ask: Ask | None, tell: Say
) -> tuple[dict[str, Any], list[Candidate]]:
    """Values and candidates, as far as they are known before anything is made."""
    found = guess(data, wishes.given, limits["max_rows"], limits["max_labels"], ask)
    for reason in found.reasons:
        tell(reason)
    if test:
        _refuse_other_test(data, test, found, limits["max_rows"])
    elif found.own_splits and "test" not in found.own_splits:
        named = " and ".join(sorted(found.own_splits))
        raise InputError(f"{data.name} says which rows are {named}, and none is test: name some so, or give --test.")
    if "validation" in found.own_splits:
        tell(f"Chosen: data.validation_share is 0, for {data.name} names validation rows of its own.")
    values = {
        "project.modality": found.modality,
        "project.problem": found.problem,
        "data.input_column": found.input_column,
        "data.label_column": found.label_column,
        "data.where": {},
        **({"data.validation_share": 0.0} if "validation" in found.own_splits else {}),
        **({"data.label_descriptions": dict(wishes.given.described)} if wishes.given.described else {}),
        "data.max_labels": _max_labels(found, limits["max_labels"], tell),
        "data.min_rows_per_label": _min_rows(found, limits["min_rows_per_label"], test is not None, tell),
    }
    sources = wishes.models or [_default_model(found.modality, ask, tell)]
    return values, [pin(source, Path.cwd()) for source in dict.fromkeys(sources)]


def _refuse_other_test(data: Path, test: Path, found: Guess, max_rows: int) -> None:
    if test.is_dir() != data.is_dir():
        raise InputError(f"Of {data.name} and {test.name} one is a folder: give --data and --test of one kind.")
    table = read_source(test, max_rows, None).table
    needed = [found.input_column, *([found.label_column] if found.label_rows else [])]
    check_columns(test.name, table, needed, "--test needs the columns of --data")


def _max_labels(found: Guess, most: int, tell: Say) -> int:
    labels = len(found.label_rows)
    if labels > most:
        tell(f"Chosen: data.max_labels is {labels}, not {most}, for so many does column {found.label_column} hold.")
    return max(labels, most)


def _min_rows(found: Guess, minimum: int, has_test: bool, tell: Say) -> int:
    """Lowered where rare labels would be quarantined; where a hash draws the test rows, it may draw half of a few."""
    enough = minimum if has_test or found.own_splits else 2 * minimum
    rare = sum(FEWEST_ROWS <= rows < enough for rows in found.label_rows)
    if not rare:
        return minimum
    few = counted(rare, "label")
    tell(f"Chosen: data.min_rows_per_label is {FEWEST_ROWS}, not {minimum}, for there are few rows of {few}.")
    return FEWEST_ROWS


def _default_model(modality: str, ask: Ask | None, tell: Say) -> str:
    source: str | None = part(modality, "source").DEFAULT_MODEL
    if source:
        try:
            pin(source, Path.cwd())
        except InputError:
            pass
        else:
            tell(f"Chosen: the only candidate is {source}, which is installed.")
            return source
    if ask is None:
        raise InputError(
            f"No pre-trained model for modality {modality} is installed: name one with --model, as path:FOLDER, "
            "package:NAME or hub:OWNER/NAME."
        )
    return ask("The pre-trained model, as path:FOLDER, package:NAME or hub:OWNER/NAME?", [])


def _project_name(folder: str) -> str:
    """The folder's name as `project.name` may be."""
    plain = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode("ascii").lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:63].strip("-") or "project"


@dataclass
class _Project:
    """A project in the making.

    Attributes:
        root: its folder.
        place: where it is made, which may become that folder only when all is well.
        files: what git has to keep so far.
    """

    root: Path
    place: Path
    files: list[str] = field(default_factory=list)

    def under_versions(self, ours: bool, tell: Say) -> None:
        if ours:
            versions.init_git(self.place)
        files = versions.init_dvc(self.place)
        if files:
            top = versions.repository(self.root) or self.root
            depth = len(self.root.relative_to(top).parts)
            folder = versions.add_remote(self.place, _project_name(self.root.name), depth)
            tell(f"Chosen: DVC's remote is the folder {folder}; `dvc remote modify storage url URL` sets another.")
        self.files += files
        self.files += ignore(self.place)

    def model(self, candidate: Candidate) -> Candidate:
        candidate, files = bring_in(candidate, Path.cwd(), self.root, self.place)
        self.files += files
        return candidate

    def data(self, source: Path) -> str:
        """Path of the data below data/raw, where DVC tracks them unless git does."""
        if source.is_relative_to(self.root / RAW):
            path = source.relative_to(self.root).as_posix()
        else:
            path = f"{RAW}/{source.name}"
            copy(source, self.place / path)
        if not versions.tracked(self.place, path):
            self.files += versions.track(self.place, path)
        return path

    def recorded(self, snapshot: Snapshot, path: str) -> None:
        snapshot.write_record(self.place / path)
        self.files.append(f"{path}{RECORD}")

    def described(self, params: str) -> None:
        write_text(self.place / "params.yaml", params)
        shutil.copyfile(fingerprint.HOUSE / "dvc.yaml", self.place / "dvc.yaml")
        fingerprint.write(self.place)
        self.files = [*dict.fromkeys([*self.files, "params.yaml", "dvc.yaml", "code.yaml"])]
