"""What a person should look at: rows with a planted wrong label, words that were planted, and no row of the test split
that has a say in it."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tasks.modalities.image import classical as image
from tasks.modalities.text import classical as text
from tasks.preparation import quality
from tasks.preparation.quality import Doubt, doubts, markdown, record, review_csv
from tasks.prepared import Prepared
from tasks.problems.classification import learn

LABELS = ["a", "b", "refund_due"]
FLIPPED = [0, 31, 62, 121]  # the last is a test row


@pytest.fixture(scope="module")
def found() -> tuple[Prepared, np.ndarray]:
    """120 training and 30 test rows in three clear clusters; four labels are wrong."""
    draw = np.random.default_rng(0)
    true = np.arange(150) % 3
    features = np.eye(3)[true] * 8 + draw.normal(size=(150, 3))
    classes = true.copy()
    classes[FLIPPED] = (true[FLIPPED] + 1) % 3
    splits = ["train"] * 100 + ["validation"] * 20 + ["test"] * 30
    texts = [f"message {i}" + " trace7" * (k == 0) + " Refund, due" * (k == 2) for i, k in enumerate(true.tolist())]
    return Prepared([f"{i:032x}" for i in range(150)], splits, texts, classes, [{}] * 150, LABELS), features


def test_rows_with_a_wrong_label_are_found_in_every_split(found: tuple[Prepared, np.ndarray]) -> None:
    data, features = found
    doubted, noise = doubts(data, features, learn, 0)
    assert {doubt.position for doubt in doubted} == set(FLIPPED)
    assert all(doubt.suggested == doubt.position % 3 for doubt in doubted)
    assert noise == pytest.approx(3 / 120, abs=0.02)
    assert [d.confidence for d in doubted] == sorted((d.confidence for d in doubted), reverse=True)


def test_no_test_row_has_a_say_in_what_is_said_of_others(found: tuple[Prepared, np.ndarray]) -> None:
    data, features = found
    scrambled, other = data.classes.copy(), features.copy()
    scrambled[120:], other[120:] = (scrambled[120:] + 1) % 3, -other[120:]
    before, noise = doubts(data, features, learn, 0)
    after, same = doubts(replace(data, classes=scrambled), other, learn, 0)
    assert [d for d in before if d.position < 120] == [d for d in after if d.position < 120] and noise == same


def test_the_review_names_place_split_labels_and_content(found: tuple[Prepared, np.ndarray]) -> None:
    data, _ = found
    places = [("rows.csv", i + 1) for i in range(150)]
    rows = list(csv.reader(io.StringIO(review_csv(data, places, [Doubt(121, 1, 0.98765), Doubt(0, 0, 0.5)]))))
    assert rows[0] == ["file", "row", "split", "label", "suggested", "confidence", "input"]
    assert rows[1] == ["rows.csv", "122", "test", "refund_due", "b", "0.9877", "message 121"]
    assert rows[2][:6] == ["rows.csv", "1", "train", "b", "a", "0.5000"]


def told(found: tuple[Prepared, np.ndarray]) -> dict[str, Any]:
    data, features = found
    return record(data, *doubts(data, features, learn, 0), text)


def test_the_record_counts_rows_and_names_words_that_give_labels_away(found: tuple[Prepared, np.ndarray]) -> None:
    made = told(found)
    assert made["suspected_labels"] == {"train": 3, "validation": 0, "test": 1}
    named = {one["term"]: (one["label"], one["rows"]) for one in made["giveaways"]}
    assert named["trace7"] == ("a", 40), "test rows are not counted"
    assert len(named) == made["giveaways_found"] < 5, "of the pairs around a word, the word alone"
    assert [(one["term"], one["label"]) for one in made["named_labels"]] == [("refund_due", "refund_due")]


def test_a_modality_without_words_says_nothing_of_them(found: tuple[Prepared, np.ndarray]) -> None:
    data, features = found
    made = record(data, *doubts(data, features, learn, 0), image)
    assert (made["giveaways"], made["giveaways_found"], made["named_labels"]) == (None, None, [])
    assert "Terms" not in markdown(made)


def test_the_second_part_of_the_card_for_people(found: tuple[Prepared, np.ndarray]) -> None:
    lines = markdown(told(found)).splitlines()
    assert lines[4].startswith("4 rows have a label that looks wrong (3 train, 0 validation, 1 test)")
    assert any(line.startswith("| trace7 | a | 40 | ") for line in lines)
    assert "## Labels whose own name stands in their examples" in lines
    assert "None." in markdown(told(found) | {"giveaways": [], "giveaways_found": 0}).splitlines()
    assert "And 3 more." in markdown(told(found) | {"giveaways_found": len(told(found)["giveaways"]) + 3}).splitlines()


def test_a_label_keeps_to_its_cell(found: tuple[Prepared, np.ndarray]) -> None:
    one = {"term": "a|b", "label": "a|b", "rows": 20, "precision": 1.0, "at_least": 0.9}
    assert r"| a\|b | a\|b | 20 | 100.0% | 90.0% |" in markdown(told(found) | {"named_labels": [one]}).splitlines()


def test_words_are_counted_in_a_bounded_number_of_rows_from_all_over(
    found: tuple[Prepared, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "MAX_TERM_ROWS", 4)
    spread = quality._spread(found[0])
    assert spread.inputs == [found[0].inputs[i] for i in (0, 49, 99, 149)] and len(spread.classes) == 4
    monkeypatch.setattr(quality, "MAX_TERM_ROWS", 150)
    assert quality._spread(found[0]) is found[0]
