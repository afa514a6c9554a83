"""Distances of sets that are the same, apart, and in between, by hand where that can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.artifacts import read_json
from tasks.selection.distance import (
    FEWEST_ROWS,
    TOO_FEW,
    Discrepancy,
    Overlap,
    discrepancy,
    in_words,
    overlap,
    proxy_a_distance,
    record,
)
from tests.projects import run_stage, write_project

DRAWN = np.random.default_rng(0)
HERE, AGAIN = DRAWN.normal(size=(120, 8)), DRAWN.normal(size=(200, 8))
SHIFTED = DRAWN.normal(size=(120, 8)) + 0.6
AWAY = DRAWN.normal(size=(120, 8)) + 9


def test_a_classifier_that_is_never_wrong_is_two_apart() -> None:
    assert proxy_a_distance(HERE, AWAY, 1) == 2.0


def test_one_that_guesses_is_nothing_apart() -> None:
    assert proxy_a_distance(HERE, AGAIN, 1) < 0.25
    assert proxy_a_distance(HERE, HERE, 1) == 0.0, "it does worse than chance, which is no distance"


def test_distance_grows_with_the_shift_and_depends_on_the_seed_alone() -> None:
    near, far = proxy_a_distance(HERE, HERE + 0.2, 1), proxy_a_distance(HERE, SHIFTED, 1)
    assert near < 0.6 < far < 2
    assert far == proxy_a_distance(HERE, SHIFTED, 1)


def test_the_larger_set_weighs_no_more() -> None:
    """Ten times as many rows: a classifier that always names the larger set would be right in 91 % of cases."""
    assert proxy_a_distance(DRAWN.normal(size=(1000, 4)), DRAWN.normal(size=(100, 4)), 1) < 0.5


def test_the_distance_by_hand() -> None:
    """One number a row, 1 in the target and in a quarter of the source: an error of one eighth, 2 (1 - 2 / 8)."""
    source = np.repeat([0.0, 1.0], [300, 100])[:, None]
    assert proxy_a_distance(source, np.ones((400, 1)), 1) == pytest.approx(1.5)


def test_discrepancy_knows_chance() -> None:
    same, apart = discrepancy(HERE, AGAIN, 1), discrepancy(HERE, SHIFTED, 1)
    assert same.chance > 0.05 and apart.chance == pytest.approx(1 / 401)
    assert 0 < same.value < apart.value < discrepancy(HERE, AWAY, 1).value


def test_discrepancy_has_no_unit() -> None:
    scaled = np.array([1, 10, 100, 1000, 1, 1, 1, 1e-3])
    one, other = discrepancy(HERE, SHIFTED, 1), discrepancy(HERE * scaled, SHIFTED * scaled, 1)
    assert one.value == pytest.approx(other.value) and one.chance == other.chance


def test_discrepancy_of_constant_features_is_none() -> None:
    found = discrepancy(np.ones((5, 2)), np.ones((5, 2)), 1)
    assert (found.value, found.chance) == (pytest.approx(0), 1.0)


def test_overlap_by_hand() -> None:
    # Of the target's "the", "old", "Cat", "the" three are known; of "the", "cat", "dog", "old" two are in both.
    assert overlap(["the cat", "the dog"], ["The old", "CAT, the!"]) == Overlap(0.75, 0.5)
    assert overlap([], []) == Overlap(0, 0)


def test_words_of_other_scripts() -> None:
    # Neither are parted at the marks of their vowels, nor is a sentence without spaces one word.
    assert overlap(["हिन्दी भाषा"], ["हिन्दी दीप"]) == Overlap(1 / 2, 1 / 3)
    assert overlap(["今天天气好"], ["天气不好"]) == Overlap(3 / 4, 3 / 5)
    assert overlap(["Über"], ["U\u0308ber alles"]) == Overlap(1 / 2, 1 / 2)


@pytest.mark.parametrize(
    ("distance", "chance", "verdict"),
    [
        (0.1, 0.3, "Test rows look like training rows: a linear classifier tells one from the other in 52% of cases"),
        (0.1, 0.01, "Test rows are a little unlike training rows:"),
        (0.8, 0.01, "Test rows are unlike training rows: a linear classifier tells one from the other in 70% of cases"),
        (1.6, 0.01, "Test rows are far from training rows:"),
    ],
)
def test_the_reading(distance: float, chance: float, verdict: str) -> None:
    found = in_words(record(distance, Discrepancy(0.0123, chance), Overlap(0.91, 0.5)))
    assert found.startswith(verdict)
    assert f"{distance:.2f} of 2" in found and "0.0123" in found and f"{chance:.1%} of random divisions" in found
    assert found.endswith("; 91% of the words in test rows occur in training rows.")
    assert "words" not in in_words(record(distance, Discrepancy(0.0123, chance), None))


@pytest.mark.parametrize("rows", [1, FEWEST_ROWS - 1])
def test_a_test_set_of_few_rows_has_no_distance(tmp_path: Path, rows: int) -> None:
    root = write_project(tmp_path, data__test="data/raw/test.csv")
    header, *lines = (root / "data/raw/rows.csv").read_text().splitlines()
    (root / "data/raw/test.csv").write_text("\n".join([header, *lines[:rows]]))
    (root / "data/raw/rows.csv").write_text("\n".join([header, *lines[rows:]]))
    run_stage(root, "selection")
    assert read_json(root / "data/selection/analysis.json")["shift"] is None
    assert TOO_FEW in (root / "data/selection/summary.md").read_text()


@pytest.mark.parametrize("shifted", [False, True])
def test_selection_tells_how_far_a_test_set_of_its_own_is(tmp_path: Path, shifted: bool) -> None:
    root = write_project(tmp_path, data__test="data/raw/test.csv")
    header, *rows = (root / "data/raw/rows.csv").read_text().splitlines()
    if shifted:
        rows[:60] = ["lemon lemon lemon " * (1 + i % 5) + rows[i] for i in range(60)]
    (root / "data/raw/test.csv").write_text("\n".join([header, *rows[:60]]))
    (root / "data/raw/rows.csv").write_text("\n".join([header, *rows[60:]]))
    run_stage(root, "selection")
    found = read_json(root / "data/selection/analysis.json")["shift"]
    assert (found["proxy_a_distance"] > 0.5, found["discrepancy"]["chance"] < 0.05) == (shifted, shifted)
    assert found["overlap"]["words"] == 1.0
    assert in_words(found) in (root / "data/selection/summary.md").read_text()
