"""The probe prefers features that say something about the labels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tasks.selection import probe

CLASSES = np.arange(60) % 3
NOISE = np.random.default_rng(0).normal(size=(60, 6))
INFORMED = NOISE + 3 * np.eye(3, 6)[CLASSES]


def test_informative_features_beat_noise() -> None:
    good, bad = (probe.score(features, CLASSES, 3, 4, seed=1) for features in (INFORMED, NOISE))
    assert good.accuracy > 0.9 > 0.6 > bad.accuracy
    assert good.log_loss < 0.5 < bad.log_loss
    assert 0 < good.standard_error < 0.2


def test_features_without_content_score_as_chance() -> None:
    found = probe.score(np.zeros((60, 2)), CLASSES, 3, 4, seed=1)
    assert found.log_loss == pytest.approx(math.log(3), abs=0.01)


def test_the_score_depends_on_the_seed_alone() -> None:
    first = probe.score(NOISE, CLASSES, 3, 4, seed=1)
    assert first == probe.score(NOISE, CLASSES, 3, 4, seed=1)
    assert first != probe.score(NOISE, CLASSES, 3, 4, seed=2)


def test_the_better_strength_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, int]] = []

    def out_of_fold_logits(
        features: np.ndarray, classes: np.ndarray, count: int, strength: float, folds: int, seed: int
    ) -> np.ndarray:
        asked.append((strength, seed))
        right = math.log(3) if strength == 0.01 else 0.0  # probability 3 / 4 or 1 / 2
        return np.where(np.arange(count) == classes[:, None], right, 0.0)

    monkeypatch.setattr(probe, "out_of_fold_logits", out_of_fold_logits)
    found = probe.score(np.zeros((20, 1)), np.arange(20) % 2, 2, 5, seed=7)
    assert asked == [(0.01, 7), (0.1, 7)]
    assert found.log_loss == pytest.approx(-math.log(0.75)) and found.accuracy == pytest.approx(1.0)


def test_a_typical_depth_is_asked_for_few_rows_alone() -> None:
    assert probe.off_typical(0.5, 2 / 3, rows=199) == pytest.approx(1 / 6, abs=1e-6)
    assert probe.off_typical(4 / 6, 2 / 3, rows=199) == 0.0
    assert probe.off_typical(1.0, 2 / 3, rows=200) == 0.0
    assert probe.off_typical(1.0, None, rows=10) == 0.0
