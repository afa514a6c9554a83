"""Releases in a folder.

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
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.history import History, Record, sync_folder
from deploy.target import VERSION, cut_off
from tasks.artifacts import canonical_json, new_folder, read_json, write_text
from tasks.errors import InputError
from tasks.manifest import MANIFEST, Manifest, check_bundle


class Folder:
    """A target on this machine, or on a share with POSIX locks and renames.

    Args:
        path: made by the first change.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.shown = path, str(path)
        self._aliases, self._history = path / "aliases", History(path / "history.jsonl")

    def add(self, bundle: Path, manifest: Manifest) -> None:
        """Copy a bundle in; one that is there and whole stays as it is."""
        with self._lock():
            if self._is_whole(manifest.version):
                return
            with new_folder(self.path / manifest.version) as made:
                _copy(bundle, [MANIFEST, *manifest.files], made)
                if check_bundle(made) != manifest:
                    raise InputError(f"Bundle {bundle.name} changed while it was copied: add it again.")
            sync_folder(self.path)

    def versions(self) -> list[str]:
        """Versions that are there, sorted."""
        folders = self.path.iterdir() if self.path.is_dir() else []
        return sorted(path.name for path in folders if VERSION.fullmatch(path.name) and path.is_dir())

    def path_of(self, version: str) -> Path | None:
        """Folder of a release, None if there is none."""
        return self.path / version if (self.path / version).is_dir() else None

    def named(self, alias: str) -> str | None:
        """What an alias says, None if there is none."""
        try:
            return (self._aliases / alias).read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return None

    def records(self) -> list[Record]:
        """All moves, oldest first; one that was cut off after its alias had changed is among them."""
        # In this order: a move that ends between the two readings is seen in the second.
        begun = self._moves_begun()
        written = self._history.records()
        return written + [record for record in begun if record not in written]

    def settle(self) -> None:
        """Finish what a killed process began."""
        with self._lock():
            pass

    def move(self, record: Record) -> bool:
        """Intent, alias, history: wherever this is cut off, `_finish` can tell how far it came."""
        alias = record["alias"]
        with self._lock():
            if self.named(alias) != record["from"]:
                return False
            intent = self._aliases / f".{alias}.move"
            _put(intent, canonical_json(record))
            if record["to"]:
                _put(self._aliases / alias, record["to"] + "\n")
            else:
                (self._aliases / alias).unlink()
                sync_folder(self._aliases)
            self._history.append(record)
            intent.unlink()
        return True

    def _finish(self) -> None:
        # Where the alias of a torn line's move has changed, the intent holds the whole record.
        self._history.mend()
        written = self._history.records()
        for record in self._moves_begun():
            if record not in written:
                self._history.append(record)
        for intent in self._aliases.glob(".*.move"):
            intent.unlink()
        for half_made in cut_off(self.path):
            shutil.rmtree(half_made, ignore_errors=True)  # another user's, it stays and does no harm

    def _moves_begun(self) -> list[Record]:
        """Intents whose alias has changed; before that, a move has not happened."""
        records = []
        for intent in sorted(self._aliases.glob(".*.move")):
            try:
                record = read_json(intent)
            except FileNotFoundError:
                continue  # its writer has just finished
            if self.named(record["alias"]) == record["to"]:
                records.append(record)
        return records

    def _is_whole(self, version: str) -> bool:
        try:
            check_bundle(self.path / version, version)
        except InputError:
            return False
        return True

    @contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            self._aliases.mkdir(parents=True, exist_ok=True)
            file = (self.path / ".lock").open("a")
        except OSError as error:
            raise InputError(f"{self.path} cannot be written ({error.strerror}): check who owns it.") from None
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)  # the kernel drops it when the process dies
            self._finish()
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
