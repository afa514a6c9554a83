"""Rows of three labels, and a way to have them looked at: what the tests of guesses share."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import InputError
from tasks.modalities import MODALITIES
from tasks.project.guess import Given, Guess, guess

ROWS = 24
TEXTS = [f"the {word} number {i} is here" for i in range(ROWS // 2) for word in ("first", "second")]
LABELS = ["good", "bad", "fair"] * (ROWS // 3)
MODALITY = next(iter(MODALITIES))


def table(path: Path, **columns: Sequence[object]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def look(path: Path, ask: Any = None, max_labels: int = 100, **given: Any) -> Guess:
    return guess(path, Given(**given), 1000, max_labels, ask)


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        look(path, **options)
    (sentence,) = caught.value.sentences
    return sentence


def files(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
