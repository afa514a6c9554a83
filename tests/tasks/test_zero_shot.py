"""Zero-shot: labels as words, the reasons against it, and cosines by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.modalities.image import source as image
from tasks.modalities.text import source as text
from tasks.zero_shot import SCALE, label_words, logits, why_not


def test_a_description_goes_before_the_name_which_is_read_as_words() -> None:
    found = label_words(["card_arrival", "LOC", "a__b_"], {"LOC": "a place"})
    assert found == {"card_arrival": "card arrival", "LOC": "a place", "a__b_": "a b"}


def test_an_image_model_reads_no_words() -> None:
    reason = why_not(image, "image", {"cat": "cat"})
    assert reason == "A model of modality image reads no words, so a label's name says nothing to it."


def test_labels_without_a_letter_need_a_description() -> None:
    assert why_not(text, "text", {"0": "bad", "1": "good"}) is None
    reason = why_not(text, "text", {str(k): str(k) for k in range(4)} | {"b": "bad"})
    assert reason == (
        "Labels without a letter (0, 1, 2, ...) say nothing to a model: describe them in data.label_descriptions."
    )


def test_cosines_by_hand_whatever_the_lengths() -> None:
    found = logits(np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[2.0, 0.0], [0.0, 7.0]]))
    assert found[0].tolist() == pytest.approx([0.6 * SCALE, 0.8 * SCALE])
    assert found[1].tolist() == [0, 0]
