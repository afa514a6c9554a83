"""The drift reference: distances worked out by hand, limits that keep their rate, and what comes back from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks import drift
from tasks.drift import Rows


def answers(count: int, seed: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Pooled features (N, 8) and probabilities (N, 3) of a traffic that a shift moves."""
    random = np.random.default_rng(seed)
    pooled = random.normal(size=(count, 8)) + shift
    logits = pooled[:, :3]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return pooled, shares


def rows_of(reference: drift.Reference, pooled: np.ndarray, shares: np.ndarray) -> Rows:
    return Rows(reference.project(pooled), shares.argmax(axis=1), shares.max(axis=1))


@pytest.fixture(scope="module")
def reference() -> drift.Reference:
    return drift.fit(*answers(200, 0), window_rows=50, false_alarm_rate=0.02, seed=1)


def test_distances_by_hand() -> None:
    # Points 0 and 1 on a line, two of each. Squared distances are 0 or 1; of the six pairs four are 1 apart, so the
    # median and with it the kernel's width is 1: k is 1 between equals, e = exp(-1) between others.
    rows = Rows(np.array([[0.0], [0.0], [1.0], [1.0]]), np.array([0, 1, 1, 1]), np.array([0.5, 0.5, 0.9, 0.7]))
    inside = np.array([[True, True, False, False], [True, False, True, False]])
    found = drift.distances(rows, rows, inside, labels=2)
    e = np.exp(-1)
    # Apart: mean within is 1 on both sides, across e, so 1 + 1 - 2e. Mixed: (1 + e) / 2 within and across, so 0.
    np.testing.assert_allclose(found[:, 0], [2 - 2 * e, 0], atol=1e-12)
    # Label shares (1/2, 1/2) against (0, 1); then (1/2, 1/2) against (0, 1) again.
    np.testing.assert_allclose(found[:, 1], [0.5, 0.5])
    # Steps at 0.5 (both inside): 1 against 0. Mixed: at 0.5 one of two on each side, at 0.7 1/2 against 1.
    np.testing.assert_allclose(found[:, 2], [1.0, 0.5])


def test_windows_without_drift_stay_under_the_rate_and_others_do_not(reference: drift.Reference) -> None:
    quiet = [
        drift.alarms(reference, drift.judge(reference, rows_of(reference, *answers(50, s)))) for s in range(9, 309)
    ]
    # At a rate of 2 % more than 14 of 300 have a probability under 0.2 %.
    assert sum(map(bool, quiet)) <= 14
    loud = [
        drift.alarms(reference, drift.judge(reference, rows_of(reference, *answers(50, s, shift=1.0))))
        for s in range(9, 29)
    ]
    assert all("features" in measures for measures in loud)


def test_the_measures_share_the_rate() -> None:
    # Each is over its limit in a third of the windows that may be an alarm, on the reference's own windows.
    found = drift.fit(*answers(200, 0), window_rows=50, false_alarm_rate=0.3, seed=1)
    inside = drift._windows(np.random.default_rng(5), 4000, len(found.rows), 50)
    over = drift.distances(found.rows, found.rows, inside, found.labels) > found.limits
    assert np.all(over.mean(axis=0) < 0.13) and over[:, 0].mean() > 0.07
    assert over.any(axis=1).mean() < 0.3


def test_each_measure_sees_its_own_drift(reference: drift.Reference) -> None:
    rows = reference.rows
    same = Rows(rows.features[:50], rows.predicted[:50], rows.confidence[:50])

    def alarms(**changes: np.ndarray) -> list[str]:
        return drift.alarms(reference, drift.judge(reference, Rows(**{**vars(same), **changes})))

    assert alarms() == []
    assert alarms(features=same.features + 1) == ["features"]
    assert alarms(predicted=np.zeros(50, dtype=int)) == ["predictions"]
    assert alarms(confidence=np.full(50, 0.4)) == ["confidence"]


def test_a_lower_rate_has_wider_limits(reference: drift.Reference) -> None:
    strict = drift.fit(*answers(200, 0), window_rows=50, false_alarm_rate=0.2, seed=1)
    assert np.all(strict.limits < reference.limits)


def test_the_same_seed_makes_the_same_bytes(reference: drift.Reference, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        drift.fit(*answers(200, 0), window_rows=50, false_alarm_rate=0.02, seed=seed).save(tmp_path / f"{name}.npz")
    first, second, other = ((tmp_path / f"{name}.npz").read_bytes() for name in "abc")
    assert first == second != other


def test_a_large_sample_is_limited_and_a_window_is_at_most_half_of_it() -> None:
    found = drift.fit(*answers(drift.SAMPLE_ROWS + 88, 0), window_rows=400, false_alarm_rate=0.1, seed=0)
    assert len(found.rows) == 512 and found.window_rows == 256
    assert drift.fit(*answers(60, 0), window_rows=50, false_alarm_rate=0.1, seed=0).window_rows == 30


def test_too_few_rows_give_no_alarm() -> None:
    found = drift.fit(*answers(drift.FEWEST_ROWS - 1, 0), window_rows=50, false_alarm_rate=0.1, seed=0)
    assert np.isinf(found.limits).all()
    assert drift.alarms(found, drift.judge(found, rows_of(found, *answers(9, 1, shift=9.0)))) == []


def test_a_constant_feature_is_projected_to_nothing() -> None:
    pooled, shares = answers(40, 0)
    pooled[:, 3] = 7.0
    found = drift.fit(pooled, shares, window_rows=10, false_alarm_rate=0.1, seed=0)
    assert np.all(found.projection[3] == 0) and np.isfinite(found.rows.features).all()


def test_round_trip(reference: drift.Reference, tmp_path: Path) -> None:
    reference.save(tmp_path / "drift.npz")
    found = drift.load(tmp_path / "drift.npz")
    assert (found.labels, found.window_rows) == (3, 50)
    for name in ("projection", "offset", "limits"):
        assert np.array_equal(getattr(found, name), getattr(reference, name))
    for name, values in vars(reference.rows).items():
        assert np.array_equal(getattr(found.rows, name), values)
