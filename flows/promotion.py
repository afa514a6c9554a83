"""A bundle that the gate has passed becomes the champion; the history keeps what is known of its making."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.releases import ANY
from tasks.errors import GateError, InputError

if TYPE_CHECKING:
    from deploy.releases import Move, Releases
    from tasks.params import Receipt

GATE = "deployment_gate"


def context(root: Path) -> dict[str, Any]:
    """Commit, lock and machine, for the release history."""
    from tasks.reproduce import lineage

    return lineage(root) | {"machine": os.uname().nodename}


def add_and_promote(
    home: Path, why: str, made_in: Path | None = None, instead_of: str | None = ANY
) -> tuple[Move, str]:
    """Make a project's bundle a release and the champion, and schedule what watches it.

    Args:
        home: the project's folder, which has the releases.
        why: for the history.
        made_in: the checkout whose bundle it is; `home` itself if not given.
        instead_of: as `Releases.promote` has it.

    Returns:
        The move, and a sentence that says where the monitor is scheduled, or why not.

    Raises:
        InputError: there is no bundle, or the champion has moved.
        GateError: the gate did not pass this bundle, the last run did not finish, or dvc.lock names another.
    """
    return promote_and_watch(home, added(home, made_in), why, made_in or home, instead_of)


def promote_passed(home: Path, why: str) -> tuple[Move, str, str | None]:
    """`add_and_promote` by hand: what is live is compared with first, as `monitoring.gate` has it.

    Returns:
        The move, the sentence about the monitor, and that of the comparison, None if there was nothing to compare with.

    Raises:
        InputError: as of `add_and_promote`, or the two cannot be compared.
        GateError: as of `add_and_promote`, or the new model did not pass.
    """
    from deploy.releases import releases_of

    version, releases = added(home), releases_of(home)
    live = releases.current()
    if live in (None, version):
        return *promote_and_watch(home, version, why, instead_of=live), None
    found = _compared(home, releases, live, version)
    if not found["promote"]:
        raise GateError([found["sentence"], f"`graft promote {version}` makes it the champion all the same."])
    said = f"{why.rstrip('.')}. {found['sentence']}"
    return *promote_and_watch(home, version, said, instead_of=live), found["sentence"]


def _compared(home: Path, releases: Releases, live: str, version: str) -> dict[str, Any]:
    from tasks.params import load
    from tasks.receipt import challenge

    params = load(home / "params.yaml")
    try:
        return challenge.between(home, params, releases.path_of(live), releases.path_of(version))
    except InputError as error:
        by_hand = f"`graft promote {version}` makes it the champion without a comparison."
        raise InputError([*error.sentences, by_hand]) from None


def added(home: Path, made_in: Path | None = None) -> str:
    """Make a project's bundle a release, which no alias names yet, and return its version.

    Raises:
        InputError: there is no bundle.
        GateError: the gate did not pass it, the last run did not finish, or dvc.lock names another.
    """
    from deploy.releases import releases_of

    return releases_of(home).add(passed_bundle(made_in or home))


def passed_bundle(root: Path) -> Path:
    """The bundle of a project's last run; errors as of `added`."""
    from tasks.params import load
    from tasks.receipt.gate import JUDGED, RECORD, passed
    from tasks.reproduce import is_locked

    bundle = (root / JUDGED["bundle"]).parent
    if not bundle.is_dir():
        raise InputError("There is no bundle in this project yet: run `graft run` first.")
    settings = load(root / "params.yaml").receipt
    if not passed(root, settings):
        raise GateError(_why_not(root, settings))
    if not is_locked(root, RECORD):
        raise GateError(
            "This bundle is not the one that dvc.lock names: `dvc checkout` brings that back, or `graft run`."
        )
    return bundle


def _why_not(root: Path, settings: Receipt) -> str:
    """Why the gate's last yes, if it ever said one, is not about what stands here."""
    from tasks.receipt.gate import JUDGED, refusals_now
    from tasks.reproduce import unfinished

    late = unfinished(root)
    if {*late} - {GATE}:
        return cut_off(late)
    if not all((root / path).is_file() for path in JUDGED.values()):
        return "What the gate judges is not all here: `dvc checkout` brings it, or `graft run`."
    if refusals_now(root, settings):
        return "The gate did not pass this bundle: see `graft report`, and `graft run` once it is mended."
    return "The gate was not asked about what stands here yet: `graft run` asks it."


def cut_off(late: list[str]) -> str:
    """One sentence about a run that has left these stages as they were."""
    names = ", ".join(late)
    return f"The last run did not finish, or is under way, and has not come to {names}: `graft run` completes it."


def promote_and_watch(
    home: Path, version: str, why: str, made_in: Path | None = None, instead_of: str | None = ANY
) -> tuple[Move, str]:
    """Make a release the champion, as `add_and_promote` does with a bundle.

    Raises:
        InputError: there is no such release, or the champion has moved.
    """
    from deploy.releases import releases_of
    from flows.scheduling import schedule_sentence

    releases = releases_of(home)
    releases.path_of(version)  # what is not there is not watched
    monitoring = schedule_sentence(home)
    made_by = context(made_in or home) | {"monitoring": monitoring}
    return releases.promote(version, why, made_by, instead_of=instead_of), monitoring
