"""A snapshot: what a source has now, checked, in the place of `data.path`, tracked by DVC, with a record beside it.

data/raw/
├── tickets.parquet                the snapshot, which every run reads
├── tickets.parquet.dvc            for git
└── tickets.parquet.source.json    for git: where it came from, without secrets
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tasks import versions
from tasks.artifacts import read_json, replace, sha256_source, sha256_text, write_json
from tasks.errors import InputError
from tasks.params import Data, Params, Source
from tasks.rows.head import head
from tasks.rows.read import label_text
from tasks.sources import content, files, url
from tasks.stage import STATE, one_writer

RECORD = ".source.json"
# Of a project that is not there yet; what `graft init` reads afterwards has a limit of its own.
MAX_FIRST_ROWS = 10_000_000
BUSY = "Another process takes a snapshot of this project: wait for it to end and run again."


@dataclass(frozen=True)
class Snapshot:
    """What was taken from a source, not yet in its place.

    Attributes:
        path: of the file or folder.
        source: URL as params.yaml has it.
        query: the same.
        record: source, revision, hash of the query, rows, sort, sha256.
    """

    path: Path
    source: str
    query: str | None
    record: dict[str, Any]

    def write_record(self, place: Path) -> None:
        """Write the record beside the place of the snapshot."""
        write_json(place.with_name(place.name + RECORD), self.record)


@dataclass(frozen=True)
class Refreshed:
    """What a refresh came to.

    Attributes:
        new: whether the source had something else than `data.path`.
        files: what git has to keep, from the project's folder.
        sentence: the same in words.
    """

    new: bool
    files: list[str]
    sentence: str


def refresh(home: Path, root: Path, params: Params) -> Refreshed:
    """Take a new snapshot; with nothing new, nothing changes, and where anything is wrong, neither.

    Args:
        home: the project's folder, from which the path of an SQLite file counts.
        root: the checkout whose `data.path` it is to be: `home`, or a worktree of it.
        params: of the project, with a source.

    Raises:
        InputError: no source is set, it cannot be had or used, or DVC refuses.
        BusyError: another refresh is under way.
    """
    source, data = params.source, params.data
    if source.url is None:
        raise InputError("source.url is null, so that there is nothing to refresh from: set it, or edit data.path.")
    place = root / data.path
    with one_writer(root / STATE / "refresh.lock", BUSY), _staging(root) as folder:
        known = _known(root, data.path)
        # Only where there never were labels may a snapshot come without.
        needed = data.model_copy(update={"label_descriptions": {}}) if _has_labels(place, data) else data
        taken = take(source, folder, data.path, needed, home, known)
        if taken is None or (known and taken.record["sha256"] == known["sha256"]):
            return Refreshed(False, [], f"The source has nothing new: {data.path} stays as it is.")
        place.parent.mkdir(parents=True, exist_ok=True)
        replace(taken.path, place)
    changed = [] if versions.tracked(root, data.path) else versions.track(root, data.path)
    taken.write_record(place)
    return Refreshed(True, [*(changed or [data.path]), f"{data.path}{RECORD}"], _sentence(taken.record, data.path))


def take(
    source: Source, folder: Path, path: str, data: Data | None, base: Path, known: dict[str, Any] | None = None
) -> Snapshot | None:
    """Fetch and check what a source has.

    Args:
        source: url and query.
        folder: an empty one, for the snapshot.
        path: what `data.path` is or will be; its name is that of the snapshot.
        data: limits and columns; None where nobody knows the columns yet.
        base: the folder from which the path of an SQLite file counts.
        known: record of the snapshot in place.

    Returns:
        The snapshot; None if its revision says that it is the one in place.

    Raises:
        InputError: it cannot be had, or no run could use it.
    """
    assert source.url is not None
    url.refuse_secrets(source.url)
    max_rows = data.max_rows if data else MAX_FIRST_ROWS
    target = folder / PurePosixPath(path).name
    record: dict[str, Any] = {"source": source.url, "query": source.query and sha256_text(source.query)}
    if url.is_database(source.url):
        if target.suffix.lower() != ".parquet":
            raise InputError(f"data.path {path} cannot hold a snapshot of a database: let it end in .parquet.")
        from tasks.sources import sql

        name, revision = sql.RESULT.capitalize(), None
        _, sort = sql.snapshot(source.url, source.query, target, base, max_rows)
    else:
        if source.query is not None:
            raise InputError("source.query is for databases alone, and source.url names none: set one of them to null.")
        remote = files.opened(source.url)
        files.refuse_other_ending(remote, path)
        name, revision, sort = source.url, remote.revision, "as at the source"
        if known and revision and known["revision"] == revision and known["source"] == source.url:
            return None
        files.snapshot(remote, target, max_rows)
    if target.is_dir():
        rows = None
    else:
        rows = content.inspect(target, data, name) if data else content.count(target, max_rows, name)
    record |= {"revision": revision, "rows": rows, "sort": sort, "sha256": sha256_source(target)}
    return Snapshot(target, source.url, source.query, record)


@contextmanager
def _staging(root: Path) -> Iterator[Path]:
    """A folder on the project's own disk, so that a rename puts what is in it into place."""
    folder = root / STATE / "staging" / "source"
    shutil.rmtree(folder, ignore_errors=True)  # left by a refresh that was killed
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _known(root: Path, path: str) -> dict[str, Any] | None:
    """The record of what is in place, if that is still what was taken; it is written once DVC or git has that."""
    place, record = root / path, root / f"{path}{RECORD}"
    if not place.exists() or not record.is_file():
        return None
    found: dict[str, Any] = read_json(record)
    return found if found.get("sha256") == sha256_source(place) else None


def _has_labels(place: Path, data: Data) -> bool:
    """Whether any of the first rows in place has a label."""
    table = head(place, (data.label_column,))
    if table is None or table.column_names.count(data.label_column) != 1:
        return False
    return any(map(label_text, table.column(data.label_column).to_pylist()))


def _sentence(record: dict[str, Any], path: str) -> str:
    what = "files" if record["rows"] is None else f"{record['rows']} rows"
    return f"Took {what} from {record['source']}: {path} is new, sha256 {record['sha256'][:12]}."


@contextmanager
def first(source: str, query: str | None, base: Path) -> Iterator[Snapshot]:
    """The first snapshot of a source, for a project that is not there yet.

    Args:
        source: its URL.
        query: of a database.
        base: the folder from which the path of an SQLite file counts; its URL then has the whole path.

    Raises:
        InputError: as of `take`.
    """
    source = url.absolute(source, base)
    with tempfile.TemporaryDirectory(prefix="graft-") as folder:
        taken = take(Source(url=source, query=query), Path(folder), f"data/raw/{name_of(source)}", None, base)
        assert taken is not None
        yield taken


def name_of(source: str) -> str:
    """What the snapshot of a source is called: as the file or folder there, or rows.parquet."""
    if url.is_database(source):
        return "rows.parquet"
    path = PurePosixPath(source.partition("://")[2].split("?")[0])
    return "rows.parquet" if files.PATTERN.search(path.name) else path.name
