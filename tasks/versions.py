"""git and DVC as keepers of versions: a repository, what it tracks, its remote, a commit. Both by their commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tasks.errors import InputError

# Nothing is sent anywhere, no update is looked for, nothing is staged behind the user's back.
DVC_CONFIG = "[core]\n    analytics = false\n    check_update = false\n    autostage = false\n"
DVC_FILES = (".dvc/config", ".dvc/.gitignore", ".dvcignore")
REMOTE = "storage"
IDENTITY = {"user.name": "graft", "user.email": "graft@localhost"}
# Set by git for its hooks, and meant for the repository of the hook alone.
OF_A_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


def repository(folder: Path) -> Path | None:
    """Top of the git repository that `folder` lies in, or will lie in once it is made; None if there is none."""
    whole = folder.absolute()
    return next((above for above in (whole, *whole.parents) if (above / ".git").exists()), None)


def init_git(root: Path) -> None:
    """A git repository with the branch main, and an identity of its own where the user has set none.

    Raises:
        InputError: git is not there or refuses.
    """
    git(root, "init", "-q", "-b", "main")
    for key, value in _missing_identity(root).items():
        git(root, "config", "--local", key, value)


def init_dvc(root: Path) -> list[str]:
    """DVC in a folder of a git repository, if it is not there yet; nothing is staged.

    Returns:
        The files that git has to keep, from `root`; none if DVC was there.

    Raises:
        InputError: DVC refuses.
    """
    if (root / ".dvc").is_dir():
        return []
    _dvc(root, "init", *(["--subdir"] if repository(root) != root.absolute() else []))
    (root / DVC_FILES[0]).write_text(DVC_CONFIG, encoding="utf-8")
    git(root, "reset", "-q", "--", *DVC_FILES)
    return list(DVC_FILES)


def add_remote(root: Path, name: str, depth: int) -> str:
    """Let DVC push to a folder beside the git repository, which the first push makes.

    Args:
        root: a folder with DVC and no remote yet.
        name: of the project.
        depth: how many folders `root` lies below the top of the repository.

    Returns:
        That folder, from `root`.
    """
    folder = "../" * (depth + 1) + f"{name}-{REMOTE}"
    # DVC counts from the folder of the file, which lies in `root`.
    remote = f"    remote = {REMOTE}\n['remote \"{REMOTE}\"']\n    url = ../{folder}\n"
    (root / DVC_FILES[0]).write_text(DVC_CONFIG + remote, encoding="utf-8")
    return folder


def track(root: Path, path: str) -> list[str]:
    """Let DVC track a file or folder.

    Args:
        root: a folder with git and DVC.
        path: of the file or folder, from `root`.

    Returns:
        The files that git has to keep instead, from `root`.

    Raises:
        InputError: DVC refuses, for instance because git tracks or ignores it.
    """
    _dvc(root, "add", path)
    return [f"{path}.dvc", (Path(path).parent / ".gitignore").as_posix()]


def tracked(root: Path, path: str) -> bool:
    """Whether git itself keeps a file, or a file below a folder."""
    return bool(git(root, "ls-files", "--", path))


def commit(root: Path, paths: Sequence[str], message: str) -> None:
    """Commit these paths and no other, whatever else is staged.

    Raises:
        InputError: git refuses; the paths are not staged then.
    """
    git(root, "add", "--", *paths)
    try:
        git(root, *identity(root), "commit", "-q", "-m", message, "--", *paths)
    except InputError:
        git(root, "reset", "-q", "--", *paths)
        raise


def uncommitted(root: Path, path: str) -> bool:
    """Whether a file differs from the last commit, or is in none.

    Raises:
        InputError: `root` is in no repository.
    """
    return bool(git(root, "status", "--porcelain", "--", path))


def identity(root: Path) -> list[str]:
    """Options that let git commit where the user has set no identity."""
    return [word for key, value in _missing_identity(root).items() for word in ("-c", f"{key}={value}")]


def _missing_identity(root: Path) -> dict[str, str]:
    known = git(root, "config", "--list", "--name-only").split()
    return {key: value for key, value in IDENTITY.items() if key not in known}


def git(root: Path, *arguments: str) -> str:
    """What a command of git says in a folder.

    Raises:
        InputError: git is not there or refuses.
    """
    return _run(root, "git", ["git"], arguments)


def _dvc(root: Path, *arguments: str) -> None:
    _run(root, "DVC", [sys.executable, "-m", "dvc"], arguments)


def _run(root: Path, tool: str, program: list[str], arguments: Sequence[str]) -> str:
    inherited = {name: value for name, value in os.environ.items() if name not in OF_A_HOOK}
    environment = inherited | {"LC_ALL": "C", "DVC_NO_ANALYTICS": "1"}
    try:
        done = subprocess.run(
            [*program, *arguments], cwd=root, env=environment, capture_output=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise InputError(f"{tool} is not installed, and every record of a project needs it: install it.") from None
    if done.returncode != 0:
        raise InputError(f"{tool} refused ({_reason(done.stderr or done.stdout)}): mend that and run again.")
    return done.stdout


def _reason(said: str) -> str:
    """The line that names the fault, where a tool marks it; what it advises at a prompt is left out."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("hint:")]
    told = [line.split(": ", 1)[1].strip() for line in lines if line.lower().startswith(("error: ", "fatal: "))]
    return " ".join(told[-1:] or lines)[:300].rstrip(".") or "without a word"
