"""The artefact chain: a break is found, and int8 ships only inside its budget."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tasks import metrics
from tasks.deployment.chain import Artefact, breaks, served_breaks, shipped, table
from tests.factories import params

LOGITS = np.array([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0], [0.1, 0.0]])
CLASSES = np.array([0, 1, 0, 0])
DRAWN = metrics.resamples(4, 50, 0)


def off(row: int, by: float) -> Artefact:
    logits = LOGITS.copy()
    logits[row, 1] += by
    return Artefact(logits, 10)


def records(**artefacts: Artefact) -> dict[str, Any]:
    whole = {"checkpoint": Artefact(LOGITS, 40), "reloaded": off(0, 0), "float32": off(0, 0)} | artefacts
    return table(whole, CLASSES, "accuracy", DRAWN)


def test_the_table_by_hand() -> None:
    found = records(int8=off(3, 0.25))
    assert found["int8"]["accuracy"] == 0.75 and found["checkpoint"]["accuracy"] == 1.0
    assert found["int8"]["loss"]["value"] == 0.25  # what the checkpoint scores more
    assert (found["int8"]["max_logit_difference"], found["int8"]["changed_answers"]) == (0.25, 1)
    assert (found["int8"]["bytes"], found["checkpoint"]["bytes"]) == (10, 40)
    assert found["checkpoint"]["loss"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert set(found) == {"checkpoint", "reloaded", "float32", "int8"}


def test_an_intact_chain_has_no_breaks() -> None:
    assert breaks(records(), params().deployment) == []


@pytest.mark.parametrize("name", ["reloaded", "float32"])
def test_a_break_is_found_and_named(name: str) -> None:
    (sentence,) = breaks(records(**{name: off(1, 0.002)}), params().deployment)
    assert sentence == (
        f"{name} differs from the checkpoint by 0.002 in a logit, over deployment.max_logit_difference 0.0001."
    )


def test_int8_may_differ_and_the_tolerance_is_the_params() -> None:
    assert breaks(records(int8=off(1, 1.0)), params().deployment) == []
    assert breaks(records(float32=off(1, 0.002)), params(deployment__max_logit_difference=0.01).deployment) == []


def test_all_breaks_are_reported_at_once() -> None:
    assert len(breaks(records(reloaded=off(0, 1), float32=off(0, 1)), params().deployment)) == 2


def test_a_served_answer_is_the_graphs_to_the_bit() -> None:
    graph = Artefact(LOGITS, 1)
    assert served_breaks(Artefact(LOGITS.copy(), None), graph) == []
    (sentence,) = served_breaks(Artefact(np.nextafter(LOGITS, 9), None), graph)
    assert "its encoder is not the one that made them" in sentence


@pytest.mark.parametrize(
    ("upper", "name", "words"),
    [
        (0.0099, "int8", "int8 ships: the upper 95 % bound of its loss in accuracy is 0.99 points, inside the budget"),
        (0.01, "int8", "is 1.00 points, inside the budget of 1.00."),
        (0.0101, "float32", "float32 ships: int8 is out, the upper 95 % bound of its loss in accuracy is 1.01 points"),
    ],
)
def test_int8_ships_when_the_upper_bound_of_its_loss_is_inside(upper: float, name: str, words: str) -> None:
    loss = {"value": 0.0, "low": -0.5, "high": upper}
    found, reason = shipped({"float32": {}, "int8": {"loss": loss}}, params().deployment, "accuracy")
    assert found == name and words in reason


def test_without_int8_float32_ships_and_says_why() -> None:
    assert shipped({"float32": {}}, params().deployment, "accuracy") == (
        "float32",
        "float32 ships: deployment.int8.enabled is false.",
    )
