"""Models that the tests of text share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.text_models import write_models


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random model of each family."""
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def folder(models: Path, tmp_path: Path) -> Path:
    """A BERT that a test may break."""
    return Path(shutil.copytree(models / "BertModel", tmp_path / "model"))
