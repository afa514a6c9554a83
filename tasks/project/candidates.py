"""A model's source as the user names it -> a candidate of params.yaml, pinned by content or commit."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pydantic import ValidationError

from tasks import hub, versions
from tasks.artifacts import new_folder, sha256_file
from tasks.errors import InputError
from tasks.params import Candidate
from tasks.weights import WEIGHTS, described_files, resolve

MODELS = "models"
UNPINNED = {"package": "0" * 64, "path": "0" * 64, "hub": "0" * 40}


def pin(source: str, base: Path) -> Candidate:
    """The candidate with the sha256 of its weights, or the commit that the hub has for it now.

    Args:
        source: package:NAME, path:FOLDER or hub:OWNER/NAME.
        base: the folder from which a path counts.

    Raises:
        InputError: another kind of source, no such package or folder, no safetensors, no answer of the hub.
    """
    scheme, _, name = source.partition(":")
    try:
        unpinned = Candidate(source=source, revision=UNPINNED.get(scheme, ""))
    except ValidationError:
        raise InputError(
            f"--model {source} is no source of a model: write package:NAME, path:FOLDER or hub:OWNER/NAME."
        ) from None
    if scheme == "path" and not (base / name).is_dir():
        raise InputError(f"There is no model folder {name}: correct --model.")
    if scheme != "hub":
        revision = sha256_file(resolve(unpinned, base, hashed=False) / WEIGHTS)
    else:
        revision = _cached_commit(name) if hub.offline() else hub.commit(name)
    return Candidate(source=source, revision=revision)


def bring_in(candidate: Candidate, base: Path, root: Path, place: Path) -> tuple[Candidate, list[str]]:
    """The candidate as params.yaml may name it: a folder outside is copied to models/, with its card and no code.

    Args:
        candidate: as `pin` made it.
        base: the folder from which its path counts.
        root: the project's folder.
        place: where the project is being made, which may not be its folder yet; git and DVC are there.

    Returns:
        The candidate, and the files that git has to keep of a copy.

    Raises:
        InputError: another model has its place, or DVC refuses.
    """
    scheme, _, name = candidate.source.partition(":")
    if scheme != "path":
        return candidate, []
    folder = Path(os.path.abspath(base / name))
    if folder.is_relative_to(root):
        return candidate.model_copy(update={"source": f"path:{folder.relative_to(root).as_posix()}"}), []
    path = f"{MODELS}/{folder.name}"
    if (place / path).exists():
        raise InputError(f"There is a model {path} already, and nothing is overwritten: rename one of them.")
    with new_folder(place / path) as copy:
        for file in described_files(folder):
            shutil.copyfile(file, copy / file.name)
    return candidate.model_copy(update={"source": f"path:{path}"}), versions.track(place, path)


def _cached_commit(name: str) -> str:
    """The commit that the local cache has of the hub's main branch."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True)).name
    except (HFValidationError, LocalEntryNotFoundError):
        raise InputError(
            f"hub:{name} is not in the local hub cache and HF_HUB_OFFLINE is set: unset it or use a path."
        ) from None
