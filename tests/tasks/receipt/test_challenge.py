"""Who answers from now on: decided on the same rows, in words that carry the figures."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.errors import InputError
from tasks.metrics import Estimate, Resamples
from tasks.params import Monitoring
from tasks.receipt.challenge import Gate, between, challenge, decide, judged
from tasks.rows.clean import Row, load
from tests.bundles import tiny_bundle
from tests.factories import params

LABELS = ["a", "b"]


def model(right: list[bool]) -> list[np.ndarray | None]:
    """Probabilities of a and b for rows whose label is a."""
    return [np.array([0.9, 0.1] if one else [0.1, 0.9]) for one in right]


def rule(gate: Gate, margin: float = 0.0) -> Monitoring:
    return params(monitoring__gate=gate, monitoring__margin=margin).monitoring


def against(champion: list[bool], challenger: list[bool], later: list[bool], gate: Gate = "better") -> dict[str, Any]:
    rows = ["a"] * len(later)
    return challenge(
        judged(rows, model(champion), LABELS, LABELS),
        judged(rows, model(challenger), LABELS, LABELS),
        np.array(later),
        "accuracy",
        rule(gate),
        lambda count: Resamples(count, 500, 0),
    )


def test_better_on_later_rows_and_the_same_before_is_promoted() -> None:
    found = against([True] * 60 + [False] * 15 + [True] * 5, [True] * 60 + [True] * 20, [False] * 60 + [True] * 20)
    assert found["promote"] and found["sentence"].startswith(
        "Promoted the new model: it is better on the rows that came"
    )
    assert found["groups"]["before"]["difference"]["value"] == 0
    later = found["groups"]["later"]
    assert (later["rows"], later["champion"], later["challenger"]) == (20, 0.25, 1.0)
    assert later["difference"]["value"] == 0.75 and later["difference"]["low"] > 0
    assert "the rows that came later (20): 25.0 % before, 100.0 % now, +75.0 points" in found["sentence"]


def test_better_later_but_worse_before_is_kept() -> None:
    found = against([True] * 60 + [False] * 20, [True] * 40 + [False] * 20 + [True] * 20, [False] * 60 + [True] * 20)
    assert not found["promote"] and "worse on the rows from before" in found["sentence"]


def test_without_later_rows_all_rows_decide() -> None:
    found = against([True] * 20 + [False] * 20, [True] * 40, [False] * 40)
    assert found["promote"] and found["groups"]["later"] is None and "better on all rows" in found["sentence"]


@pytest.mark.parametrize(
    ("before", "later", "loss_fall", "better", "not_worse"),
    [
        ((-0.01, 0.0, 0.02), (0.01, 0.1, 0.2), -0.1, True, True),  # proven
        ((-0.04, -0.02, 0.01), (-0.2, -0.1, 0.1), 0.1, False, True),  # a lower log loss, and nothing proven
        ((-0.01, 0.0, 0.02), (-0.1, 0.1, 0.2), -0.1, False, False),  # a higher score, and nothing proven
        ((-0.01, 0.0, 0.02), (0.0, 0.0, 0.0), 0.0, False, False),  # the same answers
        ((-0.01, 0.0, 0.02), (-0.3, -0.2, -0.1), 0.1, False, False),  # worse on new rows
        ((-0.06, -0.04, -0.01), (0.3, 0.4, 0.5), 0.1, False, False),  # worse on old rows
    ],
)
def test_the_rule(
    before: tuple[float, float, float],
    later: tuple[float, float, float],
    loss_fall: float,
    better: bool,
    not_worse: bool,
) -> None:
    differences = {
        name: Estimate(value, low, high) for name, (low, value, high) in (("before", before), ("later", later))
    }
    differences["all"] = Estimate(0.5, 0.4, 0.6)  # never decides where rows came later
    falls = {"before": 0.0, "later": loss_fall, "all": 1.0}
    assert [decide(differences, falls, gate, 0.05)[0] for gate in ("better", "not_worse")] == [better, not_worse]


@pytest.mark.parametrize(
    ("low_before", "low_later", "within"),
    [(-0.019, -0.019, True), (-0.021, 0.1, False), (0.1, -0.021, False), (0.1, 0.1, True)],
)
def test_non_inferior_is_proven_on_old_rows_and_on_new_ones(low_before: float, low_later: float, within: bool) -> None:
    differences = {
        name: Estimate(low + 0.1, low, low + 0.2) for name, low in (("before", low_before), ("later", low_later))
    }
    differences["all"] = Estimate(-0.5, -0.6, -0.4)  # never decides where rows came later
    promote, reason = decide(differences, {"before": -1, "later": -1, "all": -1}, "non_inferior", 0.02)
    assert promote is within and "within 2 points of the champion, at 95 %" in reason
    assert reason.startswith("Promoted the new model" if within else "Kept the champion")


def test_non_inferior_needs_no_better_log_loss_and_says_its_rows() -> None:
    same = [True] * 40
    found = against(same, same, [False] * 40, "non_inferior")
    assert found["promote"] and "within 0 points of the champion, at 95 %, on all rows." in found["sentence"]
    assert not against(same, same, [False] * 40, "not_worse")["promote"]


def test_labels_that_a_model_does_not_know_are_said(tmp_path: Path) -> None:
    rows = rows_of(tmp_path)
    seen = [row.id for row in rows]
    champion = tiny_bundle(tmp_path / "champion", judged=seen)
    challenger = tiny_bundle(tmp_path / "challenger", judged=seen, labels=["bad", "ugly"])
    sentence = between(tmp_path, SETTINGS, champion, challenger)["sentence"]
    assert "The champion does not know ugly: its answers to such rows count as wrong." in sentence
    assert "The new model does not know good: its answers" in sentence
    assert "does not know" not in between(tmp_path, SETTINGS, champion, champion)["sentence"]


def test_one_right_answer_less_and_more_trust_in_the_other_right_ones_is_promoted() -> None:
    labels, sure, unsure, wrong = ["a"] * 40, *(np.array([share, 1 - share]) for share in (0.95, 0.55, 0.45))
    found = challenge(
        judged(labels, [unsure] * 40, LABELS, LABELS),
        judged(labels, [sure] * 39 + [wrong], LABELS, LABELS),
        np.ones(40, bool),
        "accuracy",
        rule("not_worse"),
        lambda count: Resamples(count, 500, 0),
    )
    assert found["promote"] and "its log loss is lower on the rows that came later" in found["sentence"]
    assert found["groups"]["later"]["log_loss"]["champion"] == pytest.approx(-np.log(0.99 * 0.55 + 0.01 / 3), abs=1e-6)


def test_a_row_without_an_answer_is_wrong_and_a_label_that_one_model_lacks_can_be_right() -> None:
    answers = [None, np.array([0.4, 0.6]), np.array([0.7, 0.3])]
    found = judged(["a", "c", "b"], answers, ["a", "c"], ["a", "b", "c"])
    assert found.predictions.tolist() == [3, 2, 0]
    assert np.exp(-found.losses) == pytest.approx([0.0025, 0.99 * 0.6 + 0.0025, 0.0025])


SWAPPED = np.array([[0, 4], [4, 0]], dtype=np.float32)
SETTINGS = params(data__path="in/feedback.csv", data__feedback="data/raw/feedback.csv", data__where={})


def rows_of(root: Path) -> list[Row]:
    """Test rows of 100 old texts and 100 that came later; of the words only good and bad are known to tiny bundles."""
    texts = [f"{'good' if i % 2 else 'bad'} {i}" for i in range(200)]
    for name, chosen in ((SETTINGS.data.path, texts[:100]), (str(SETTINGS.data.feedback), texts[100:])):
        (root / name).parent.mkdir(parents=True)
        with (root / name).open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *((text, text.split()[0]) for text in chosen)])
    return load(root, SETTINGS).of("test")


def counts(found: dict[str, Any]) -> dict[str, int | None]:
    return {name: group and group["rows"] for name, group in found["groups"].items()}


def test_two_bundles_answer_the_test_rows_of_old_and_new_data(tmp_path: Path) -> None:
    rows = rows_of(tmp_path)
    old = [row.id for row in rows if row.source == "path"]
    right = tiny_bundle(tmp_path / "right", judged=old)
    wrong = tiny_bundle(tmp_path / "wrong", head=SWAPPED, judged=old)
    found = between(tmp_path, SETTINGS, wrong, right)
    assert found["promote"]
    assert counts(found) == {"all": len(rows), "before": len(old), "later": len(rows) - len(old)}
    assert (found["groups"]["later"]["champion"], found["groups"]["later"]["challenger"]) == (0, 1)
    assert not between(tmp_path, SETTINGS, right, wrong)["promote"]


def test_what_came_before_the_champion_is_old_to_it_even_if_it_came_by_feedback(tmp_path: Path) -> None:
    rows = rows_of(tmp_path)
    seen = [row.id for row in rows][:-3]
    champion = tiny_bundle(tmp_path / "champion", judged=seen)
    assert counts(between(tmp_path, SETTINGS, champion, champion)) == {
        "all": len(rows), "before": len(rows) - 3, "later": 3,
    }  # fmt: skip


def test_rows_that_only_another_split_makes_test_rows_do_not_count(tmp_path: Path) -> None:
    rows = rows_of(tmp_path)
    old = [row.id for row in rows if row.source == "path"]
    champion = tiny_bundle(tmp_path / "champion", judged=old[:5])
    assert counts(between(tmp_path, SETTINGS, champion, champion))["before"] == 5


def test_rows_of_a_new_snapshot_came_later_unless_the_champion_learned_from_them(tmp_path: Path) -> None:
    rows = rows_of(tmp_path)
    old = [row.id for row in rows if row.source == "path"]
    judged_on, learned = old[:5], old[5:8]
    champion = tiny_bundle(tmp_path / "champion", judged=judged_on, learned=learned)
    assert counts(between(tmp_path, SETTINGS, champion, champion)) == {
        "all": len(rows) - 3, "before": 5, "later": len(rows) - 8,
    }  # fmt: skip


def test_without_a_row_to_compare_on_it_is_refused(tmp_path: Path) -> None:
    rows_of(tmp_path)
    champion = tiny_bundle(tmp_path / "champion", judged=["0" * 32])
    settings = SETTINGS.model_copy(update={"data": SETTINGS.data.model_copy(update={"feedback": None})})
    with pytest.raises(InputError, match="No test row is left"):
        between(tmp_path, settings, champion, champion)


def test_without_a_label_nothing_is_compared(tmp_path: Path) -> None:
    rows = [row.id for row in rows_of(tmp_path)]
    champion = tiny_bundle(tmp_path / "champion", judged=rows)
    words = {"label_descriptions": {"good": "good", "bad": "bad"}, "label_column": "none", "feedback": None}
    settings = SETTINGS.model_copy(update={"data": SETTINGS.data.model_copy(update=words)})
    path = tmp_path / SETTINGS.data.path
    path.write_text("text\n" + "".join(f"{line.split(',')[0]}\n" for line in path.read_text().splitlines()[1:]))
    with pytest.raises(InputError, match="No row has a label, so nothing says which model is better"):
        between(tmp_path, settings, champion, champion)
