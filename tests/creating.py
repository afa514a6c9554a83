"""A folder with data and a model, and a way to ask for a project beside them: what the tests of new projects share."""

from __future__ import annotations

import csv
import hashlib
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from tasks import versions
from tasks.errors import InputError
from tasks.project.create import Created, Wishes, create

WEIGHTS = b"not really tensors"
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
IDENTITY = {
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


@pytest.fixture(autouse=True, scope="module")
def somebody() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in IDENTITY.items():
            patch.setenv(name, value)
        yield


def write_rows(path: Path, rows: int = 60, **columns: Callable[[int], object]) -> Path:
    """A table of distinct texts with two labels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "text": lambda i: f"message {hashlib.sha256(bytes([i])).hexdigest()}",
        "label": lambda i: "ab"[i % 2],
    } | columns
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([cell(i) for cell in columns.values()] for i in range(rows))
    return path


def write_model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    named = {"config.json": b"{}", "model.safetensors": WEIGHTS, "README.md": b"# A model", "run.py": b"", "w.bin": b""}
    for name, content in named.items():
        (folder / name).write_bytes(content)
    Tokenizer(WordLevel({"a": 0}, "a")).save(str(folder / "tokenizer.json"))
    return folder


@dataclass
class Bench:
    """A folder with data and a model, and a way to ask for a project beside them."""

    root: Path
    said: list[str] = field(default_factory=list)

    def create(self, directory: str = "project", ask: Any = None, **wishes: Any) -> Created:
        wanted = {"data": self.root / "rows.csv", "models": [f"path:{self.root / 'model'}"]} | wishes
        return create(self.root / directory, Wishes(**wanted), ask, self.said.append)

    def refusal(self, directory: str = "project", **options: Any) -> str:
        before = listing(self.root)
        with pytest.raises(InputError) as caught:
            self.create(directory, **options)
        assert listing(self.root) == before, "a refusal leaves all as it was"
        (sentence,) = caught.value.sentences
        return sentence


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    write_rows(tmp_path / "rows.csv")
    write_model(tmp_path / "model")
    return Bench(tmp_path)


@pytest.fixture
def no_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC takes seconds; what does not ask about it does without."""

    def track(root: Path, path: str) -> list[str]:
        (root / f"{path}.dvc").write_text("outs: []\n")
        return [f"{path}.dvc"]

    monkeypatch.setattr(versions, "init_dvc", lambda root: [])
    monkeypatch.setattr(versions, "track", track)


def listing(folder: Path) -> dict[str, bytes]:
    """Path -> content of every file, but for git's own."""
    files = [path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout.strip()
