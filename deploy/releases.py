"""Releases in a folder: immutable bundles, aliases that move atomically, a history that only grows.

releases/
├── 0123456789ab/           a bundle, named by its manifest; read-only files
├── aliases/champion        the version that answers
├── aliases/challenger      one that is tried beside it, if there is one
├── aliases/.champion.move  a move that has begun: its history record, until that stands in the history
├── history.jsonl           one record per move
├── predictions/            what servers answered, by the hour
└── .lock                   held while anything is changed
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from deploy.history import History, Record, earlier, sync_folder
from tasks.artifacts import canonical_json, new_folder, read_json, write_text
from tasks.errors import InputError
from tasks.runtime import MANIFEST, Manifest, check_bundle

CHAMPION, CHALLENGER = "champion", "challenger"
ANY = "any"
VERSION = re.compile(r"[0-9a-f]{12}")
ALIAS = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True)
class Move:
    """What `promote` or `rollback` did.

    Attributes:
        version: the version that the alias names now.
        before: the version it named before, None if none.
        changed: False if it named this version already.
        sentence: the same, to print.
    """

    version: str
    before: str | None
    changed: bool
    sentence: str


class Releases:
    """A folder of releases; any number of processes may use it at once.

    Args:
        folder: made by the first `add`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._aliases, self._history = folder / "aliases", History(folder / "history.jsonl")

    def add(self, bundle: Path) -> str:
        """Copy a bundle in as a release and return its version; one that is there and whole stays as it is.

        Raises:
            InputError: the bundle differs from its manifest.
        """
        manifest = check_bundle(bundle)
        with self._lock():
            if not self._is_whole(manifest.version):
                with new_folder(self.folder / manifest.version) as made:
                    _copy(bundle, [MANIFEST, *manifest.files], made)
                    if check_bundle(made) != manifest:
                        raise InputError(f"Bundle {bundle.name} changed while it was copied: add it again.")
                sync_folder(self.folder)
        return manifest.version

    def versions(self) -> list[str]:
        """Versions that are there, sorted."""
        folders = self.folder.iterdir() if self.folder.is_dir() else []
        return sorted(path.name for path in folders if VERSION.fullmatch(path.name) and path.is_dir())

    def current(self, alias: str = CHAMPION) -> str | None:
        """Version that an alias names, None if it names none.

        Raises:
            InputError: no possible name of an alias, or its file holds no version.
        """
        if not ALIAS.fullmatch(alias) or VERSION.fullmatch(alias):
            raise InputError(f"{alias!r} is neither a version nor an alias: use a name like {CHAMPION}.")
        try:
            version = (self._aliases / alias).read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return None
        if not VERSION.fullmatch(version):
            raise InputError(f"{self._aliases / alias} holds no version: delete it and promote a release.")
        return version

    def path_of(self, name: str = CHAMPION) -> Path:
        """Folder of a release, by its version or by an alias.

        Raises:
            InputError: no such release, or an alias that names none.
        """
        version = name if VERSION.fullmatch(name) else self.current(name)
        there = self.versions()
        if version not in there:
            what = f"Alias {name} names no release" if version is None else f"There is no release {version}"
            hint = f"choose one of {', '.join(there)}" if there else "`graft run --promote` makes the first"
            raise InputError(f"{what} in {self.folder}: {hint}.")
        return self.folder / version

    def history(self) -> list[Record]:
        """All moves, oldest first: when, action, alias, from, to, why, bundle_sha256, context.

        A move that was cut off after its alias had changed is among them.

        Raises:
            InputError: a line that is no record.
        """
        # In this order: a move that ends between the two readings is seen in the second.
        begun = self._moves_begun()
        written = self._history.records()
        return written + [record for record in begun if record not in written]

    def promote(
        self, version: str, reason: str, context: Record, alias: str = CHAMPION, instead_of: str | None = ANY
    ) -> Move:
        """Let an alias name a release; servers of the alias take it over within seconds, without losing a request.

        Args:
            version: of a release that was added.
            reason: why, for those who read the history.
            context: what is known of its making, as plain JSON: commit, dirty, lock_hash, machine.
            alias: lower case letters, digits, dashes.
            instead_of: the version that the alias must name, None for none, where the reason is a comparison with it.

        Raises:
            InputError: no such release, a damaged one, no reason, no possible name of an alias, or the alias has moved.
        """
        with self._lock():
            before = self.current(alias)
            if instead_of not in (ANY, before):
                raise InputError(
                    f"{alias} is {before or 'nothing'} now and not {instead_of or 'nothing'}, with which {version} was "
                    f"compared, so that it was not moved: `graft promote {version}` does it by hand."
                )
            manifest = self._checked(version)
            if before == manifest.version:
                return Move(before, before, False, f"{alias} is {before} already: nothing was changed.")
            return self._move("promote", alias, before, manifest, reason, context)

    def rollback(self, reason: str, context: Record, alias: str = CHAMPION) -> Move:
        """Let an alias name the version it named before the current one; repeated, it goes further back.

        Raises:
            InputError: nothing to go back to, that release is gone or damaged, no reason.
        """
        with self._lock():
            before = self.current(alias)
            line = earlier((record for record in self.history() if record["alias"] == alias), before)
            if not line:
                raise InputError(
                    f"The history of {alias} in {self.folder} names no version before {before or 'now'}, so there is "
                    "nothing to roll back to: promote another release."
                )
            return self._move("rollback", alias, before, self._checked(line[-1]), reason, context)

    def _move(self, action: str, alias: str, before: str | None, to: Manifest, reason: str, context: Record) -> Move:
        """Intent, alias, history: wherever this is cut off, `_settle` can tell how far it came."""
        if not reason.strip():
            raise InputError(f"The reason is empty: say why {alias} moves to {to.version}, the history keeps it.")
        when = datetime.now(UTC).isoformat(timespec="seconds")
        record: Record = {
            "when": when,
            "action": action,
            "alias": alias,
            "from": before,
            "to": to.version,
            "why": reason,
        }
        record |= {"bundle_sha256": to.sha256, "context": context}
        intent = self._aliases / f".{alias}.move"
        _put(intent, canonical_json(record))
        _put(self._aliases / alias, to.version + "\n")
        self._history.append(record)
        intent.unlink()
        return Move(to.version, before, True, f"{alias} is {to.version} now; before, it was {before or 'nothing'}.")

    def _settle(self) -> None:
        """Finish what a killed process began; needs the lock."""
        # Where the alias of a torn line's move has changed, the intent holds the whole record.
        self._history.mend()
        written = self._history.records()
        for record in self._moves_begun():
            if record not in written:
                self._history.append(record)
        for intent in self._aliases.glob(".*.move"):
            intent.unlink()

    def _moves_begun(self) -> list[Record]:
        """Intents whose alias has changed; before that, a move has not happened."""
        records = []
        for intent in sorted(self._aliases.glob(".*.move")):
            try:
                record = read_json(intent)
            except FileNotFoundError:
                continue  # its writer has just finished
            if self.current(record["alias"]) == record["to"]:
                records.append(record)
        return records

    def _checked(self, name: str) -> Manifest:
        path = self.path_of(name)
        return check_bundle(path, path.name)

    def _is_whole(self, version: str) -> bool:
        try:
            self._checked(version)
        except InputError:
            return False
        return True

    @contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            self._aliases.mkdir(parents=True, exist_ok=True)
            file = (self.folder / ".lock").open("a")
        except OSError as error:
            raise InputError(f"{self.folder} cannot be written ({error.strerror}): check who owns it.") from None
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)  # the kernel drops it when the process dies
            self._settle()
            yield


def _copy(bundle: Path, names: Iterable[str], target: Path) -> None:
    for name in names:
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle / name, path)
        path.chmod(0o444)
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _put(path: Path, text: str) -> None:
    """Whole or absent, on disk when this returns, and readable by the user of a server."""
    staged = path.with_name(f"{path.name}.new")
    write_text(staged, text)
    staged.chmod(0o644)
    os.replace(staged, path)
    sync_folder(path.parent)
