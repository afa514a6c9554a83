"""Text: words and pairs for the classical baseline, and those that are looked for."""

from __future__ import annotations

import numpy as np

from tasks.modalities.text import classical
from tasks.prepared import Prepared


def test_classical_features_are_words_and_pairs() -> None:
    vectoriser = classical.vectoriser()
    matrix = vectoriser.fit_transform(["café late", "cafe early"])
    assert matrix.shape == (2, 5)
    assert set(vectoriser.get_feature_names_out()) == {"cafe", "late", "early", "cafe late", "cafe early"}


def test_the_features_of_texts_without_words_are_characters() -> None:
    vectoriser = classical.vectoriser()
    assert vectoriser.fit_transform(["3 + 4", "😀", "fine"]).shape == (3, 6)
    assert set(vectoriser.get_feature_names_out()) == {*"3 +4😀", "fine"}


def texts(*values: str) -> Prepared:
    rows = len(values)
    return Prepared(["0"] * rows, ["train"] * rows, [*values], np.zeros(rows, int), [{}] * rows, ["a"])


def test_words_and_pairs_that_stand_in_a_text_are_told_once() -> None:
    found = classical.presence(texts("Red é red_1", "no 7"))
    assert found is not None
    present, terms = found
    assert terms == ["1", "7", "e", "e red", "no", "no 7", "red", "red 1", "red e"]
    assert present.toarray()[:, terms.index("red")].tolist() == [1, 0]


def test_phrases_are_found_as_whole_words_whatever_their_spelling() -> None:
    rows = texts("my REFUND, not yet shown", "refunded, not shown", "a refund")
    found = classical.presence(rows, ["refund_not_yet", "Refund", "no", "?"])
    assert found is not None
    present, phrases = found
    assert phrases == ["refund_not_yet", "Refund"], "what is shorter than three characters stands anywhere"
    assert present.toarray().tolist() == [[1, 1], [0, 0], [0, 1]]
    assert classical.presence(rows, ["a", "7"]) is None


def test_no_words_stand_in_texts_of_signs() -> None:
    assert classical.presence(texts("😀", "+ -")) is None
