"""Near duplicates among many rows: pairs that share a band of their signatures, then those that are alike indeed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tasks.modalities.contract import Likeness

# Rows of one rank that a row is compared with in one bucket: where there are more, they are alike among themselves.
PARTNERS = 4
# Likely partners after which no more are looked for, so that rows that are all alike take no more memory than others.
ENOUGH = 8
# A signature tells the share of equal shingles with a standard error of about 0.04, and texts of few words may be 0.1
# nearer than that: pairs this far below are not looked at again.
SLACK = 0.25
PAIRS_AT_ONCE = 1 << 16
# A band of 5 bytes and the rank are one sorted number.
RANK_BITS = np.uint64(8)
HALF = np.uint64(32)


def alike(
    likeness: Likeness,
    signatures: np.ndarray,
    rank: np.ndarray,
    places: np.ndarray,
    examples: Callable[[np.ndarray], list[str]],
) -> np.ndarray:
    """Pairs of rows that are near duplicates, (P, 2), sorted: first the row of higher or equal rank.

    Each row that has near duplicates of some rank is found with one of them; not every pair is named.

    Args:
        likeness: of the modality.
        signatures: (N, B, R) uint8 as `likeness` makes them; B bands (Indyk & Motwani 1998).
        rank: (N,) uint8.
        places: (M,) of the rows that are compared, among all N, ascending.
        examples: places of rows, ascending -> their examples.
    """
    likely = np.zeros(0, dtype=np.uint64)
    # Likely partners so far, by whether they are of another rank.
    partners = np.zeros((2, len(rank)), dtype=np.int32)
    for band in range(signatures.shape[1] if len(places) else 0):
        for row, other in _in_one_bucket(_keys(signatures[places, band], rank[places]), rank[places]):
            row, other = places[row], places[other]
            wanting = partners[(rank[row] != rank[other]).astype(np.int8), row] < ENOUGH
            codes = (row[wanting].astype(np.uint64) << HALF) | other[wanting].astype(np.uint64)
            new = _distinct(codes)
            new = new[~np.isin(new, likely, assume_unique=True)]
            new = new[_estimate(signatures, _pairs(new)) >= likeness.threshold - SLACK]
            row, other = _pairs(new).T
            np.add.at(partners, ((rank[row] != rank[other]).astype(np.int8), row), 1)
            likely = np.sort(np.concatenate([likely, new]))
    pairs = _pairs(likely)
    return pairs[_similarities(likeness, pairs, examples) >= likeness.threshold]


def _pairs(codes: np.ndarray) -> np.ndarray:
    """(P,) numbers that hold two places each -> (P, 2)."""
    return np.stack([codes >> HALF, codes & ((np.uint64(1) << HALF) - np.uint64(1))], axis=1).astype(np.int64)


def _distinct(codes: np.ndarray) -> np.ndarray:
    """Sorted, each once; `np.unique` hashes, which takes ever longer for numbers that differ in few bits."""
    ordered = np.sort(codes)
    kept = np.ones(len(ordered), dtype=bool)
    kept[1:] = ordered[1:] != ordered[:-1]
    return np.asarray(ordered[kept])


def _keys(band: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """(N, R) bytes -> (N,) numbers, the rank in the last byte."""
    keys = np.zeros(len(band), dtype=np.uint64)
    for byte in (*band.T, rank):
        keys <<= RANK_BITS
        keys |= byte
    return keys


def _in_one_bucket(keys: np.ndarray, rank: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Places of rows and of their partners, of the same key but for the rank.

    Each row comes with up to `PARTNERS` of each lower rank, and with the one before it of its own.
    """
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    keys >>= RANK_BITS
    # Rows that are alone in their bucket are most of all rows.
    same = np.zeros(len(keys) + 1, dtype=bool)
    same[1:-1] = keys[1:] == keys[:-1]
    shared = same[1:] | same[:-1]
    order, bucket = order[shared], keys[shared]
    ranks = rank[order]
    for target in np.unique(ranks):
        partners, of = order[ranks == target], bucket[ranks == target]
        beside = np.flatnonzero(of[1:] == of[:-1])
        yield partners[beside + 1], partners[beside]
        above, at = order[ranks > target], bucket[ranks > target]
        first = np.searchsorted(of, at)
        count = np.searchsorted(of, at, side="right") - first
        turn = np.arange(len(above))  # so that not all of a bucket are compared with the same few
        for step in range(PARTNERS):
            several = count > step
            yield above[several], partners[first[several] + (turn[several] + step) % count[several]]


def _estimate(signatures: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Share of equal bytes of each pair, (P,)."""
    shares = np.zeros(len(pairs))
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        part = pairs[start : start + PAIRS_AT_ONCE]
        equal = signatures[part[:, 0]] == signatures[part[:, 1]]
        shares[start : start + PAIRS_AT_ONCE] = equal.mean(axis=(1, 2))
    return shares


def _similarities(likeness: Likeness, pairs: np.ndarray, examples: Callable[[np.ndarray], list[str]]) -> np.ndarray:
    """Similarity of each pair, (P,), from the examples themselves."""
    found = [np.zeros(0)]
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        part = pairs[start : start + PAIRS_AT_ONCE]
        places = _distinct(part.ravel())
        texts = examples(places)
        first, second = np.searchsorted(places, part).T
        found.append(likeness.similarities([texts[i] for i in first], [texts[i] for i in second]))
    return np.concatenate(found)
