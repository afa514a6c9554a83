"""A file, a folder or the Parquet files of a pattern, wherever fsspec or the hub opens them -> a copy here."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import unquote

import fsspec
import pyarrow as pa
import pyarrow.parquet

from tasks import hub
from tasks.artifacts import CHUNK_BYTES, canonical_json, sha256_text
from tasks.errors import InputError
from tasks.rows.table import READERS
from tasks.sources.batches import BATCH_ROWS, write_parquet
from tasks.sources.reach import opened_by, told
from tasks.sources.url import HUB, expanded, scheme

T = TypeVar("T")
MAX_BYTES = 20_000_000_000
PATTERN = re.compile(r"[*?\[]")
# A slash in a revision is spelled out but in the hub's own references, as the hub's client has it.
REVISION = r"refs/(?:convert|pr)/[\w.-]+|[\w.%-]+"
HUB_URL = re.compile(rf"^hf://datasets/([\w.-]+/[\w.-]+)(?:@({REVISION}))?/(.+)$")


class Remote:
    """What a URL names, on the file system that holds it.

    Attributes:
        shown: the URL as params.yaml has it.
        system: of fsspec.
        path: of the file, folder or pattern there.
        revision: what names its present content without reading it: a commit of the hub, an ETag; None if nothing does.
    """

    def __init__(self, url: str) -> None:
        self.shown = url
        self.revision: str | None = None
        if scheme(url) == HUB:
            self.system, self.path, self.revision = _from_hub(url)
            self.names = self._names()
        else:
            self.system, self.path = opened_by(url, "source.url")
            self.names = self._names()
            tags = [(name, tag) for name in self.names for tag in [self._tag(name)]]
            if all(tag for _, tag in tags):
                self.revision = sha256_text(canonical_json(tags)) if len(tags) > 1 else tags[0][1]

    @property
    def is_pattern(self) -> bool:
        return PATTERN.search(self.path) is not None and scheme(self.shown) not in ("http", "https")

    @property
    def is_folder(self) -> bool:
        return not self.is_pattern and self.names != [self.path]

    @property
    def ending(self) -> str:
        """What `data.path` must end in to hold the snapshot; empty for a folder."""
        if self.is_folder:
            return ""
        return ".parquet" if self.is_pattern else PurePosixPath(self.path.split("?")[0]).suffix.lower()

    def _names(self) -> list[str]:
        """Paths of all files, sorted."""
        if scheme(self.shown) in ("http", "https"):
            self.system.info(self.path)
            return [self.path]
        found = sorted(self.system.glob(self.path)) if self.is_pattern else sorted(self.system.find(self.path))
        names = [name for name in found if not _hidden(name, self.path)]
        if not names:
            raise FileNotFoundError(self.shown)
        return names

    def _tag(self, name: str) -> str | None:
        info = self.system.info(name)
        if (info.get("size") or 0) > MAX_BYTES:
            raise InputError(f"{self.shown} has over {MAX_BYTES / 1e9:g} GB, which no snapshot may have: sample it.")
        tag = info.get("ETag") or info.get("etag")
        return str(tag).strip('"') if tag else None

    def copy(self, target: Path, max_rows: int) -> None:
        """Write the file, the folder, or one Parquet file of all that the pattern names."""
        left = MAX_BYTES
        if self.is_pattern:
            write_parquet(target, self._batches(), max_rows, self.shown)
        elif self.is_folder:
            if len(self.names) > max_rows:
                raise InputError(
                    f"{self.shown} holds {len(self.names)} files, over data.max_rows {max_rows}: raise it or sample."
                )
            for name in self.names:
                left -= self._fetch(name, target / PurePosixPath(name).relative_to(self.path.rstrip("/")), left)
        else:
            self._fetch(self.path, target, left)

    def _fetch(self, name: str, target: Path, left: int) -> int:
        """Copy a file of at most `left` bytes, and count them."""
        target.parent.mkdir(parents=True, exist_ok=True)
        taken = 0
        with self.system.open(name, "rb") as source, target.open("wb") as copy:
            while chunk := source.read(CHUNK_BYTES):
                taken += len(chunk)
                if taken > left:
                    raise InputError(f"{self.shown} has over {MAX_BYTES / 1e9:g} GB: sample it.")
                copy.write(chunk)
        return taken

    def _batches(self) -> Iterator[pa.RecordBatch]:
        schema: pa.Schema | None = None
        for name in self.names:
            with self.system.open(name, "rb") as file:
                opened = pa.parquet.ParquetFile(file)
                own = opened.schema_arrow.remove_metadata()
                schema = schema or own
                if not own.equals(schema):
                    raise InputError(
                        f"The files of {self.shown} have different columns or types: let the pattern name those alike."
                    )
                for batch in opened.iter_batches(BATCH_ROWS):
                    yield batch.replace_schema_metadata(None)


def _hidden(name: str, top: str) -> bool:
    below = name[len(top.rstrip("/")) :] if name.startswith(top.rstrip("/")) else PurePosixPath(name).name
    return any(part.startswith(".") for part in PurePosixPath(below).parts)


def _from_hub(url: str) -> tuple[Any, str, str]:
    """The local file system, where the hub's files lie in it, and their commit."""
    match = HUB_URL.match(expanded(url))
    if match is None:
        raise InputError("source.url of the hub must be hf://datasets/OWNER/NAME@REVISION/FILE: name a file or folder.")
    name, revision, rest = match[1], match[2] and unquote(match[2]), match[3].rstrip("/")
    commit = hub.commit(name, revision, "dataset")
    folder = hub.download(name, commit, [rest, f"{rest}/*"], "dataset")
    if not PATTERN.search(rest) and not (folder / rest).exists():
        raise FileNotFoundError(url)
    return fsspec.filesystem("file"), str(folder / rest), commit


def opened(url: str) -> Remote:
    """What a URL names.

    Raises:
        InputError: there is nothing, it cannot be reached, or it refuses us; or its driver is not installed.
    """
    return _told(url, lambda: Remote(url))


def snapshot(remote: Remote, target: Path, max_rows: int) -> None:
    """Copy it; errors as of `opened`, and more rows or bytes than a snapshot may have."""

    def attempt() -> None:
        for left in (target, *target.parent.glob(f"{target.name}.*")):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
        remote.copy(target, max_rows)

    _told(remote.shown, attempt)


def _told(url: str, attempt: Callable[[], T]) -> T:
    def whole() -> T:
        try:
            return attempt()
        except pa.ArrowInvalid:
            raise InputError(f"{url} holds a file that is no whole Parquet: correct the pattern or the file.") from None

    return told(url, whole, "source.url", "the snapshot")


def refuse_other_ending(remote: Remote, path: str) -> None:
    """Refuse a `data.path` that says another format than the snapshot has."""
    own = PurePosixPath(path).suffix.lower()
    if not remote.is_folder and remote.ending not in READERS:
        raise InputError(f"{remote.shown} ends in none of {', '.join(READERS)}: name such a file, or a folder.")
    if (own if own in READERS else "") != remote.ending:
        wanted = f"end in {remote.ending}" if remote.ending else "name a folder"
        raise InputError(f"data.path {path} cannot hold a snapshot of {remote.shown}: let it {wanted}.")
