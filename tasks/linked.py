"""A linked worktree of git beside the user's checkout: files of a commit, data out of the same DVC cache."""

from __future__ import annotations

import configparser
import os
import shutil
import time
from pathlib import Path

from tasks.artifacts import write_text
from tasks.errors import InputError
from tasks.reproduce import dvc
from tasks.versions import git, repository

NO_HOOKS = ("-c", "core.hooksPath=/dev/null")
# What stays in a worktree although no commit has it: resume state, features, DVC's own settings.
KEPT = ("-e", ".graft", "-e", ".dvc")
# DVC's settings that a worktree has as they are in the checkout now, whatever its commit says, and which are places.
SHARED_SETTINGS = {"core": ("remote",), "cache": ("dir",), "remote": ("url",)}
PLACES = {"dir", "url"}
LOCKS = ("index.lock", "HEAD.lock")
# A git command that outlives the process that started it is left to end; a lock older than this has nobody.
ABANDONED_SECONDS = 10.0


def commit_of(home: Path, revision: str) -> str:
    """Full name of a commit.

    Raises:
        InputError: there is no such revision, or no repository.
    """
    if repository(home) is None:
        raise InputError("This project lies in no git repository: `git init`, and commit it.")
    try:
        return git(home, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").strip()
    except InputError:
        told = "nothing is committed" if revision == "HEAD" else f"there is no commit or tag {revision}"
        raise InputError(f"In this repository {told}: commit the project, or name another revision.") from None


def stand_on(home: Path, place: Path, commit: str) -> Path:
    """Let the worktree in `place` have the files of a commit and no other; it is made or mended if need be.

    Args:
        home: the project's folder in the user's checkout.
        place: where the worktree lies, a folder that git ignores.
        commit: where to stand, with no branch checked out.

    Returns:
        The project's folder in the worktree.

    Raises:
        InputError: the commit has no project there.
    """
    if not is_linked(home, place):
        remove(home, place)
        git(home, *NO_HOOKS, "worktree", "add", "--detach", "--no-checkout", str(place), commit)
    folder = Path(git(place, "rev-parse", "--absolute-git-dir").strip())
    drop_locks(*(folder / name for name in LOCKS))
    git(place, *NO_HOOKS, "checkout", "-q", "--detach", "--force", commit)
    git(place, "clean", "-ffdq", *KEPT)
    root = place / git(home, "rev-parse", "--show-prefix").strip()
    missing = [name for name in ("params.yaml", "dvc.yaml", ".dvc/config") if not (root / name).is_file()]
    if missing:
        raise InputError(
            f"Commit {commit[:9]} has no {missing[0]} of this project: commit it, or name another revision."
        )
    return root


def is_linked(home: Path, place: Path) -> bool:
    """Whether a worktree of this very repository lies there, not that of one it was copied or moved from."""
    if not (place / ".git").is_file():
        return False
    ours = git(home, "rev-parse", "--git-common-dir").strip()
    try:
        top, theirs = git(place, "rev-parse", "--show-toplevel", "--git-common-dir").splitlines()
    except InputError:
        return False
    same = Path(top) == place.resolve() and (place / theirs).resolve() == (home / ours).resolve()
    return same and _is_registered(home, place)


def _is_registered(home: Path, place: Path) -> bool:
    return f"worktree {place.resolve()}" in git(home, "worktree", "list", "--porcelain").splitlines()


def drop_locks(*paths: Path) -> None:
    """Drop what a killed git command still holds; one that another still works under is waited for."""
    for path in paths:
        while (age := _age(path)) is not None and age < ABANDONED_SECONDS:
            time.sleep(0.1)
        if age is not None:
            path.unlink(missing_ok=True)


def _age(path: Path) -> float | None:
    """Seconds since a file was written; None if there is none."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None


def remove(home: Path, place: Path) -> None:
    """Take a worktree away, whole or half made; worktrees of the user's own are left alone, there or not."""
    shutil.rmtree(place, ignore_errors=True)
    if _is_registered(home, place):
        git(home, "worktree", "remove", "--force", "--force", str(place.resolve()))


def share_data(home: Path, root: Path) -> None:
    """Let DVC in the worktree have the cache, the remotes and the credentials of the user's checkout.

    Raises:
        InputError: DVC's settings there cannot be read.
    """
    link(home / ".dvc/cache", root / ".dvc/cache")
    own = home / ".dvc/config.local"
    settings = _settings(own)
    for section, values in _settings(home / ".dvc/config").items():
        shared = {name: value for name, value in values.items() if name in SHARED_SETTINGS.get(section.split()[0], ())}
        settings[section] = shared | settings.get(section, {})
    for section, name in ((section, name) for section, values in settings.items() for name in PLACES & values.keys()):
        place = settings[section][name].strip("\"'")
        if "://" not in place and not place.startswith("~"):
            # Counted from the folder of the file that names it, which is another one in the worktree.
            settings[section][name] = os.path.normpath(home / ".dvc" / place)
    lines = [
        f"['{section}']\n" + "".join(f"{k} = {v}\n" for k, v in values.items()) for section, values in settings.items()
    ]
    mode = own.stat().st_mode & 0o777 if own.is_file() else 0o600
    write_text(root / ".dvc/config.local", "".join(lines), mode=mode)


def link(folder: Path, place: Path) -> None:
    """Have a folder of the checkout in the worktree, too."""
    for made in (folder, place.parent):
        made.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        place.symlink_to(folder)


def _settings(path: Path) -> dict[str, dict[str, str]]:
    """Section -> name -> value of a file of DVC's, as far as they are strings."""
    parser = configparser.ConfigParser(interpolation=None, strict=False, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    try:
        parser.read_string("\n".join(line.strip() for line in text.splitlines()))
    except configparser.Error as error:
        raise InputError(f".dvc/{path.name} cannot be read ({str(error).splitlines()[0]}): correct it.") from None
    return {name.strip("'"): dict(parser[name]) for name in parser.sections()}


def refusal(lines: list[str]) -> str:
    """What DVC gave as its reason, in one line."""
    said = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")] or lines[-1:]
    return (said[-1] if said else "without a word").rpartition(" - ")[2][:300].rstrip(".")


def fetch(root: Path, *targets: str) -> str | None:
    """Put in place what DVC's cache has of these targets, or else its remote.

    Args:
        root: the project's folder.
        targets: `.dvc` files; none for these and the last outputs.

    Returns:
        Why DVC did not find all of it, if so.
    """
    for arguments in (("checkout", "--force", *targets), ("pull", "--force", *targets)):
        code, lines = dvc(root, *arguments)
        if code == 0:
            return None
    return refusal(lines)


def fetch_sources(root: Path, commit: str) -> None:
    """Put data and models in place, as far as DVC keeps them.

    Raises:
        InputError: neither cache nor remote has them all.
    """
    sources = git(root, "ls-files", "-z", "--", "*.dvc").split("\0")[:-1]
    reason = fetch(root, *sources) if sources else None
    if reason:
        raise InputError(
            f"DVC cannot bring the data of commit {commit[:9]} from its cache or remote ({reason}): `dvc push` them "
            "from where they are, or name their place with `dvc remote modify --local storage url URL`."
        )
