"""The folder of a new project: what is copied into it, what git and DVC overlook there, and the way back."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.artifacts import sha256_folder, sha256_source
from tasks.errors import InputError, refused_write
from tasks.reproduce import PHASES
from tasks.words import counted

# Folder by folder: behind a pattern for all of data/, DVC finds none of its own files and pushes no data.
IGNORING = {
    ".gitignore": ("/.graft/", "/releases/", *(f"/data/{phase}/" for phase in PHASES), "/dvc_plots/", "__pycache__/"),
    ".dvcignore": ("/.graft/", "/releases/", "__pycache__/"),
}

# All that a project is made of at first, so that only there anything is taken away again.
MADE = (*IGNORING, ".dvc", ".git", "code.yaml", "data", "dvc.yaml", "models", "params.yaml")


@contextmanager
def as_it_was(folder: Path) -> Iterator[Path]:
    """Fill a folder that may hold other files; a failure takes away what was made and restores what git ignores."""
    there = folder.exists()
    names = [name for name in MADE if name != ".git" or not (folder / name).exists()]
    folder.mkdir(parents=True, exist_ok=True)
    before = _paths(folder, names)
    ignoring = {path: path.read_bytes() for path in before if path.name in IGNORING}
    try:
        yield folder
    except BaseException:
        for path in sorted(_paths(folder, names) - before, reverse=True):
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
        for path, content in ignoring.items():
            path.write_bytes(content)
        if not there:
            folder.rmdir()
        raise


def _paths(folder: Path, names: list[str]) -> set[Path]:
    tops = [folder / name for name in names if (folder / name).exists()]
    return {path for top in tops for path in (top, *top.rglob("*"))}


def ignore(folder: Path) -> list[str]:
    """Let git and DVC overlook what a project makes; lines that are there stay.

    Returns:
        The files that say so.
    """
    for name, wanted in IGNORING.items():
        path = folder / name
        there = path.read_text(encoding="utf-8") if path.exists() else ""
        lines = [line for line in wanted if line not in there.splitlines()]
        gap = "\n" if there and not there.endswith("\n") else ""
        path.write_text(there + gap + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return [*IGNORING]


def _visible(path: Path) -> dict[str, str]:
    """Name -> sha256 of the file, or of each file of the folder that is copied."""
    if path.is_file():
        return {"": sha256_source(path)}
    return {name: digest for name, digest in sha256_folder(path).items() if not re.search(r"(^|/)\.", name)}


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder, unless the same is there.

    Raises:
        InputError: something else is there, or a file cannot be copied, such as a link to nothing.
    """
    if target.exists():
        if _visible(target) != _visible(source):
            raise InputError(
                f"There is another {target.name} where this one would be copied to, in {target.parent.name}: rename "
                "one of them."
            )
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        shutil.copyfile(source, target)
        return
    # Neither hidden files, which nothing reads, nor permissions that would keep their owner from removing them.
    try:
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(".*"), copy_function=shutil.copyfile)
    except shutil.Error as error:
        if refused_write(error):
            raise
        path, _, reason = error.args[0][0]
        first = str(reason).replace(str(path), os.path.relpath(path, source))[:200]
        count = counted(len(error.args[0]), "file")
        raise InputError(
            f"{count} in {source.name} cannot be copied, the first for this: {first}; mend or remove what is named so."
        ) from None
    for folder in (target, *(path for path in target.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
