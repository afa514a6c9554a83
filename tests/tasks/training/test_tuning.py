"""A training at the values that a trial drew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.training import tuning
from tests.tasks.training.test_workbench import bench


def test_usual_is_what_the_params_say_with_the_middle_rate(tmp_path: Path) -> None:
    made = bench(tmp_path, adaptation__training__learning_rates=[0.3, 0.1, 0.2], adaptation__scope__lora__rank=5)
    found = tuning.usual(made, made.stage.params.adaptation.training)
    named = {"learning_rate": 0.2, "weight_decay": 0.01, "warmup_share": 0.1, "batch_rows": 16, "lora_rank": 5}
    assert found == named


@pytest.mark.parametrize(
    "changed", [{}, {"learning_rate": 0.3}, {"weight_decay": 0.2}, {"warmup_share": 0.5}, {"batch_rows": 2}]
)
def test_a_drawn_value_takes_the_place_of_the_usual_one(tmp_path: Path, changed: dict[str, Any]) -> None:
    made = bench(tmp_path)
    settings = made.stage.params.adaptation.training
    values = tuning.usual(made, settings) | changed
    one = tuning.set_up(made, "full", settings, values, least_epochs=3)
    assert (one.job.rate, one.job.settings.weight_decay) == (values["learning_rate"], values["weight_decay"])
    assert one.job.settings.warmup_share == values["warmup_share"]
    assert one.objective.steps(one.job.train) == -(-4 // values["batch_rows"])
    assert (one.job.epochs, one.job.least_epochs) == (settings.epochs, 3), "the winner is trained for all epochs"
