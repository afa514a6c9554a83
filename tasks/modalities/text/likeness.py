"""Near duplicates among texts: MinHash signatures of their shingles, and how alike two texts really are."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np

from tasks.modalities.text.source import normalise

# Letters and digits a shingle has; punctuation and space count for nothing.
SHINGLE = 4
# A signature: per band, the bytes that two texts must have in common to be looked at.
BANDS, BAND_BYTES = 32, 5
END = "\0"
PAD = END * (SHINGLE - 1)
KEPT = np.array([chr(code).isalnum() or chr(code) == END or code > 127 for code in range(256)])
# Odd numbers: a product with one of them, modulo 2**64, is a hash function (Dietzfelbinger et al. 1997).
STEP = np.uint64(0x9E3779B97F4A7C15)
MULTIPLIERS = np.random.default_rng(0).integers(2**63, size=BAND_BYTES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
EMPTY = np.uint32(2**32 - 1)
TEXTS_AT_ONCE = 1024  # what a step makes of them fits the cache of a core
# Bits of a shingle's hash that stay beside the number of its pair.
HASH_BITS, PAIRS_AT_ONCE = 40, 4096
# Words of a text of which one is a large part; a text in a script without spaces has fewer.
FEW_WORDS = range(4, 20)
# Under so many, another word in a word's place is often another question: "What does OAS stand for?", and "IOC".
FEWEST_TO_REPLACE = 12
# Words left out, put in or mistyped, at most so many, are by so much nearer than their shingles say, others farther.
MOST_CHANGED, SHIFT = 2, 0.1
LONG_WORD = 5
WORD = re.compile(r"\w+")


class ShingleLikeness:
    """`contract.Likeness` of texts: the Jaccard index of their sets of shingles and, of few words, what differs.

    One word more or less in a question of ten changes as many of its shingles as another word does, but hardly what is
    asked. So pairs of few words, of which the Jaccard index alone does not decide, are `SHIFT` nearer or farther.

    Args:
        threshold: similarity from which two texts are near duplicates, in (0, 1].
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def signatures(self, cells: Sequence[str]) -> np.ndarray:
        """(N, BANDS, BAND_BYTES) uint8; of two texts, each byte is the same with a chance of about their similarity.

        One-permutation hashing with the empty bins filled from the next (Shrivastava & Li 2014), and one byte of each
        minimum (Li & Koenig 2010).
        """
        made = np.empty((len(cells), BANDS, BAND_BYTES), dtype=np.uint8)
        for start in range(0, len(cells), TEXTS_AT_ONCE):
            part = cells[start : start + TEXTS_AT_ONCE]
            hashes, rows = _shingles(part)
            rows *= BANDS
            for place, multiplier in enumerate(MULTIPLIERS):
                mixed = hashes * multiplier
                least = np.full(len(part) * BANDS, EMPTY, dtype=np.uint32)
                np.minimum.at(
                    least, rows + (mixed >> np.uint64(59)).view(np.int64), (mixed >> np.uint64(27)).astype("u4")
                )
                made[start : start + len(part), :, place] = _filled(least).reshape(-1, BANDS)
        return made

    def similarities(self, first: Sequence[str], second: Sequence[str]) -> np.ndarray:
        """(N,) similarity of each pair, in [0, 1]; 0 where neither text has a letter."""
        parts = range(0, len(first), PAIRS_AT_ONCE)
        jaccard = [_jaccard(first[i : i + PAIRS_AT_ONCE], second[i : i + PAIRS_AT_ONCE]) for i in parts]
        found = np.concatenate([np.zeros(0), *jaccard])
        for i in np.flatnonzero((np.abs(found - self.threshold) <= SHIFT) & (found < 1)).tolist():
            found[i] = min(1.0, found[i] + _shift(first[i], second[i]))
        return found


def _shift(one: str, other: str) -> float:
    if not all(len(text.split()) in FEW_WORDS for text in (one, other)):
        return 0.0
    ours, theirs = (WORD.findall(normalise(text)) for text in (one, other))
    farther = -SHIFT if max(len(ours), len(theirs)) < FEWEST_TO_REPLACE else 0.0
    changed = 0
    for _, i, j, k, m in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        left, right = ours[i:j], theirs[k:m]
        if left == right or _mistyped(" ".join(left), " ".join(right)):
            continue
        if left and right:
            return farther
        changed += len(left) + len(right)
    return SHIFT if changed <= MOST_CHANGED else farther


def _mistyped(one: str, other: str) -> bool:
    """Whether a letter more, two that changed places or, in a long word, another one makes one of the other."""
    short, long = sorted((one, other), key=len)
    if any(letter.isdigit() for letter in one + other):
        return False
    if len(short) < len(long):
        return len(short) > 1 and any(long[:i] + long[i + 1 :] == short for i in range(len(long)))
    differ = [i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    if len(differ) == 1:
        return len(long) >= LONG_WORD
    first, last = differ[0], differ[-1]
    return len(differ) == 2 and last == first + 1 and one[first : last + 1] == other[last] + other[first]


def _shingles(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Hash of every run of `SHINGLE` characters, those that reach over a text's end included, and its text's place."""
    joined = PAD.join([*(text.replace(END, " ") if END in text else text for text in texts), ""])
    joined = joined.casefold() if joined.isascii() else unicodedata.normalize("NFKC", joined).casefold()
    codes = (
        np.frombuffer(joined.encode("ascii"), dtype=np.uint8)
        if joined.isascii()
        else np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    )
    codes = codes[KEPT[np.minimum(codes, 255)]].astype(np.uint64)
    begins = codes[: len(codes) - SHINGLE + 1] != 0
    hashes = codes[: len(begins)].copy()
    for ahead in range(1, SHINGLE):
        hashes *= STEP
        hashes += codes[ahead : ahead + len(begins)]
    rows = np.cumsum(~begins) // len(PAD)
    hashes, rows = hashes[begins], rows[begins]
    hashes ^= hashes >> np.uint64(29)
    hashes *= STEP
    hashes ^= hashes >> np.uint64(32)
    return hashes, rows


def _filled(least: np.ndarray) -> np.ndarray:
    """Minima (N * BANDS,) with each empty bin as the next of its text that is not; empty where there is no shingle."""
    gaps = np.flatnonzero(least == EMPTY)
    for _ in range(BANDS - 1):
        if not len(gaps):
            break
        least[gaps] = least[gaps - gaps % BANDS + (gaps + 1) % BANDS]
        gaps = gaps[least[gaps] == EMPTY]
    return least


def _jaccard(first: Sequence[str], second: Sequence[str]) -> np.ndarray:
    keys = [
        (rows.astype(np.uint64) << np.uint64(HASH_BITS)) | (hashes >> np.uint64(64 - HASH_BITS))
        for hashes, rows in (_shingles(first), _shingles(second))
    ]
    one, other, both = (
        np.bincount((_distinct(part) >> np.uint64(HASH_BITS)).astype(np.int64), minlength=len(first))
        for part in (*keys, np.concatenate(keys))
    )
    return (one + other - both) / np.maximum(both, 1)


def _distinct(keys: np.ndarray) -> np.ndarray:
    """Each once; `np.unique` hashes, which takes ever longer for numbers that differ in few bits."""
    keys = np.sort(keys)
    kept = np.ones(len(keys), dtype=bool)
    kept[1:] = keys[1:] != keys[:-1]
    return np.asarray(keys[kept])
