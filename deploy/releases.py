"""Releases: immutable bundles, aliases that move atomically, a history that only grows.

Where they lie is a target: `deploy.folder` or `deploy.store`. What a move asks first, and what it tells, is the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from deploy.folder import Folder
from deploy.history import Record, earlier
from deploy.store import SETTING, Store
from deploy.target import VERSION, Target
from tasks.errors import InputError
from tasks.runtime import Manifest, check_bundle
from tasks.sources.url import is_url

__all__ = ["ANY", "CHALLENGER", "CHAMPION", "VERSION", "Move", "Releases", "releases_of"]

CHAMPION, CHALLENGER = "champion", "challenger"
ANY = "any"
ALIAS = re.compile(r"[a-z][a-z0-9-]{0,31}")
CACHE = "GRAFT_CACHE"


@dataclass(frozen=True)
class Move:
    """What `promote` or `rollback` did.

    Attributes:
        version: the version that the alias names now.
        before: the version it named before, None if none.
        changed: False if it named this version already.
        sentence: the same, to print.
        trial: that the trial of a challenger ended with it, None if none did.
    """

    version: str
    before: str | None
    changed: bool
    sentence: str
    trial: str | None = None


class Releases:
    """A place of releases; any number of processes may use it at once.

    Args:
        folder: of the releases; or, where those lie at a URL, of what is beside them here: cache and prediction log.
        url: of fsspec, None for the folder.
        cache: folder of copies of what lies at the URL; `cache` in the folder if not given.
    """

    def __init__(self, folder: Path, url: str | None = None, cache: Path | None = None) -> None:
        self.folder = folder
        self._target: Target = Store(url, cache or folder / "cache") if url else Folder(folder)

    def add(self, bundle: Path) -> str:
        """Copy a bundle in as a release and return its version; one that is there and whole stays as it is.

        Raises:
            InputError: the bundle differs from its manifest, or cannot be written.
        """
        manifest = check_bundle(bundle)
        self._target.add(bundle, manifest)
        return manifest.version

    def versions(self) -> list[str]:
        """Versions that are there, sorted."""
        return self._target.versions()

    def current(self, alias: str = CHAMPION) -> str | None:
        """Version that an alias names, None if it names none.

        Raises:
            InputError: no possible name of an alias, or it holds no version.
        """
        if not ALIAS.fullmatch(alias) or VERSION.fullmatch(alias):
            raise InputError(f"{alias!r} is neither a version nor an alias: use a name like {CHAMPION}.")
        version = self._target.named(alias)
        if version is not None and not VERSION.fullmatch(version):
            raise InputError(f"{self._target.shown}/aliases/{alias} holds no version: delete it and promote a release.")
        return version

    def path_of(self, name: str = CHAMPION) -> Path:
        """Folder of a release on this machine, by its version or by an alias.

        Raises:
            InputError: no such release, or an alias that names none.
        """
        version = name if VERSION.fullmatch(name) else self.current(name)
        path = self._target.path_of(version) if version else None
        if path is None:
            there = self.versions()
            what = f"Alias {name} names no release" if version is None else f"There is no release {version}"
            hint = f"choose one of {', '.join(there)}" if there else "`graft run --promote` makes the first"
            raise InputError(f"{what} in {self._target.shown}: {hint}.")
        return path

    def history(self) -> list[Record]:
        """All moves, oldest first: when, action, alias, from, to, why, bundle_sha256, context.

        Of a trial that ended, `to` and `bundle_sha256` are None. A move that was cut off after its alias had changed is
        among them.

        Raises:
            InputError: a line that is no record.
        """
        return self._target.records()

    def promote(
        self, version: str, reason: str, context: Record, alias: str = CHAMPION, instead_of: str | None = ANY
    ) -> Move:
        """Let an alias name a release; servers of the alias take it over within seconds, without losing a request.

        A new champion ends the trial of the challenger, whichever that is.

        Args:
            version: of a release that was added.
            reason: why, for those who read the history.
            context: what is known of its making, as plain JSON: commit, dirty, lock_hash, machine.
            alias: lower case letters, digits, dashes.
            instead_of: the version that the alias must name, None for none, where the reason is a comparison with it.

        Raises:
            InputError: no such release, a damaged one, no reason, no possible name of an alias, the champion as its own
                challenger, or the alias has moved, since it was compared with or meanwhile.
        """
        self._target.settle()
        before, tried = self.current(alias), self._tried(alias)
        if instead_of is None and before:
            raise InputError(
                f"{alias} became {before} meanwhile, so that {version} was not made the first: run again, and it is "
                f"compared with {before}."
            )
        if instead_of not in (ANY, before):
            raise InputError(
                f"{alias} is {before or 'nothing'} now and not {instead_of}, with which {version} was "
                f"compared, so that it was not moved: `graft promote {version}` does it by hand."
            )
        manifest = self._checked(version)
        if alias == CHALLENGER and manifest.version == self.current():
            raise InputError(f"{manifest.version} is the {CHAMPION} and cannot be tried beside itself: name another.")
        if before != manifest.version:
            return self._end_trial(self._move("promote", alias, before, manifest, reason, context), tried, context)
        kept = Move(before, before, False, f"{alias} is {before} already: nothing was changed.")
        # Its own trial is left where a process was killed behind the move of the champion.
        return self._end_trial(kept, tried, context) if tried == before else kept

    def rollback(self, reason: str, context: Record, alias: str = CHAMPION) -> Move:
        """Let an alias name the version it named before the current one; repeated, it goes further back.

        A champion that is rolled back is not tried as challenger either, and nor is the one that comes back.

        Raises:
            InputError: nothing to go back to, that release is gone or damaged, no reason, or the alias has moved
                meanwhile.
        """
        self._target.settle()
        before, tried = self.current(alias), self._tried(alias)
        line = earlier((record for record in self.history() if record["alias"] == alias), before)
        if not line:
            raise InputError(
                f"The history of {alias} in {self._target.shown} names no version before {before or 'now'}, so there "
                "is nothing to roll back to: promote another release."
            )
        move = self._move("rollback", alias, before, self._checked(line[-1]), reason, context)
        return self._end_trial(move, tried, context) if tried in (before, move.version) else move

    def _tried(self, alias: str) -> str | None:
        """The challenger that a move of this alias may end the trial of, None too where its alias is damaged.

        Asked before the move, for one that is named behind it begins another trial.
        """
        with suppress(InputError):
            return self.current(CHALLENGER) if alias == CHAMPION else None
        return None

    def _end_trial(self, move: Move, tried: str | None, context: Record) -> Move:
        """Take the challenger's alias away behind a move of the champion, if it still names `tried`."""
        why = f"The trial ends: {CHAMPION} is {move.version}."
        if tried is None or not self._target.move(_record("end", CHALLENGER, tried, None, why, context)):
            return move
        trial = f"The trial of {tried} as {CHALLENGER} has ended."
        return replace(move, sentence=f"{move.sentence} {trial}", trial=trial)

    def _move(self, action: str, alias: str, before: str | None, to: Manifest, reason: str, context: Record) -> Move:
        if not reason.strip():
            raise InputError(f"The reason is empty: say why {alias} moves to {to.version}, the history keeps it.")
        if not self._target.move(_record(action, alias, before, to, reason, context)):
            raise InputError(
                f"Another moved {alias} from {before or 'nothing'} to {self.current(alias) or 'nothing'} meanwhile, so "
                f"that this {action} to {to.version} was not made: look at `graft history`, and run again if it stands."
            )
        return Move(to.version, before, True, f"{alias} is {to.version} now; before, it was {before or 'nothing'}.")

    def _checked(self, name: str) -> Manifest:
        path = self.path_of(name)
        return check_bundle(path, path.name)


def _record(action: str, alias: str, before: str | None, to: Manifest | None, reason: str, context: Record) -> Record:
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "action": action,
        "alias": alias,
        "from": before,
        "to": to and to.version,
        "why": reason,
        "bundle_sha256": to and to.sha256,
        "context": context,
    }


def releases_of(home: Path, environment: Mapping[str, str] = os.environ) -> Releases:
    """The releases of a project: where GRAFT_RELEASES says, a folder or a URL of fsspec; else its folder `releases`.

    Args:
        home: the project's folder, from which a relative path counts.
        environment: GRAFT_CACHE names the folder for copies of what lies at a URL.
    """
    named, cache = environment.get(SETTING, "").removeprefix("file://"), environment.get(CACHE)
    if is_url(named):
        return Releases(home / "releases", named, Path(cache) if cache else None)
    return Releases(home / (named or "releases"))
