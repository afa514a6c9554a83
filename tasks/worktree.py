"""Where scheduled runs work: a worktree of their own, a branch of their own, one at a time per project."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from tasks import linked, lock, readings, versions
from tasks.artifacts import write_text
from tasks.errors import InputError
from tasks.project.template import with_values
from tasks.reproduce import dvc
from tasks.stage import STATE, one_writer
from tasks.versions import git

# What every commit of a run has: what was made of what, and the data that came with it.
RECORDS = ("dvc.lock", "code.yaml", "params.yaml", "*.dvc", "*.gitignore")
# What only scheduled runs write, beside the value of FEEDBACK.
CARRIED = ("dvc.lock", "code.yaml", "data/retrain.json", "data/raw/feedback*.dvc")
FEEDBACK = "feedback"
# Beside data.path, where a retraining took a snapshot of its source.
SNAPSHOT = ".source.json"
IGNORES = "data/raw/.gitignore"
# Stores of .graft that a run here has in common with runs by hand; all are safe for two writers.
SHARED_STORES = ("features", "looks", readings.FOLDER)
NONE = "0" * 40
# The retraining of a night may still run when the clock says transfer: its turn comes.
TURN_SECONDS = 6 * 3600.0


@dataclass
class Checkout:
    """A project as a scheduled run has it.

    Attributes:
        home: the project's folder in the user's checkout, which is never written to.
        root: the project's folder in the worktree.
        branch: where the run's commit goes.
        tip: the commit of that branch; None if there is none yet.
        parents: of the run's commit.
    """

    home: Path
    root: Path
    branch: str
    tip: str | None
    parents: list[str]

    def adopt(self, place: str) -> list[str]:
        """Let DVC track the feedback and params.yaml name it.

        Args:
            place: what `data.feedback` is to be, a file or folder from the project's folder.

        Returns:
            Files that the run's commit has to keep, from the project's folder.
        """
        files = versions.track(self.root, place)
        self.set({f"data.{FEEDBACK}": place})
        return files

    def set(self, values: Mapping[str, Any]) -> None:
        """Let params.yaml have these values of its leaves, by their path with dots."""
        params = self.root / "params.yaml"
        text = params.read_bytes().decode("utf-8")
        write_text(params, with_values(text, values))

    def commit(self, paths: Sequence[str], message: str) -> str | None:
        """Commit the records of the run to its branch.

        Args:
            paths: files beside the lock, params, code hashes and `.dvc` files, from the project's folder.
            message: what was made, and why.

        Returns:
            The commit, or None if nothing changed.

        Raises:
            InputError: the branch moved meanwhile or is checked out somewhere, or git refuses, as it says.
        """
        _refuse_checked_out(self.home, self.branch)
        listed = git(self.root, "ls-files", "-z", "-c", "-o", "--exclude-standard", "--", *RECORDS).split("\0")[:-1]
        git(self.root, "add", "-A", "--", *dict.fromkeys([*listed, *paths]))
        tree = git(self.root, "write-tree").strip()
        if tree in [git(self.root, "rev-parse", f"{parent}^{{tree}}").strip() for parent in self.parents]:
            return None
        parents = [word for parent in self.parents for word in ("-p", parent)]
        identity = versions.identity(self.root)
        made = git(self.root, *identity, "commit-tree", tree, *parents, "-m", message).strip()
        try:
            git(self.root, "update-ref", f"refs/heads/{self.branch}", made, self.tip or NONE)
        except InputError:
            if _tip(self.home, self.branch) == self.tip:
                raise
            raise InputError(
                f"Branch {self.branch} moved during the run, so that nothing was committed: run again, which goes on "
                "from where the branch is now."
            ) from None
        git(self.root, "update-ref", "--no-deref", "HEAD", made)
        self.tip, self.parents = made, [made]
        return made

    def tag(self) -> str | None:
        """Name of the branch's tip, given now if it has none: the next of its kind, such as graft/run-0001.

        Returns:
            The name, or None if nothing was committed yet.
        """
        if self.tip is None:
            return None
        kind = _tags(self.branch)
        lines = git(self.root, "for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", f"refs/tags/{kind}*")
        runs: list[tuple[str, str, str]] = re.findall(rf"(?m)^(\w+) ({re.escape(kind)}(\d+))$", lines)
        for commit, name, _ in runs:
            if commit == self.tip:
                return name
        name = f"{kind}{max((int(number) for *_, number in runs), default=0) + 1:04d}"
        git(self.root, "update-ref", f"refs/tags/{name}", self.tip, NONE)
        return name

    def push(self) -> str:
        """Push the run's data to DVC's default remote; says whether that worked, for no run fails by it."""
        code, lines = dvc(self.root, "push")
        if code == 0:
            return "The data are pushed to DVC's remote."
        if any("no remote specified" in line for line in lines):
            return "The data are not pushed, because DVC has no default remote: `dvc remote add -d NAME URL` names one."
        reason = linked.refusal(lines)
        return f"The data are not pushed, because DVC could not ({reason}): the next scheduled run tries again."


@contextmanager
def scheduled(home: Path, log: Callable[[str], None] = print) -> Iterator[Checkout]:
    """Hold the worktree of scheduled runs, brought to what is committed and was made last; one run after another.

    Args:
        home: the project's folder in the user's checkout.
        log: receives a sentence for what the user may not expect.

    Raises:
        BusyError: another scheduled run holds it for longer than `TURN_SECONDS`.
        InputError: nothing is committed, the branch is checked out or cannot be made, or data are missing.
    """
    busy = "Another scheduled run works on this project: wait for it to end, or stop it, and run again."
    waits = "Another scheduled run works on this project: this one waits for its turn."
    with one_writer(home / STATE / "scheduled.lock", busy, TURN_SECONDS, lambda: log(waits)):
        checkout = _checkout(home.resolve(), log)
        checkout.tag()  # what the last run committed, if it was killed before it could
        yield checkout


def _checkout(home: Path, log: Callable[[str], None]) -> Checkout:
    base, place, branch = linked.commit_of(home, "HEAD"), home / STATE / "worktree", _branch(home)
    _refuse_in_the_way(home, branch)
    linked.drop_locks(*_locks(home, branch))
    tip = _tip(home, branch)
    unfinished = _unfinished(home, place)
    if tip is None or _is_ancestor(home, tip, base):
        parents = [base]
    else:
        parents = [tip] if _is_ancestor(home, base, tip) else [tip, base]
    root = linked.stand_on(home, place, parents[-1])
    _refuse_checked_out(home, branch)
    if len(parents) > 1:
        _carry(root, parents[0])
    if unfinished:
        write_text(root / lock.NAME, unfinished)
    for name in SHARED_STORES:
        linked.link(home / STATE / name, root / STATE / name)
    for name in ("params.yaml", "dvc.yaml"):
        if versions.uncommitted(home, name):
            log(f"Changes of {name} that are not committed do not count: the run stands on commit {parents[-1][:9]}.")
    linked.share_data(home, root)
    if not (root / lock.NAME).is_file() or linked.fetch(root):
        linked.fetch_sources(root, parents[-1])  # what is missing of the last outputs is made again
    return Checkout(home, root, branch, tip, parents)


def _branch(home: Path) -> str:
    """graft/scheduled, or graft/FOLDER/scheduled for a project in a folder of its repository."""
    folders = git(home, "rev-parse", "--show-prefix").strip().strip("/").split("/")
    plain = [re.sub(r"[^A-Za-z0-9_-]+", "-", folder) for folder in folders if folder]
    return "/".join(["graft", *plain, "scheduled"])


def _tags(branch: str) -> str:
    """What the tags of its runs have in common: graft/run- for graft/scheduled."""
    return f"{branch.removesuffix('scheduled')}run-"


def _tip(home: Path, branch: str) -> str | None:
    return git(home, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}").strip() or None


def _locks(home: Path, branch: str) -> list[Path]:
    """What git commands that a power cut ended left on the branch and on the tags of its runs."""
    refs = home / git(home, "rev-parse", "--git-path", "refs").strip()
    tags = refs / "tags" / _tags(branch)
    return [refs / "heads" / f"{branch}.lock", *tags.parent.glob(f"{tags.name}*.lock")]


def _refuse_in_the_way(home: Path, branch: str) -> None:
    """A name that is a folder of others can be no branch or tag; git would say so when the run is to be committed."""
    names = git(home, "for-each-ref", "--format=%(refname)", "refs/heads/graft", "refs/tags/graft").split()
    for ref in (f"refs/heads/{branch}", f"refs/tags/{_tags(branch)}0001"):
        for name in names:
            if ref.startswith(f"{name}/") or name.startswith(f"{ref}/"):
                kind, short = {"heads": "branch", "tags": "tag"}[name.split("/")[1]], name.split("/", 2)[2]
                raise InputError(
                    f"The {kind} {short} is in the way of {ref.split('/', 2)[2]}, which scheduled runs make: rename or "
                    "delete it, and run again."
                )


def _refuse_checked_out(home: Path, branch: str) -> None:
    if f"branch refs/heads/{branch}" in git(home, "worktree", "list", "--porcelain").splitlines():
        raise InputError(
            f"Branch {branch} is checked out and would move under you: `git switch` to another, and run again."
        )


def _is_ancestor(home: Path, old: str, new: str) -> bool:
    return git(home, "rev-list", "--count", "--max-count=1", old, f"^{new}").strip() == "0"


def _unfinished(home: Path, place: Path) -> str | None:
    """The lock of stages that a killed run finished and could not commit; DVC checks every hash in it."""
    if not linked.is_linked(home, place):
        return None
    root = place / git(home, "rev-parse", "--show-prefix").strip()
    if not (root / lock.NAME).is_file() or not versions.uncommitted(root, lock.NAME):
        return None
    text = (root / lock.NAME).read_text(encoding="utf-8", errors="replace")
    return text if lock.is_whole(text) else None


def _carry(root: Path, tip: str) -> None:
    """Bring the records of earlier scheduled runs from their branch to a commit that does not have them."""
    names = git(root, "ls-tree", "-r", "-z", "--name-only", tip, "--", ".").split("\0")[:-1]
    records = [name for name in names if any(fnmatch(name, pattern) for pattern in CARRIED)]
    if records:
        git(root, *linked.NO_HOOKS, "checkout", "-q", tip, "--", *records)
    _carry_snapshot(root, tip)
    if IGNORES in names:
        there = (root / IGNORES).read_text(encoding="utf-8") if (root / IGNORES).is_file() else ""
        theirs = git(root, "show", f"{tip}:./{IGNORES}").splitlines()
        more = [line for line in theirs if FEEDBACK in line and line not in there.splitlines()]
        if more:
            write_text(root / IGNORES, "".join(f"{line}\n" for line in [*there.splitlines(), *more]))
    text = (root / "params.yaml").read_bytes().decode("utf-8")
    ours, theirs_data = _data(text), _data(git(root, "show", f"{tip}:./params.yaml") if "params.yaml" in names else "")
    if FEEDBACK in ours and ours[FEEDBACK] is None and theirs_data.get(FEEDBACK):
        write_text(root / "params.yaml", with_values(text, {f"data.{FEEDBACK}": theirs_data[FEEDBACK]}))


def _carry_snapshot(root: Path, tip: str) -> None:
    """Keep the snapshot that a retraining took, unless the user took another one since the two parted."""
    path = str(_data((root / "params.yaml").read_text(encoding="utf-8")).get("path"))
    here, there = (_blobs(root, commit, path) for commit in ("HEAD", tip))
    parted = git(root, "merge-base", "HEAD", tip).strip()
    if f"{path}{SNAPSHOT}" in there and here != there and here == _blobs(root, parted, path):
        git(root, *linked.NO_HOOKS, "checkout", "-q", tip, "--", *there)


def _blobs(root: Path, commit: str, path: str) -> dict[str, str]:
    """The files of a commit that stand for data.path -> their content's name."""
    wanted = [path, f"{path}.dvc", f"{path}{SNAPSHOT}"]
    lines = git(root, "ls-tree", "-r", "-z", "--format=%(objectname) %(path)", commit, "--", *wanted).split("\0")[:-1]
    return {name: blob for blob, _, name in (line.partition(" ") for line in lines)}


def _data(params: str) -> dict[str, Any]:
    section = (yaml.safe_load(params) or {}).get("data")
    return section if isinstance(section, dict) else {}
