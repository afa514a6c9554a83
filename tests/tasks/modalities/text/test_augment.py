"""Changed texts: words left out and swapped, and what stays as it is."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.modalities.text.augment import FEWEST_WORDS, FUNCTIONS, closed, opened, word_dropout, word_swap
from tasks.prepared import Prepared

WORDS = [f"w{i}" for i in range(2000)]


class Words:
    """An encoder that keeps the text."""

    def encode(self, examples: list[str]) -> list[dict[str, np.ndarray]]:
        return [{"text": np.array(list(text))} for text in examples]


def data(*texts: str) -> Prepared:
    return Prepared(
        [str(i) for i in range(len(texts))], ["train"] * len(texts), list(texts), np.zeros(len(texts), dtype=int),
        [{}] * len(texts), ["a"],
    )  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nothing_happens_at_a_share_of_0(name: str) -> None:
    assert FUNCTIONS[name](WORDS, 0.0, np.random.default_rng(0)) == WORDS


def test_the_share_of_words_is_left_out_and_the_rest_keeps_its_order() -> None:
    found = word_dropout(WORDS, 0.2, np.random.default_rng(0))
    assert len(found) / len(WORDS) == pytest.approx(0.8, abs=0.03)
    assert found == [word for word in WORDS if word in set(found)]


def test_one_word_always_stays() -> None:
    assert word_dropout(["a", "b"], 1.0, np.random.default_rng(0)) == ["a"]


def test_swapped_words_are_neighbours_and_none_is_lost() -> None:
    found = word_swap(WORDS, 0.2, np.random.default_rng(0))
    moves = [WORDS.index(word) - place for place, word in enumerate(found)]
    assert sorted(found) == sorted(WORDS) and set(moves) == {-1, 0, 1}
    assert word_swap(["a", "b", "c"], 1.0, np.random.default_rng(0)) == ["b", "a", "c"]
    assert word_swap(["a"], 1.0, np.random.default_rng(0)) == ["a"]


def test_a_short_text_and_one_without_spaces_stay() -> None:
    texts = data("only three words", "今天天气很好我们去公园散步吧", "four words are enough")
    assert [opened(texts, place, Words()) is None for place in range(3)] == [True, True, False]  # type: ignore[arg-type]
    assert FEWEST_WORDS == 4


def test_changed_words_are_encoded_as_a_text() -> None:
    words = opened(data("four words  are\nenough"), 0, Words())  # type: ignore[arg-type]
    assert words == ["four", "words", "are", "enough"]
    assert "".join(closed(words, Words())["text"]) == "four words are enough"  # type: ignore[arg-type]
