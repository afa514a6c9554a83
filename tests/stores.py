"""Releases in an object store, seen from several machines: what the tests of stores share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.objects import Objects
from deploy.releases import Releases
from deploy.store import Store

Make = Callable[..., Releases]


class Killed(BaseException):
    """Stands for a signal that no code can catch."""


def made(url: str, tmp_path: Path) -> Make:
    """Releases at a place of this test, seen from one machine or another."""
    return lambda machine="here": Releases(tmp_path / machine, f"{url}/{tmp_path.name}")


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return made("memory://models", tmp_path)


@pytest.fixture
def releases(make: Make) -> Releases:
    return make()


def objects(releases: Releases) -> Objects:
    assert isinstance(releases._target, Store)
    return releases._target._objects


def overwrite(releases: Releases, name: str, content: bytes) -> None:
    objects(releases)._system.pipe_file(objects(releases)._path(name), content)
