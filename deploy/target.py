"""What holds releases: `deploy.folder` on this machine, `deploy.store` wherever fsspec writes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

from deploy.history import Record
from tasks.manifest import Manifest

VERSION = re.compile(r"[0-9a-f]{12}")


class Target(Protocol):
    """Bundles by version, aliases that name them, and a record of each move. Any number of processes may use it.

    Attributes:
        shown: how errors name it.
    """

    shown: str

    def add(self, bundle: Path, manifest: Manifest) -> None:
        """Take a bundle that was checked; one that is there and whole stays as it is.

        Raises:
            InputError: it changed meanwhile, or cannot be written.
        """

    def versions(self) -> list[str]:
        """Versions that are there, sorted."""

    def path_of(self, version: str) -> Path | None:
        """Folder on this machine that holds a release, None if there is none."""

    def named(self, alias: str) -> str | None:
        """What an alias says, None if there is none."""

    def records(self) -> list[Record]:
        """All moves, oldest first; one that was cut off after its alias had changed is among them.

        Raises:
            InputError: something that is no record.
        """

    def settle(self) -> None:
        """Finish what a killed process began."""

    def move(self, record: Record) -> bool:
        """Let an alias name `record["to"]`, or nothing for None, and keep the record.

        Returns:
            False if the alias does not name `record["from"]`.
        """


def cut_off(folder: Path) -> list[Path]:
    """Folders of releases that a killed process left half made; asked under the lock, which whoever makes one holds."""
    return sorted(path for path in folder.glob(".*.*/") if VERSION.fullmatch(path.name.split(".")[1]))
