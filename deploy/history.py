"""The release history: one JSON record per line, appended and never changed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks.errors import InputError

Record = dict[str, Any]
NEEDED = {"when", "action", "alias", "from", "to", "why"}


class History:
    """A file of records; appending and mending need the lock of the releases.

    Args:
        path: made by the first `append`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def records(self) -> list[Record]:
        """Whole lines, oldest first; a torn last one was never answered for.

        Raises:
            InputError: a whole line that is no record.
        """
        records = []
        for number, line in enumerate(self._content().split(b"\n")[:-1], start=1):
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if not is_record(record):
                raise InputError(f"Line {number} of {self.path} is no record: restore the file from a copy.")
            records.append(record)
        return records

    def append(self, record: Record) -> None:
        """Add a record; it is on disk when this returns."""
        with self.path.open("ab") as file:
            file.write(json.dumps(record, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        sync_folder(self.path.parent)

    def mend(self) -> None:
        """Take off a last line that was cut off while it was written."""
        whole, newline, torn = self._content().rpartition(b"\n")
        if torn:
            os.truncate(self.path, len(whole) + len(newline))

    def _content(self) -> bytes:
        return self.path.read_bytes() if self.path.is_file() else b""


def is_record(value: object) -> bool:
    """Whether a parsed line or object tells a move."""
    return isinstance(value, dict) and value.keys() >= NEEDED


def earlier(records: Iterable[Record], current: str | None) -> list[str]:
    """Versions before the current one, nearest last: a promotion adds one, a rollback takes off what it left.

    Args:
        records: of one alias, oldest first.
        current: the version that the alias names now.
    """
    line: list[str] = []
    for record in records:
        if record["from"] and line[-1:] != [record["from"]]:
            line.append(record["from"])  # named by an alias file that was written by hand
        if record["action"] == "rollback":
            line = _until(line, record["to"])
        if record["to"]:
            line.append(record["to"])
    return _until(line, current)


def _until(line: list[str], version: str | None) -> list[str]:
    """What stands before the last occurrence of `version`; all of it if there is none."""
    places = [place for place, name in enumerate(line) if name == version]
    return line[: places[-1]] if places else line


def sync_folder(folder: Path) -> None:
    """Make renames and new files in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
