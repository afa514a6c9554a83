"""Who answers from now on: decided on the same rows, in words that carry the figures."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from tasks.metrics import Estimate, Resamples
from tasks.problems.classification.answer import Answer
from tasks.receipt.challenge import between, challenge, decide, judged
from tasks.rows.clean import load
from tests.bundles import tiny_bundle
from tests.factories import params

LABELS = ["a", "b"]


def model(right: list[bool]) -> list[Answer]:
    """Answers to rows whose label is a."""
    return [Answer("a" if one else "b", 0.9) for one in right]


def against(champion: list[bool], challenger: list[bool], later: list[bool]) -> dict:  # type: ignore[type-arg]
    rows = ["a"] * len(later)
    return challenge(
        judged(rows, model(champion), LABELS),
        judged(rows, model(challenger), LABELS),
        np.array(later),
        "accuracy",
        lambda count: Resamples(count, 500, 0),
    )


def test_better_on_later_rows_and_the_same_before_is_promoted() -> None:
    found = against([True] * 60 + [False] * 15 + [True] * 5, [True] * 60 + [True] * 20, [False] * 60 + [True] * 20)
    assert found["promote"] and found["sentence"].startswith("Promoted the new model")
    assert found["groups"]["before"]["difference"]["value"] == 0
    later = found["groups"]["later"]
    assert (later["rows"], later["champion"], later["challenger"]) == (20, 0.25, 1.0)
    assert later["difference"]["value"] == 0.75 and later["difference"]["low"] > 0
    assert "rows that came later (20): 25.0 % before, 100.0 % now, +75.0 points" in found["sentence"]


def test_better_later_but_worse_before_is_kept() -> None:
    found = against([True] * 60 + [False] * 20, [True] * 40 + [False] * 20 + [True] * 20, [False] * 60 + [True] * 20)
    assert not found["promote"] and "worse on the rows from before" in found["sentence"]


def test_no_proven_gain_is_kept() -> None:
    found = against([True] * 40 + [False, True], [True] * 40 + [True, True], [False] * 40 + [True] * 2)
    assert not found["promote"] and "not better at 95 %" in found["sentence"]


def test_without_later_rows_all_rows_decide() -> None:
    found = against([True] * 20 + [False] * 20, [True] * 40, [False] * 40)
    assert found["promote"] and found["groups"]["later"] is None


@pytest.mark.parametrize(
    ("all_", "before", "later", "promoted"),
    [
        ((0.01, 0.05), (-0.01, 0.02), (-0.1, 0.2), True),
        ((-0.01, 0.05), (-0.01, 0.02), (0.01, 0.2), True),
        ((-0.01, 0.05), (-0.01, 0.02), (-0.01, 0.2), False),
        ((0.01, 0.05), (-0.04, -0.01), (0.3, 0.5), False),
    ],
)
def test_the_rule(
    all_: tuple[float, float], before: tuple[float, float], later: tuple[float, float], promoted: bool
) -> None:
    bounds = {"all": all_, "before": before, "later": later}
    assert decide({name: Estimate(0.0, *pair) for name, pair in bounds.items()})[0] is promoted


def test_a_row_without_an_answer_is_wrong_and_a_label_that_one_model_lacks_can_be_right() -> None:
    found = judged(["a", "c", "b"], [None, Answer("c", 0.4), Answer("a", 0.5)], ["a", "b", "c"])
    assert found.predictions.tolist() == [3, 2, 0]


def test_two_bundles_answer_the_test_rows_of_old_and_new_data(tmp_path: Path) -> None:
    # Of the words only good and bad are known to the tiny bundles; the swapped one answers the opposite.
    texts = [f"{'good' if i % 2 else 'bad'} {i}" for i in range(120)]
    for name, chosen in (("rows.csv", texts[:60]), ("feedback.csv", texts[60:])):
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *((text, text.split()[0]) for text in chosen)])
    settings = params(data__path="rows.csv", data__feedback="feedback.csv", data__where={})
    right = tiny_bundle(tmp_path / "right")
    wrong = tiny_bundle(tmp_path / "wrong", head=np.array([[0, 4], [4, 0]], dtype=np.float32))
    rows = load(tmp_path, settings).of("test")
    found = between(tmp_path, settings, wrong, right)
    assert found["promote"]
    counts = {name: group["rows"] for name, group in found["groups"].items()}
    later = sum(row.file == "feedback.csv" for row in rows)
    assert counts == {"all": len(rows), "before": len(rows) - later, "later": later} and later > 0
    assert (found["groups"]["later"]["champion"], found["groups"]["later"]["challenger"]) == (0, 1)
    assert not between(tmp_path, settings, right, wrong)["promote"]
