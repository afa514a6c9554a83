"""A project whose champion is the tiny bundle, and the `graft` command asked in it: what tests of commands share."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from flows.commands import app
from tests.factories import REPO
from tests.serving import released

ROWS = [
    ("1", "good", "good"),
    ("2", "bad, bad", "bad"),
    ("3", "", "good"),
    ("4", "good bad good", "bad"),
    ("5", "x" * 500, "good"),
]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose champion is the tiny bundle."""
    root = tmp_path_factory.mktemp("project")
    shutil.copy(REPO / "params.yaml", root)
    released(root)
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    root = Path(shutil.copytree(template, tmp_path / "project"))
    table(root / "in.csv", ["id", "text", "label"], ROWS)
    return root


def table(path: Path, header: list[str], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def graft(root: Path, *arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(app, [*arguments, "--project", str(root)], **options)
