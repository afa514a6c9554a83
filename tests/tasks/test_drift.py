"""The drift reference: what it keeps, and that it comes back as it was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tasks import drift


def test_the_reference_by_hand() -> None:
    features = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
    probabilities = np.array([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75], [1.0, 0.0]])
    found = drift.fit(features, probabilities, seed=0)
    assert found.features.dtype == np.float32 and np.array_equal(found.features, features)
    assert found.label_shares.tolist() == [0.75, 0.25]  # a tie goes to the first label
    assert found.confidence.tolist() == [0.5, 0.75, 0.75, 1.0]


def test_a_label_that_is_never_predicted_has_share_zero() -> None:
    assert drift.fit(np.ones((1, 1)), np.array([[0.1, 0.8, 0.1]]), 0).label_shares.tolist() == [0, 1, 0]


def test_a_large_sample_is_limited_without_repeats_but_shares_count_all_rows() -> None:
    rows = drift.SAMPLE_ROWS + 88
    features = np.arange(rows, dtype=np.float64)[:, None]
    probabilities = np.tile([0.9, 0.1], (rows, 1))
    probabilities[:150] = [0.1, 0.9]
    found = drift.fit(features, probabilities, seed=4)
    assert found.features.shape == (512, 1) and found.confidence.shape == (512,)
    assert np.all(np.diff(found.features[:, 0]) > 0)
    assert found.label_shares.tolist() == [0.75, 0.25]
    assert np.array_equal(found.features, drift.fit(features, probabilities, seed=4).features)
    assert not np.array_equal(found.features, drift.fit(features, probabilities, seed=5).features)


def test_round_trip(tmp_path: Path) -> None:
    made = drift.fit(np.random.default_rng(0).normal(size=(9, 3)), np.full((9, 2), 0.5), 0)
    made.save(tmp_path / "drift.npz")
    found = drift.load(tmp_path / "drift.npz")
    for name in ("features", "label_shares", "confidence"):
        assert np.array_equal(getattr(found, name), getattr(made, name))
