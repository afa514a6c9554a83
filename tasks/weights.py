"""Where pre-trained weights come from: package, path, hub -> a local folder whose content was checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import yaml

from tasks import hub
from tasks.artifacts import sha256_file
from tasks.errors import InputError
from tasks.params import Candidate

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
LICENCE_CHARACTERS = 60
ENCODERS = ("tokenizer.json", "preprocessor_config.json")
# What a snapshot takes along: no code, no pickle, no second copy of the weights in another format.
KEPT_SUFFIXES = (".json", ".txt", ".safetensors", ".model")
# The model card, which names the licence.
CARD = "README.md"
FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*$", re.DOTALL | re.MULTILINE)


def resolve(candidate: Candidate, root: Path, hashed: bool = True) -> Path:
    """Local folder of a candidate, checked against its revision.

    Args:
        candidate: source and revision as params.yaml names them.
        root: the project's folder, from which `path:` sources count.
        hashed: False to look only whether the files are there.

    Raises:
        InputError: no such package, folder or hub repository; no safetensors; another content than pinned.
    """
    scheme, name = candidate.source.split(":", 1)
    folder = SOURCES[scheme](name, candidate.revision, root)
    for needed in (CONFIG, WEIGHTS):
        if not (folder / needed).is_file():
            raise InputError(
                f"{candidate.source} holds no {needed}: only Hugging Face folders with safetensors are loaded; "
                "save the model with save_pretrained(..., safe_serialization=True)."
            )
    if scheme != "hub" and hashed:
        found = sha256_file(folder / WEIGHTS)
        if found != candidate.revision:
            raise InputError(
                f"{candidate.source}: the sha256 of {WEIGHTS} is {found[:12]}…, params.yaml pins "
                f"{candidate.revision[:12]}…: restore the file or pin the new sha256 on purpose."
            )
    return folder


def _package(name: str, _: str, root: Path) -> Path:
    try:
        files = metadata.files(name) or []
    except metadata.PackageNotFoundError:
        raise InputError(f"Package {name} is not installed: add it to the environment or drop the candidate.") from None
    for file in files:
        folder = Path(str(file.locate())).parent
        if file.name == WEIGHTS and (folder / CONFIG).is_file():
            return folder
    raise InputError(f"Package {name} carries no folder with {CONFIG} and {WEIGHTS}: it is no model package.")


def _path(name: str, _: str, root: Path) -> Path:
    folder = (root / name).resolve()
    if not folder.is_dir():
        raise InputError(f"There is no model folder {name}: correct the candidate's source in params.yaml.")
    return folder


def _hub(name: str, revision: str, _: Path) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    patterns = [*(f"*{suffix}" for suffix in KEPT_SUFFIXES), CARD]
    try:
        there = Path(snapshot_download(name, revision=revision, allow_patterns=patterns, local_files_only=True))
        # Another program may have cached the tokenizer alone, or all but what prepares the examples.
        if (
            (there / CONFIG).is_file()
            and (there / WEIGHTS).is_file()
            and any((there / name).is_file() for name in ENCODERS)
        ):
            return there
    except LocalEntryNotFoundError:
        pass
    except HFValidationError:
        raise InputError(f"hub:{name} is not the name of a repository: write hub:OWNER/NAME.") from None
    if hub.offline():
        raise InputError(
            f"hub:{name} at {revision[:12]}… is not in the local hub cache and HF_HUB_OFFLINE is set: "
            "unset it or use a path."
        )
    return hub.download(name, revision, patterns)


SOURCES: dict[str, Callable[[str, str, Path], Path]] = {"package": _package, "path": _path, "hub": _hub}


def companions(candidate: Candidate, root: Path) -> dict[str, str] | None:
    """Name -> sha256 of config, tokenizer, card and the like beside the weights, which a pinned sha256 does not cover.

    Returns:
        None for a hub candidate, whose commit covers them, and for one that is not there.
    """
    scheme, name = candidate.source.split(":", 1)
    if scheme == "hub":
        return None
    try:
        folder = SOURCES[scheme](name, candidate.revision, root)
    except InputError:
        return None
    return {path.name: sha256_file(path) for path in described_files(folder) if path.name != WEIGHTS}


def licence(candidate: Candidate, folder: Path) -> str | None:
    """What the model card's front matter, else the package's metadata names as licence; None if neither does.

    Args:
        candidate: where the model comes from.
        folder: as `resolve` gives it.
    """
    scheme, name = candidate.source.split(":", 1)
    card = folder / CARD
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    front = FRONT_MATTER.match(text)
    try:
        entries = yaml.safe_load(front[1]) if front else None
    except yaml.YAMLError:
        entries = None
    named = entries.get("license") if isinstance(entries, dict) else None
    if named is None and scheme == "package":
        described = metadata.metadata(name)
        named = next((described[key] for key in ("License-Expression", "License") if key in described), None)
    # Some packages put the whole text there.
    return named if isinstance(named, str) and 0 < len(named) <= LICENCE_CHARACTERS else None


def described_files(folder: Path) -> list[Path]:
    """The files of a snapshot and the model card, sorted by name."""
    card = folder / CARD
    return sorted([*snapshot_files(folder), *([card] if card.is_file() else [])])


def snapshot_files(folder: Path) -> list[Path]:
    """The files of a model folder that a snapshot keeps, sorted by name."""
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in KEPT_SUFFIXES)
