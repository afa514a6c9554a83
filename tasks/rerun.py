"""A revision made again in a clean worktree, and whether that gave the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tasks import fingerprint, linked, lock, readings
from tasks.errors import GateError, InputError
from tasks.reproduce import PHASES, reproduce
from tasks.stage import STATE, one_writer, read_dvc_yaml


@dataclass(frozen=True)
class Rerun:
    """What making a revision again came to.

    Attributes:
        commit: the revision's.
        difference: where its lock and the new one differ first; None if nowhere.
        same_outputs: whether every output is the same bytes.
        sentence: the same in words.
    """

    commit: str
    difference: lock.Difference | None
    same_outputs: bool
    sentence: str


def rerun(home: Path, revision: str, log: Callable[[str], None]) -> Rerun:
    """Run every stage of a revision from its data, models, params and, in the repository of Graft, code.

    Args:
        home: the project's folder in the user's checkout, which is not touched.
        revision: a commit, a tag, a branch.
        log: receives every line that the stages print.

    Raises:
        InputError: there is no such revision, or it has no lock, or its data are nowhere.
        BusyError: another one is under way.
        CrashError, InterruptError: as the stage's outcome says.
    """
    home = home.resolve()
    commit, place = linked.commit_of(home, revision), home / STATE / "reproduce"
    busy = "Another `graft reproduce` works on this project: wait for it to end, or stop it, and run again."
    with one_writer(home / STATE / "reproduce.lock", busy):
        linked.remove(home, place)  # left by one that was killed
        try:
            root = linked.stand_on(home, place, commit)
            before = _lock(root, revision)
            linked.share_data(home, root)
            linked.link(home / STATE / readings.FOLDER, root / STATE / readings.FOLDER)
            linked.fetch_sources(root, commit)
            (root / lock.NAME).unlink()
            _run(root, revision, log)
            return _compared(root, revision, commit, before, _lock(root, revision))
        finally:
            linked.remove(home, place)


def _lock(root: Path, revision: str) -> lock.Stages:
    path = root / lock.NAME
    if not path.is_file():
        raise InputError(
            f"{revision} has no dvc.lock, so that nothing says what was made of it: name another revision."
        )
    return lock.stages_of(path.read_text(encoding="utf-8"))


def _run(root: Path, revision: str, log: Callable[[str], None]) -> None:
    try:
        for phase in PHASES:
            reproduce(root, phase, log, remembered=False)
    except GateError as error:  # it may have said no then, too: the locks tell
        for sentence in error.sentences:
            log(sentence)
    except InputError as error:
        if _has_own_code(root):
            raise
        older = f"So says the Graft installed here: if an older one made {revision}, install that and run again."
        raise InputError([*error.sentences, older]) from None


def _compared(root: Path, revision: str, commit: str, before: lock.Stages, after: lock.Stages) -> Rerun:
    found, same = lock.first_difference(before, after, list(read_dvc_yaml(root)["stages"])), False
    if found is None:
        sentence = f"Identical: every stage of {revision} ran again and made the same bytes ({commit[:9]})."
        return Rerun(commit, None, True, sentence)
    same = lock.same_outputs(before, after)
    end = " All outputs are the same bytes nevertheless." if same else ""
    return Rerun(commit, found, same, f"Not identical: {_told(found, revision, _has_own_code(root))}.{end}")


def _has_own_code(root: Path) -> bool:
    return (root / fingerprint.PACKAGES[0] / "fingerprint.py").is_file()


def _told(found: lock.Difference, revision: str, own_code: bool) -> str:
    """The difference and what it belongs to, as far as that can be told."""
    at = f"stage {found.stage} of {revision} differs first, in"
    if found.kind == "out":
        return (
            f"{at} its output {found.name}, though inputs, parameters, code and libraries are the same; what is left "
            "is another kind of CPU or GPU, or code that does not give the same bytes twice"
        )
    if found.kind == "code" and found.name == found.stage:
        changed = "the libraries or Python" if own_code else "the installed Graft, its libraries or Python"
        return f"{at} its code: {changed} have other versions here than where its dvc.lock was made"
    if found.kind == "param":
        return (
            f"{at} the parameter {found.name} ({found.before!r} in dvc.lock, {found.after!r} in params.yaml), so that "
            "its dvc.lock was not made from its params.yaml"
        )
    if found.kind == "stage":
        return f"stage {found.stage} {'did not get that far' if found.before else 'is not in its dvc.lock'}"
    what = "its command" if found.kind == "command" else f"its input {found.name}"
    return f"{at} {what}, so that its dvc.lock was not made from what it has there"
