"""The artefact chain: every form on the same rows, and a break is found and named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tasks import metrics
from tasks.deployment.chain import Artefact, breaks, known_answer, left_out, score, served_breaks
from tests.factories import params

LOGITS = np.array([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0], [0.1, 0.0]])
CLASSES = np.array([0, 1, 0, 0])
SETTINGS = params().deployment
DRAWN = metrics.Resamples(4, 50, 0)


def off(row: int, by: float) -> Artefact:
    logits = LOGITS.copy()
    logits[row, 1] += by
    return Artefact(logits, 10)


def records(**artefacts: Artefact) -> dict[str, Any]:
    whole = {"checkpoint": Artefact(LOGITS, 40), "reloaded": off(0, 0), "onnx": off(0, 0)} | artefacts
    return {name: score(artefact, whole["checkpoint"], CLASSES, "accuracy", DRAWN) for name, artefact in whole.items()}


def test_the_table_by_hand() -> None:
    found = records(int8=off(3, 0.25))
    assert found["int8"]["accuracy"] == 0.75 and found["checkpoint"]["accuracy"] == 1.0
    assert found["int8"]["loss"]["value"] == 0.25  # what the checkpoint scores more
    assert (found["int8"]["max_logit_difference"], found["int8"]["changed_answers"]) == (0.25, 1)
    assert (found["int8"]["bytes"], found["checkpoint"]["bytes"]) == (10, 40)
    assert found["checkpoint"]["loss"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert set(found) == {"checkpoint", "reloaded", "onnx", "int8"}


def test_an_intact_chain_has_no_breaks() -> None:
    assert breaks(records(), 2.0, params().deployment) == []


@pytest.mark.parametrize("name", ["reloaded", "onnx"])
def test_a_break_is_found_and_named(name: str) -> None:
    (sentence,) = breaks(records(**{name: off(1, 0.002)}), 2.0, params().deployment)
    assert sentence == (
        f"{name} differs from the checkpoint by 0.002 in a logit, over 0.0002, which is "
        "deployment.max_logit_difference 0.0001 of the largest."
    )


def test_forms_that_compete_may_differ_and_the_tolerance_is_the_params() -> None:
    assert breaks(records(int8=off(1, 1.0), optimised=off(1, 0.01)), 2.0, params().deployment) == []
    assert breaks(records(onnx=off(1, 0.002)), 2.0, params(deployment__max_logit_difference=0.01).deployment) == []


def test_an_optimised_graph_that_answers_otherwise_breaks_nothing_and_is_left_out() -> None:
    found = records(optimised=off(1, 0.01), int8=off(1, 1.0))
    assert breaks(found, 2.0, params().deployment) == []
    assert left_out(found, 2.0, params().deployment) == {
        "optimised": "it differs from the checkpoint by 0.01 in a logit, over 0.0002, which is "
        "deployment.max_logit_difference 0.0001 of the largest"
    }
    assert left_out(records(optimised=off(1, 0.0001)), 2.0, params().deployment) == {}
    assert left_out(found, 2.0, params(deployment__max_logit_difference=0.01).deployment) == {}
    assert left_out(records(onnx=off(1, 1.0)), 2.0, params().deployment) == {}, "of the way back it is a break"


@pytest.mark.parametrize(("largest", "found"), [(0.5, 1), (1.0, 1), (1.3, 0), (20.0, 0)])
def test_the_tolerance_grows_with_the_logits_as_rounding_does(largest: float, found: int) -> None:
    assert len(breaks(records(onnx=off(1, 0.000122)), largest, params().deployment)) == found


@pytest.mark.parametrize("name", ["onnx", "optimised"])
def test_float32_must_give_the_same_logits_everywhere_but_for_rounding(name: str) -> None:
    found = known_answer("one", np.array([1.23456789, -6.0]), name, {"max_logit_difference": 9.0}, 2.0, SETTINGS)
    assert (found.example, found.logits, found.exact) == ("one", [1.234568, -6.0], True)
    assert found.tolerance == pytest.approx(0.0006), "of the largest logit, here that of the example"
    other = known_answer("one", np.array([0.1, 0.2]), name, {"max_logit_difference": 9.0}, 20.0, SETTINGS)
    assert other.tolerance == pytest.approx(0.002)


@pytest.mark.parametrize(("difference", "tolerance"), [(0.8, 0.8), (0.0, 0.0002)])
def test_what_fewer_bits_cost_is_what_another_cpu_may_differ_by(difference: float, tolerance: float) -> None:
    found = known_answer("one", np.array([1.0, 0.0]), "int8", {"max_logit_difference": difference}, 2.0, SETTINGS)
    assert (found.exact, found.tolerance) == (False, pytest.approx(tolerance))


def test_all_breaks_are_reported_at_once() -> None:
    assert len(breaks(records(reloaded=off(0, 1), onnx=off(0, 1)), 2.0, params().deployment)) == 2


def test_a_served_answer_is_the_graphs_to_the_bit() -> None:
    assert served_breaks(LOGITS.copy(), LOGITS) == []
    (sentence,) = served_breaks(np.nextafter(LOGITS, 9), LOGITS)
    assert "its encoder is not the one that made them" in sentence


def test_without_labels_answers_are_compared_and_nothing_is_scored() -> None:
    found = score(off(3, 0.25), Artefact(LOGITS, 40), None, "accuracy", DRAWN)
    assert found == {
        "accuracy": None, "loss": None, "max_logit_difference": 0.25, "changed_answers": 1, "bytes": 10,
    }  # fmt: skip
