"""Terms that give a label away: by hand, by chance, and by the label's own name."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.sparse

from tasks.preparation.leaking import MIN_ROWS, giveaways, named


def column(rows: int, where: slice) -> np.ndarray:
    found = np.zeros(rows)
    found[where] = 1
    return found


CLASSES = np.repeat([0, 1], 200)


def test_a_term_of_one_label_is_named_with_rows_precision_and_bound() -> None:
    present = np.stack([column(400, slice(100)), column(400, slice(150, 250))], axis=1)
    (found,) = giveaways(present, ["trace", "word"], CLASSES)
    assert (found.term, found.label, found.rows, found.precision) == ("trace", 0, 100, 1.0)
    # 0.05 for two terms together: x with x ** 100 = 0.025.
    assert found.at_least == pytest.approx(0.025 ** (1 / 100))


def test_rows_that_contradict_lower_the_bound() -> None:
    present = np.stack([column(400, slice(95, 205))], axis=1)
    (found,) = giveaways(present, ["trace"], np.where(np.arange(400) < 200, 0, 1))
    assert (found.rows, found.precision) == (110, 105 / 110) and 0.85 < found.at_least < 0.95


def test_a_term_in_few_rows_proves_nothing() -> None:
    few, more = column(400, slice(MIN_ROWS - 1)), column(400, slice(MIN_ROWS))
    assert giveaways(np.stack([few], axis=1), ["few"], CLASSES) == []
    assert [one.term for one in giveaways(np.stack([few, more], axis=1), ["few", "more"], CLASSES)] == ["more"]


def test_none_of_thousands_of_rare_words_is_named_by_chance() -> None:
    draw = np.random.default_rng(0)
    present = draw.random((2000, 3000)) < 0.0125  # 25 rows each; of 25 fair coins, all agree once in 17 million
    classes = (draw.random(2000) < 0.85).astype(int)  # a label that most rows have anyway
    alone = [(present[:, t] @ classes) / present[:, t].sum() for t in range(3000)]
    assert max(alone) == 1.0, "some words have one label alone"
    assert giveaways(present.astype(float), [str(t) for t in range(3000)], classes) == []


def test_a_common_word_does_not_give_away_the_label_that_most_rows_have() -> None:
    draw = np.random.default_rng(0)
    classes = (draw.random(2000) < 0.9).astype(int)
    words = (draw.random((2000, 50)) < 0.3).astype(float)  # 600 rows each, 540 of them with the common label
    trace = (classes * (draw.random(2000) < 0.3))[:, None]
    found = giveaways(np.hstack([words, trace]), [*(f"word{t}" for t in range(50)), "trace"], classes)
    assert [one.term for one in found] == ["trace"]


def test_of_terms_within_one_another_the_surest_stays() -> None:
    present = np.stack([column(400, slice(100)), column(400, slice(101)), column(400, slice(300, 400))], axis=1)
    found = giveaways(present, ["ref no", "ref", "reference"], CLASSES)
    assert [one.term for one in found] == ["ref", "reference"]


def test_a_label_whose_name_stands_in_its_examples_is_named() -> None:
    present = np.stack([column(400, slice(30)), column(400, slice(170, 230)), column(400, slice(10))], axis=1)
    labels = ["sport", "news", "rare"]
    (found,) = named(present, labels, labels, CLASSES)
    assert (found.term, found.rows, found.precision) == ("sport", 30, 1.0)


def test_a_name_that_stands_in_the_examples_of_another_label_is_not() -> None:
    present = np.stack([column(400, slice(200, 260))], axis=1)
    assert named(present, ["sport"], ["sport", "news"], CLASSES) == []


def test_many_terms_and_labels_take_no_more_memory_than_the_terms() -> None:
    draw = np.random.default_rng(0)
    rows, terms, labels = 2_000, 100_000, 500
    words = (np.ones(rows * 20, dtype=int), (np.repeat(np.arange(rows), 20), draw.integers(0, terms, rows * 20)))
    present = scipy.sparse.csr_matrix(words, shape=(rows, terms))
    tracemalloc.start()
    giveaways(present, ["word"] * terms, np.arange(rows) % labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * terms * labels / 20, f"{peak / 1e6:.0f} MB"
