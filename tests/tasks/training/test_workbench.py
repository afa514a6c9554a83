"""What the adaptation's stages share at their edge."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tasks.modalities import part
from tasks.modalities.text import augment
from tasks.prepared import Prepared
from tasks.stage import Stage
from tasks.training.workbench import Workbench, computes_in_bfloat16
from tests.factories import params


def bench(folder: Path, **changes: Any) -> Workbench:
    """A workbench with three training rows of a and one of b, and a validation row of each."""
    splits = ["train"] * 4 + ["validation"] * 2
    classes = np.array([0, 0, 0, 1, 0, 1])
    data = Prepared([str(i) for i in range(6)], splits, ["x"] * 6, classes, [{}] * 6, ["a", "b"])
    return Workbench("full", 1, "mean", data, SimpleNamespace(), folder, Stage("", folder, params(**changes), folder))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("balance", "loss", "resample", "steers"),
    [
        ("none", None, False, None),
        ("weights", [2 / 3, 2], False, [2 / 3, 2]),
        ("resample", None, True, [2 / 3, 2]),
    ],
)
def test_balance_is_by_the_training_rows(tmp_path: Path, balance: str, loss: Any, resample: bool, steers: Any) -> None:
    made = bench(tmp_path, adaptation__balance=balance)
    job = made.job(made.stage.params.receipt.scratch)
    objective = made.objective(made.stage.params.receipt.scratch, job.train)
    weights = None if objective.weights is None else objective.weights.tolist()
    assert weights == (loss and pytest.approx(loss)) and objective.resample is resample
    assert (None if job.weights is None else job.weights.tolist()) == (steers and pytest.approx(steers))


@pytest.mark.parametrize(
    ("modality", "least", "drawn"), [("text", 2.0, True), ("text", 2.1, False), ("image", None, False)]
)
def test_many_rows_a_label_teach_a_drawn_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modality: str, least: float | None, drawn: bool
) -> None:
    settings: Any = part(modality, "settings")
    if least:
        monkeypatch.setattr(settings, "DRAWN_HEAD_FROM", least)
    assert bench(tmp_path, project__modality=modality).draws_head is drawn


def test_a_training_can_be_watched_in_a_file_that_dvc_reads(tmp_path: Path) -> None:
    curve = bench(tmp_path).job(params().receipt.scratch).curve
    assert curve == tmp_path / "data/adaptation/running.csv", "DVC overlooks what lies below .graft"


def test_augmentation_is_what_the_params_say(tmp_path: Path) -> None:
    settings = params().receipt.scratch
    assert bench(tmp_path).job(settings).augmentation is None
    found = bench(tmp_path, adaptation__augmentation__text__word_swap=0.1).job(settings).augmentation
    assert found is not None and found.module is augment  # type: ignore[comparison-overlap]
    assert (found.settings.word_dropout, found.settings.word_swap) == (0, 0.1)


@pytest.mark.parametrize(
    ("capabilities", "yes"),
    [
        ({"architecture": "x86_64", "avx2": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"architecture": "x86_64", "avx512_bf16": True, "amx_bf16": False}, True),
        ({"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": True}, True),
        ({"architecture": "aarch64", "bf16": True}, True),
        ({"architecture": "aarch64", "bf16": False}, False),
        ({}, False),
    ],
)
def test_auto_takes_bfloat16_where_the_cpu_has_it(capabilities: dict[str, object], yes: bool) -> None:
    assert computes_in_bfloat16(capabilities) is yes
