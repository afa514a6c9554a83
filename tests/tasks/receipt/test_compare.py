"""The verdict: paired, against the best control, with the figures it rests on."""

from __future__ import annotations

import numpy as np
import pytest

from tasks import metrics
from tasks.metrics import Estimate, Judged, judge
from tasks.receipt.compare import CONTROLS, compare, decide, passes, sentence, unlabelled

ROWS = 40
CLASSES = np.arange(ROWS) % 2
DRAWN = metrics.Resamples(ROWS, 200, 0)


def right_on(rows: int) -> Judged:
    """Answers that are right on the first `rows` rows."""
    sure = np.where(np.arange(ROWS) < rows, 0.9, 0.1)
    return judge(CLASSES, np.where(np.arange(3) == CLASSES[:, None], sure[:, None], (1 - sure[:, None]) / 2))


def receipt(adapted: int, **others: int) -> dict[str, object]:
    rows = {"adapted": adapted, "from_scratch": 20, "classical": 22, "majority": 18, "frozen_probe": 40} | others
    judged = {name: right_on(count) for name, count in rows.items()}
    return compare(judged, "accuracy", ["a", "b", "c"], DRAWN)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.01, 0.2, "paid_off"),
        (-0.1, 0.1, "undecided"),
        (0.0, 0.2, "undecided"),
        (-0.2, 0.0, "undecided"),
        (-0.2, -0.01, "did_not_pay_off"),
    ],
)
def test_the_verdict_by_the_interval(low: float, high: float, verdict: str) -> None:
    assert decide(Estimate(0.0, low, high)) == verdict


@pytest.mark.parametrize(("adapted", "verdict"), [(36, "paid_off"), (22, "undecided"), (8, "did_not_pay_off")])
def test_the_verdict_of_a_comparison(adapted: int, verdict: str) -> None:
    assert receipt(adapted)["verdict"] == verdict


@pytest.mark.parametrize("best", ["from_scratch", "classical", "majority"])
def test_the_best_control_is_the_one_to_beat_and_the_probe_is_none(best: str) -> None:
    assert receipt(30, **{best: 25})["best_control"] == best


def test_the_record_has_scores_differences_and_f1() -> None:
    record = receipt(36)
    scores, differences = record["scores"], record["differences"]
    assert isinstance(scores, dict) and isinstance(differences, dict)
    assert set(scores) == {"adapted", "from_scratch", "frozen_probe", "classical", "majority", "zero_shot"}
    assert scores["zero_shot"] is None and scores["adapted"]["accuracy"]["value"] == 0.9
    assert set(scores["adapted"]["accuracy"]) == {"value", "low", "high"}
    assert set(differences) == {"from_scratch", "classical", "majority", "frozen_probe"}
    assert differences["classical"]["value"] == 0.35 and differences["frozen_probe"]["value"] == -0.1
    assert record["f1_per_label"]["c"] is None  # type: ignore[index]
    assert (record["test_rows"], record["metric"]) == (40, "accuracy")


def test_zero_shot_is_compared_and_no_control() -> None:
    record = receipt(30, zero_shot=40)
    assert record["best_control"] != "zero_shot"
    assert record["scores"]["zero_shot"]["accuracy"]["value"] == 1.0  # type: ignore[index]
    assert record["differences"]["zero_shot"]["value"] == -0.25  # type: ignore[index]


def test_the_sentence_has_the_figures() -> None:
    found = sentence(
        "paid_off", "accuracy", "from_scratch", Estimate(0.05, 0.012, 0.09), Estimate(0.9, 0, 1), Estimate(0.85, 0, 1)
    )
    assert found == (
        "The transfer paid off: accuracy 90.0 % adapted against 85.0 % for the best control without transfer "
        "(from scratch), a difference of +5.0 points (95 % interval +1.2 to +9.0, paired)."
    )


def test_each_verdict_has_its_own_words() -> None:
    starts = [str(receipt(rows)["sentence"]).split(":")[0] for rows in (36, 22, 8)]
    assert starts == ["The transfer paid off", "Undecided", "The transfer did not pay off"]


@pytest.mark.parametrize(
    ("verdict", "better", "not_worse"),
    [("paid_off", True, True), ("undecided", False, True), ("did_not_pay_off", False, False)],
)
def test_what_each_gate_lets_pass(verdict: str, better: bool, not_worse: bool) -> None:
    assert passes(verdict, "better") is better  # type: ignore[arg-type]
    assert passes(verdict, "not_worse") is not_worse  # type: ignore[arg-type]
    assert passes(verdict, "off")  # type: ignore[arg-type]


def test_without_labels_it_is_undecided_in_the_same_form_and_no_score_is_made_up() -> None:
    found = unlabelled("accuracy", ["a", "b"], ["adapted", "majority"], 7)
    models = dict.fromkeys(("adapted", *CONTROLS), metrics.judge(np.array([0, 1]), np.eye(2)))
    assert set(found) == set(compare(models, "accuracy", ["a", "b"], metrics.Resamples(2, 100, 0)))
    assert found["verdict"] == "undecided" and found["sentence"].startswith(
        "Undecided: no labelled rows, so nothing was"
    )
    assert found["scores"] == {"adapted": None, "majority": None} and found["differences"] == {}
    assert [passes("undecided", gate) for gate in ("off", "not_worse", "better")] == [True, True, False]
