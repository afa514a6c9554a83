"""How alike two texts are, by hand, and what a signature tells of it."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tasks.modalities.text.likeness import BANDS, ShingleLikeness, _jaccard

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


ASKED = "What does OAS stand for in a treaty ?"


@pytest.mark.parametrize(
    ("other", "shift"),
    [
        ("What does OAS stand for in a treaty please ?", 0.1),
        ("What does OAS stand for ?", -0.1),  # three words less
        ("What does IOC stand for in a treaty ?", -0.1),
        ("What does OAS stand for in a traety ?", 0.1),  # two letters that changed places
        ("What does OAS stand for in a treeaty ?", 0.1),
        ("What does OAS stand for in a treatx ?", 0.1),
        ("What does OAS stand for in an art ?", -0.1),
        ("What does OASx stand for in a treaty ?", 0.1),
        ("What does 7 stand for in a treaty ?", -0.1),
    ],
)
def test_in_few_words_it_counts_what_differs(other: str, shift: float) -> None:
    jaccard = _jaccard([ASKED], [other])
    likeness = ShingleLikeness(float(jaccard[0]))
    assert likeness.similarities([ASKED], [other]).tolist() == pytest.approx([jaccard[0] + shift])
    assert likeness.similarities([other], [ASKED]).tolist() == pytest.approx([jaccard[0] + shift])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a treaty 12", "a treaty 13"),  # too few words to count
        ("我想知道 我的新卡什么时候到", "我想知道 我的新卡什么时候能到"),  # no spaces between words
        (" ".join(["order 1 of", *["many"] * 17]), " ".join(["order 2 of", *["many"] * 17])),  # a small part
        (
            "one two three four five six seven eight nine ten 11 x",
            "one two three four five six seven eight nine ten 12 x",
        ),
    ],
)
def test_elsewhere_shingles_alone_count(one: str, other: str) -> None:
    jaccard = _jaccard([one], [other])
    assert ShingleLikeness(float(jaccard[0])).similarities([one], [other]).tolist() == jaccard.tolist()


def test_words_that_only_spaces_divide_otherwise_are_the_same_text() -> None:
    assert ShingleLikeness(1.0).similarities(["when will my topup go ?"], ["When will my top-up go?"]).tolist() == [1.0]


def test_a_number_is_never_mistyped() -> None:
    one, other = "where did the term 86 come from ?", "where did the term 865 come from ?"
    jaccard = float(_jaccard([one], [other])[0])
    assert ShingleLikeness(jaccard).similarities([one], [other])[0] == pytest.approx(jaccard - 0.1)


def test_few_words_decide_only_where_shingles_leave_it_open() -> None:
    one, other = "What does OAS stand for ?", "What does IOC stand for ?"
    jaccard = float(_jaccard([one], [other])[0])
    assert ShingleLikeness(jaccard - 0.11).similarities([one], [other])[0] == jaccard


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
