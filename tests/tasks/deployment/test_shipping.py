"""The fastest form inside the budget ships, float32 where none is faster."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.deployment.shipping import choose, inside_budget
from tests.factories import params

SETTINGS = params().deployment


def records(**upper: float) -> dict[str, Any]:
    """Name -> record whose loss has this upper bound, float32 and links of the chain among them."""
    bounds = {"checkpoint": 0.0, "onnx": 0.0} | upper
    return {name: {"loss": {"value": 0.0, "low": -0.5, "high": bound}} for name, bound in bounds.items()}


@pytest.mark.parametrize(("upper", "inside"), [(0.0099, True), (0.01, True), (0.0101, False)])
def test_a_form_competes_when_the_upper_bound_of_its_loss_is_inside(upper: float, inside: bool) -> None:
    assert inside_budget(records(int8=upper), ["int8"], SETTINGS) == (["int8"] if inside else [])


def test_a_form_must_be_inside_in_batches_and_row_by_row() -> None:
    found = records(int8=0.0, int8_alone=0.0652)
    assert inside_budget(found, ["int8"], SETTINGS) == []
    assert (
        "int8 is out, the upper 95 % bound of its loss in accuracy is 6.52 points"
        in (choose(found, {"onnx": 9.0}, {}, SETTINGS, "accuracy")[1])
    )
    found = records(int8=0.0, int8_alone=0.008)
    assert inside_budget(found, ["int8"], SETTINGS) == ["int8"]
    assert "is 0.80 points, inside" in choose(found, {"onnx": 9.0, "int8": 3.0}, {}, SETTINGS, "accuracy")[1]


def test_the_fastest_ships_and_the_sentence_says_what_became_of_each_and_no_time() -> None:
    found = records(optimised=0.0, int8=0.0032, int8_static=0.02)
    name, reason = choose(found, {"onnx": 9.123, "optimised": 6.0, "int8": 3.0}, {}, SETTINGS, "accuracy")
    assert name == "int8"
    assert reason == (
        "int8 ships: the fastest here, the upper 95 % bound of its loss in accuracy is 0.32 points, inside the budget "
        "of 1.00; optimised is slower; int8_static is out, the upper 95 % bound of its loss in accuracy is 2.00 "
        "points, over the budget of 1.00."
    )


def test_a_broken_quantisation_leaves_float32() -> None:
    name, reason = choose(records(int8=0.6), {"onnx": 9.0}, {}, SETTINGS, "accuracy")
    assert name == "onnx"
    assert reason.startswith("onnx (float32) ships: int8 is out, the upper 95 % bound of its loss in accuracy is 60.00")


@pytest.mark.parametrize(("float32", "name"), [(14.9, "onnx"), (15.1, "int8")])
def test_what_is_hardly_faster_does_not_ship(float32: float, name: str) -> None:
    found, reason = choose(records(int8=0.0), {"onnx": float32, "int8": 10.0}, {}, SETTINGS, "accuracy")
    assert found == name and (name == "int8" or "int8 is not 1.5 times as fast" in reason)


def test_equal_times_are_decided_by_name() -> None:
    times = {"onnx": 9.0, "optimised": 3.0, "int8": 3.0}
    assert choose(records(optimised=0.0, int8=0.0), times, {}, SETTINGS, "accuracy")[0] == "int8"


def test_a_form_that_could_not_be_made_is_told() -> None:
    left_out = {"optimised": "it cannot be made of this model (KeyError)"}
    assert choose(records(), {"onnx": 0.0}, left_out, SETTINGS, "accuracy") == (
        "onnx",
        "onnx (float32) ships: optimised is out, it cannot be made of this model (KeyError).",
    )


def test_a_form_that_is_left_out_is_told_once_whatever_it_scores() -> None:
    left_out = {"optimised": "it differs from the checkpoint by 0.01 in a logit"}
    assert choose(records(optimised=0.0), {"onnx": 9.0}, left_out, SETTINGS, "accuracy") == (
        "onnx",
        "onnx (float32) ships: optimised is out, it differs from the checkpoint by 0.01 in a logit.",
    )


def test_without_forms_float32_ships_and_says_why() -> None:
    alone = params(deployment__forms=[]).deployment
    assert choose(records(), {"onnx": 0.0}, {}, alone, "accuracy") == (
        "onnx",
        "onnx (float32) ships: deployment.forms names no other.",
    )


def test_without_labels_nothing_is_inside_the_budget_and_float32_ships() -> None:
    found = {name: {"loss": None, "changed_answers": changed} for name, changed in (("onnx", 0), ("int8", 3))}
    assert inside_budget(found, ["int8"], SETTINGS) == []
    name, reason = choose(found, {"onnx": 9.0}, {}, SETTINGS, "accuracy")
    assert name == "onnx" and "without labelled rows its loss cannot be measured (3 answers change)" in reason
