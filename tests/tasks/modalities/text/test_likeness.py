"""How alike two texts are, by hand, and what a signature tells of it."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tasks.modalities.text.likeness import BANDS, ShingleLikeness

LIKENESS = ShingleLikeness(0.6)


def sentences(count: int, words: int = 18) -> list[str]:
    """Texts of usual length from a vocabulary of 2,000 words."""
    draw = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["".join(draw.choices(letters, k=draw.randint(2, 8))) for _ in range(2000)]
    return [" ".join(draw.choices(vocabulary, k=words)) for _ in range(count)]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # abcd bcde, and the ends cde. de.. e...: five runs that begin at a letter.
        ("abcde", "abcde", 1),
        ("abcde", "abcdx", 1 / 9),
        ("abcde", "vwxyz", 0),
        ("ABC-de!", "abc de", 1),
        ("Maß", "mass", 1),
        ("ab", "ab", 1),
        ("!!!", "???", 0),
    ],
)
def test_similarity_by_hand(first: str, second: str, expected: float) -> None:
    assert LIKENESS.similarities([first], [second]).tolist() == pytest.approx([expected])
    assert LIKENESS.similarities([second], [first]).tolist() == pytest.approx([expected])


def test_no_pairs_have_no_similarities() -> None:
    assert LIKENESS.similarities([], []).shape == (0,)


def test_the_share_of_equal_bytes_is_about_the_similarity() -> None:
    texts = sentences(400)
    pairs = zip(texts, reversed(texts), strict=True)
    changed = [" ".join([*one.split()[: 18 - i % 12], *other.split()[:2]]) for i, (one, other) in enumerate(pairs)]
    told = (LIKENESS.signatures(texts) == LIKENESS.signatures(changed)).mean(axis=(1, 2))
    off = told - LIKENESS.similarities(texts, changed)
    # One byte in 256 is equal by chance; 160 draws have a standard error of 0.04.
    assert abs(off.mean()) < 0.01 and off.std() < 0.05


def test_a_signature_is_of_its_text_alone() -> None:
    texts = [*sentences(50), "", "a", "!"]
    together = LIKENESS.signatures(texts)
    assert together.shape[:2] == (53, BANDS) and together.dtype == np.uint8
    alone = np.concatenate([LIKENESS.signatures([text]) for text in texts])
    assert np.array_equal(together, alone)
