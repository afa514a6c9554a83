"""What the tests of releases share."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.releases import Releases
from tasks.errors import InputError
from tests.bundles import tiny_bundle

CONTEXT = {"commit": "c0ffee", "dirty": False, "lock_hash": "10c4", "machine": "m"}


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    return Releases(tmp_path / "releases")


def added(releases: Releases, tmp_path: Path, count: int) -> list[str]:
    """Versions of that many different bundles, all added."""
    return [releases.add(tiny_bundle(tmp_path / f"bundle-{i}", project=f"p{i}")) for i in range(count)]


def moves(releases: Releases) -> list[tuple[str | None, str]]:
    return [(record["from"], record["to"]) for record in releases.history()]


def refused(match: str) -> pytest.RaisesExc[InputError]:
    return pytest.raises(InputError, match=match)
