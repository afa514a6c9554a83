"""The spread of a training over seeds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.modalities.text import augment
from tasks.training import seeds
from tasks.training.augmentation import Augmentation
from tasks.training.loop import Job
from tests.tasks.training.test_loop import ToyEncoder, job


def test_the_spread_by_hand() -> None:
    found = seeds.spread([{"accuracy": 0.5}, {"accuracy": 0.7}, {"accuracy": 0.9}])
    assert found == {"accuracy": {"mean": 0.7, "standard_deviation": 0.2, "low": 0.5, "high": 0.9}}


def test_every_draw_is_of_the_seed() -> None:
    changing = Augmentation(augment, None, ToyEncoder(), 3)  # type: ignore[arg-type]
    made = seeds.seeded(replace(job(), augmentation=changing), 8)
    assert made.augmentation is not None and (made.seed, made.augmentation.seed) == (8, 8)
    assert seeds.seeded(job(), 8).augmentation is None


def test_a_seed_that_was_judged_is_not_trained_again(tmp_path: Path) -> None:
    told: list[int] = []

    def score(work: Job, folder: Path) -> dict[str, float]:
        if told == [4, 5]:
            raise KeyboardInterrupt
        told.append(work.seed)
        folder.mkdir()
        return {"accuracy": work.seed / 10}

    with pytest.raises(KeyboardInterrupt):
        seeds.repeated(job(), [4, 5, 6], score, tmp_path)
    told.append(0)
    assert [one["accuracy"] for one in seeds.repeated(job(), [4, 5, 6], score, tmp_path)] == [0.4, 0.5, 0.6]
    assert told == [4, 5, 0, 6]
    assert [path.name for path in tmp_path.iterdir()] == [seeds.STORE], "what was judged keeps no weights"
