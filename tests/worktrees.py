"""A tiny project in which nothing has run, scheduled runs of it, changes to it: what the tests of worktrees share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tasks import versions
from tasks.reproduce import Record, reproduce
from tasks.worktree import Checkout, scheduled
from tests.toy import git, write_toy, write_versions


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project under versions, in which nothing has run."""
    return write_versions(write_toy(tmp_path_factory.mktemp("template") / "project"))


@pytest.fixture
def fresh(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "project"))


def run(checkout: Checkout) -> Record:
    return reproduce(checkout.root, "preparation", lambda line: None)


def run_and_commit(root: Path) -> tuple[Record, str]:
    with scheduled(root) as checkout:
        record = run(checkout)
        made = checkout.commit([], "run")
        assert made
        return record, made


def change(root: Path, path: str, text: str) -> str:
    (root / path).write_text(text)
    versions.commit(root, [path], f"change {path}")
    return git(root, "rev-parse", "HEAD")
