"""A tiny project under DVC in which nothing has run, and a phase of it: what the tests of phases through DVC share."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tasks import reproduce
from tests.toy import write_dvc_config, write_toy


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which nothing has run."""
    root = write_toy(tmp_path_factory.mktemp("template") / "project")
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=root, check=True, capture_output=True, timeout=60)
    write_dvc_config(root)
    return root


@pytest.fixture
def fresh(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "project"))


def repeat(root: Path, phase: str) -> reproduce.Record:
    return reproduce.reproduce(root, phase, lambda line: None)
