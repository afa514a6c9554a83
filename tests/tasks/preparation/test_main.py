"""Edge of the preparation: a model that cannot answer is refused before a row is read; new rows move no old one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks import prepared
from tasks.artifacts import read_json, sha256_folder, write_json
from tasks.errors import InputError
from tasks.modalities.contract import Arrays
from tasks.params import load
from tasks.preparation.__main__ import _warm_pass
from tasks.stage import read_dvc_yaml
from tests.projects import run_stage, write_project


class Encoder:
    def encode(self, examples: Sequence[str]) -> list[Arrays]:
        return [{"input_ids": np.arange(len(example.split()))} for example in examples]

    def collate(self, encoded: Sequence[Arrays]) -> Arrays:
        return {"input_ids": np.stack([row["input_ids"] for row in encoded])}


class Backbone:
    """Answers every row with two numbers, the second of which is given."""

    def __init__(self, number: float) -> None:
        self.number = number

    def pooled(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.tensor([[1.0, self.number]] * len(inputs["input_ids"]))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_model_that_answers_with_no_number_is_refused(number: float) -> None:
    with pytest.raises(InputError) as found:
        _warm_pass(Backbone(number), Encoder(), "some words")
    (sentence,) = found.value.sentences
    assert "not finite" in sentence and sentence.endswith("restore them.")


def test_a_model_that_answers_with_numbers_passes() -> None:
    _warm_pass(Backbone(-1e30), Encoder(), "some words")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """One in which preparation ran on 180 rows."""
    root = write_project(tmp_path / "project")
    candidate = load(root / "params.yaml").selection.candidates[0]
    (root / "data/selection").mkdir()
    write_json(root / "data/selection/choice.json", candidate.model_dump())
    run_stage(root, "preparation")
    return root


def add(root: Path, lines: Sequence[str]) -> None:
    with (root / "data/raw/rows.csv").open("a", encoding="utf-8") as file:
        file.writelines(lines)
    run_stage(root, "preparation")


def read_by_adaptation(root: Path) -> dict[str, str]:
    """Hash of all that preparation leaves and the stages of adaptation depend on."""
    stages = read_dvc_yaml(root)["stages"]
    read = {dep for name, stage in stages.items() if name.startswith("adaptation") for dep in stage["deps"]}
    assert "${data.path}" not in read
    files = sha256_folder(root / "data/preparation")
    return {path: files[path] for path in files if f"data/preparation/{path.split('/')[0]}" in read}


def test_a_tenth_more_rows_moves_no_row(project: Path) -> None:
    before = prepared.load(project)
    add(project, [f"this old crow and number {i},bird\n" for i in range(18)])
    after = prepared.load(project)
    placed = dict(zip(after.ids, after.splits, strict=True))
    assert len(after) == len(before) + 18 == 198
    assert [placed[id_] for id_ in before.ids] == before.splits


def test_rows_that_are_known_already_leave_adaptation_fresh(project: Path) -> None:
    before = read_by_adaptation(project)
    assert {"rows.arrow", "labels.json"} < {*before}
    add(project, (project / "data/raw/rows.csv").read_text().splitlines(keepends=True)[1:19])
    assert read_by_adaptation(project) == before
    assert sum(read_json(project / "data/preparation/card.json")["quarantined"].values()) == 18
