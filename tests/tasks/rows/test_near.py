"""Near duplicates are found among many, whatever else shares their bucket, and others are not."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tasks.modalities.text.likeness import ShingleLikeness
from tasks.rows.near import ENOUGH, PARTNERS, alike

LIKENESS = ShingleLikeness(0.6)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def sentences(count: int, seed: int = 0) -> list[str]:
    """Texts of 18 words from a vocabulary of 2,000."""
    draw = random.Random(seed)
    vocabulary = ["".join(draw.choices(LETTERS, k=draw.randint(2, 8))) for _ in range(2000)]
    return [" ".join(draw.choices(vocabulary, k=18)) for _ in range(count)]


def found(texts: list[str], rank: list[int], likeness: ShingleLikeness = LIKENESS) -> list[tuple[int, int]]:
    # A row that is not compared stands before the others.
    every, ranks = [texts[0] if texts else "", *texts], np.array([0, *rank], dtype=np.uint8)
    compared = np.arange(1, len(every))
    pairs = alike(likeness, likeness.signatures(every), ranks, compared, lambda places: [every[i] for i in places]) - 1
    return [(int(a), int(b)) for a, b in pairs]


def planted(texts: list[str]) -> list[str]:
    """One small change each: a word, two words, a typo, punctuation and case."""
    draw = random.Random(1)
    made = []
    for number, text in enumerate(texts):
        words = text.split()
        for _ in range(number % 3):
            words[draw.randrange(18)] = "".join(draw.choices(LETTERS, k=5))
        changed = " ".join(words)
        if number % 3 == 0:
            place = draw.randrange(5, 60)
            changed = changed[:place] + changed[place + 1 :].replace(" ", ", ", 3).upper() + "!"
        made.append(changed)
    return made


def test_planted_near_duplicates_are_found_and_nothing_else() -> None:
    texts = sentences(1200)
    pairs = found([*texts, *planted(texts[:400])], [0] * 1200 + [1] * 400)
    right = {(1200 + i, i) for i in range(400)}
    assert len(right & {*pairs}) >= 0.95 * 400
    assert len(right & {*pairs}) >= 0.9 * len(pairs)


def test_what_few_words_bring_nearer_than_their_shingles_is_looked_at_too() -> None:
    likeness, texts = ShingleLikeness(0.65), [" ".join(text.split()[:5]) for text in sentences(1500)]
    less = [" ".join(words[:2] + words[3:]) for words in map(str.split, texts)]
    here, there = likeness.signatures(texts), likeness.signatures(less)
    alike_enough = likeness.similarities(texts, less) >= 0.65
    in_a_bucket = (here == there).all(axis=2).any(axis=1)
    right = {(1500 + int(i), int(i)) for i in np.flatnonzero(alike_enough & in_a_bucket)}
    assert len(right) > 1000 and right <= {*found([*texts, *less], [0] * 1500 + [1] * 1500, likeness)}


def test_pairs_name_the_higher_rank_first_and_neighbours_of_one_rank() -> None:
    first, second = sentences(2)
    assert found([first, second, first, first.upper()], [2, 0, 0, 2]) == [(0, 2), (3, 0), (3, 2)]


def test_each_of_many_alike_finds_one_of_lower_rank() -> None:
    texts = [f"{sentences(1)[0]} {number}" for number in range(300)]
    pairs = found(texts, [number % 3 for number in range(300)])
    for rank in (1, 2):
        for lower in range(rank):
            assert {a for a, b in pairs if a % 3 == rank and b % 3 == lower} == {*range(rank, 300, 3)}


def test_what_shares_a_bucket_and_is_not_alike_is_no_pair() -> None:
    text = sentences(1)[0]
    half = f"{text[:50]} {sentences(1, seed=3)[0][:60]}"
    assert LIKENESS.similarities([text], [half])[0] < 0.6
    assert found([text, half], [0, 1]) == []
    assert found([text, half], [0, 1], ShingleLikeness(0.2)) == [(1, 0)]


@pytest.mark.parametrize("count", [0, 1])
def test_few_rows_have_no_pairs(count: int) -> None:
    assert found(sentences(2)[:count], [0] * count) == []


def test_rows_that_are_all_alike_are_not_all_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, compared = [f"{sentences(1)[0]} {number}" for number in range(400)], 0

    def counted(self: ShingleLikeness, first: list[str], second: list[str]) -> np.ndarray:
        nonlocal compared
        compared += len(first)
        return np.ones(len(first))

    monkeypatch.setattr(ShingleLikeness, "similarities", counted)
    pairs = found(texts, [number % 2 for number in range(400)])
    assert {a for a, b in pairs if a % 2 > b % 2} == {*range(1, 400, 2)}
    assert compared <= 400 * 2 * (ENOUGH + PARTNERS)
