"""Releases in an object store.

s3://bucket/releases/
├── 0123456789ab/                   a bundle; its manifest is written last, and without it there is no release
├── aliases/champion                the version that answers, as the record of the move that chose it
├── aliases/challenger              one that is tried beside it, or the record of the end of its trial
└── history/champion/00000001.json  that record, one object a move

One conditional PUT of an alias is the whole move: of two at once, one wins. Its record goes to the history behind it,
and is read off the alias where a killed process left it there.
"""

from __future__ import annotations

import fcntl
import heapq
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.history import Record, is_record
from deploy.objects import Objects
from deploy.target import VERSION, cut_off
from tasks.artifacts import canonical_json, replace
from tasks.errors import InputError
from tasks.manifest import MANIFEST, Manifest, check_bundle, read_manifest

SETTING = "GRAFT_RELEASES"
NUMBER = "number"
# Releases in the cache: what answers, what is tried beside it, and what either was before.
KEPT = 4


class Store:
    """A target at a URL of fsspec. S3 has a conditional PUT; where a driver has none, two moves within milliseconds may
    both count as made.

    Args:
        url: may name environment variables as `${NAME}`.
        cache: folder on this machine; made when needed.
    """

    def __init__(self, url: str, cache: Path) -> None:
        self._objects, self._cache = Objects(url, SETTING), cache
        self.shown = self._objects.url

    def add(self, bundle: Path, manifest: Manifest) -> None:
        """Upload a bundle, its manifest last; one that is there and whole stays as it is."""
        # The store is asked too: a copy in the cache may be of another one.
        if self._has(manifest.version) and self._is_whole(manifest.version):
            return
        for name in manifest.files:
            self._objects.upload(bundle / name, f"{manifest.version}/{name}")
        if check_bundle(bundle) != manifest:
            raise InputError(f"Bundle {bundle.name} changed while it was copied: add it again.")
        self._objects.upload(bundle / MANIFEST, f"{manifest.version}/{MANIFEST}")

    def versions(self) -> list[str]:
        """Versions that are there, sorted."""
        return [name for name in self._objects.names() if VERSION.fullmatch(name) and self._has(name)]

    def path_of(self, version: str) -> Path | None:
        """Folder of a release in the cache; fetched and checked if it is not there, or damaged.

        Raises:
            InputError: what the store holds differs from its manifest, or the cache cannot be written.
        """
        cached = self._cache / version
        with self._cache_lock():
            try:
                check_bundle(cached, version)
            except InputError:
                if not self._has(version):
                    return None
                self._fetch(version, cached)
            cached.touch()
            there = (path for path in self._cache.iterdir() if VERSION.fullmatch(path.name))
            oldest = sorted(there, key=lambda path: path.stat().st_mtime)[:-KEPT]
            for old in [*oldest, *cut_off(self._cache)]:
                shutil.rmtree(old, ignore_errors=True)
        return cached

    def named(self, alias: str) -> str | None:
        """What an alias says, None if there is none."""
        content = self._objects.read(f"aliases/{alias}")
        version = None if content is None else _parsed(content).get("to", "")
        return None if version is None else str(version)

    def records(self) -> list[Record]:
        """All moves, oldest first; one that was cut off after its alias had changed is among them."""
        begun = self._begun()
        aliases = {*self._objects.names("history"), *(record["alias"] for record in begun)}
        lines = [self._line(alias, begun) for alias in sorted(aliases)]
        merged = heapq.merge(*lines, key=lambda record: str(record["when"]))  # keeps the order within an alias
        return [{name: value for name, value in record.items() if name != NUMBER} for record in merged]

    def settle(self) -> None:
        """Finish what a killed process began."""
        for record in self._begun():
            self._keep(record)

    def move(self, record: Record) -> bool:
        """Let an alias name `record["to"]`, or nothing for None; False if it does not name `record["from"]`.

        One that names nothing stays as the record of its last move: a store deletes without asking what stands there.
        """
        name = f"aliases/{record['alias']}"
        tag = self._objects.tag(name)  # before the content, so that what changes in between is refused by its tag
        before = _parsed(self._objects.read(name) or b"") if tag else {}
        if before.get("to") != record["from"]:
            return False
        number = before[NUMBER] if before else self._last(record["alias"])
        numbered = record | {NUMBER: number + 1}
        if before:
            self._keep(before)  # whoever made that move may have been killed before this, and the alias forgets it now
        if not self._objects.put(name, canonical_json(numbered).encode(), tag):
            return False
        self._keep(numbered)
        return True

    def _keep(self, record: Record) -> None:
        """Add to the history; what stands there already is never changed."""
        name = f"history/{record['alias']}/{record[NUMBER]:08d}.json"
        self._objects.put(name, canonical_json(record).encode(), None)

    def _begun(self) -> list[Record]:
        """The last record of each alias, which may not stand in the history yet."""
        contents = (self._objects.read(f"aliases/{alias}") for alias in self._objects.names("aliases"))
        return [record for content in contents if content and (record := _parsed(content))]

    def _line(self, alias: str, begun: list[Record]) -> list[Record]:
        """Moves of an alias, oldest first."""
        records = []
        for name in self._objects.names(f"history/{alias}"):
            record = _parsed(self._objects.read(f"history/{alias}/{name}") or b"")
            if not record:
                raise InputError(f"{self.shown}/history/{alias}/{name} is no record: restore it from a copy.")
            records.append(record)
        return records + [one for one in begun if one["alias"] == alias and one not in records]

    def _last(self, alias: str) -> int:
        names = self._objects.names(f"history/{alias}")
        return int(names[-1].partition(".")[0]) if names else 0

    def _has(self, version: str) -> bool:
        return self._objects.tag(f"{version}/{MANIFEST}") is not None

    def _is_whole(self, version: str) -> bool:
        try:
            return self.path_of(version) is not None
        except InputError:
            return False

    def _fetch(self, version: str, cached: Path) -> None:
        with tempfile.TemporaryDirectory(dir=self._cache, prefix=f".{version}.") as name:
            folder = Path(name) / version
            self._objects.download(f"{version}/{MANIFEST}", folder / MANIFEST)
            for file in read_manifest(folder).files:  # a name that leads out of the folder is refused here
                self._objects.download(f"{version}/{file}", folder / file)
            check_bundle(folder, version)
            replace(folder, cached)

    @contextmanager
    def _cache_lock(self) -> Iterator[None]:
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            file = (self._cache / ".lock").open("a")
        except OSError as error:
            raise InputError(
                f"The cache {self._cache} cannot be written ({error.strerror}): let GRAFT_CACHE name a folder that can."
            ) from None
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _parsed(content: bytes) -> Record:
    """The record of an object; empty if it is none."""
    try:
        record = json.loads(content)
    except ValueError:
        return {}
    return record if is_record(record) and isinstance(record.get(NUMBER), int) else {}
