"""Labels of unequal size: rows of an epoch, the loss that steers, and resuming."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks import metrics
from tasks.network import Network
from tasks.params import FrozenScope
from tasks.prepared import Prepared
from tasks.problems.classification import learn
from tasks.training import loop
from tasks.training.balance import resampled, validation_loss
from tasks.training.loop import Progress, train
from tasks.training.objective.supervised import Supervised
from tasks.training.solve import solve
from tests.tasks.training.test_loop import FULL, job, network, same
from tests.tasks.training.test_loop import one_thread as one_thread

CLASSES = np.repeat([0, 1, 3], [7, 3, 1])  # label 2 has no row


def test_every_label_has_as_many_rows_but_for_one() -> None:
    for seed in range(20):
        rows = resampled(CLASSES, np.random.default_rng(seed))
        counts = np.bincount(CLASSES[rows], minlength=4)
        assert sorted(counts.tolist()) == [0, 3, 4, 4] and counts[2] == 0 and len(rows) == len(CLASSES)
        taken = np.bincount(rows, minlength=11)
        assert taken[:7].max() == 1, "of a common label no row comes twice"
        assert np.ptp(taken[7:10]) <= 1, "of a rare label all rows come equally often"


def test_other_epochs_have_other_rows_and_the_same_seed_the_same() -> None:
    first, again, other = (resampled(CLASSES, np.random.default_rng(seed)).tolist() for seed in (1, 1, 2))
    assert first == again != other
    seen = {row for seed in range(20) for row in resampled(CLASSES, np.random.default_rng(seed)).tolist()}
    assert seen == set(range(11)), "what one epoch leaves out another has"


def test_the_steering_loss_by_hand() -> None:
    judged = metrics.judge(np.array([0, 0, 0, 1]), np.array([[0.5, 0.5]] * 3 + [[0.75, 0.25]]))
    assert validation_loss(judged, None) == metrics.log_loss(judged)
    found = validation_loss(judged, np.array([2 / 3, 2.0]))
    assert found == pytest.approx((math.log(2) + math.log(4)) / 2), "each label counts half"


def unequal() -> Prepared:
    """24 rows of class 0 and 6 of class 1."""
    data = job().train
    kept = [*np.flatnonzero(data.classes == 0)[:24], *np.flatnonzero(data.classes == 1)[:6]]
    names = [str(i) for i in range(len(kept))]
    encoded = [data.encoded[i] for i in kept]
    return Prepared(names, ["train"] * 30, [data.inputs[i] for i in kept], data.classes[kept], encoded, data.labels)


def test_an_epoch_of_resampled_rows_takes_the_same_steps() -> None:
    data = unequal()
    objective = Supervised(8, learn, resample=True)
    batches = list(objective.batches(data, 5))
    assert len(batches) == objective.steps(data) == Supervised(8, learn).steps(data)
    rows = [row for batch in batches for row in batch]
    assert np.bincount(data.classes[rows]).tolist() == [15, 15]
    assert batches == list(objective.batches(data, 5)) != list(objective.batches(data, 6))


@pytest.mark.parametrize("balance", ["weights", "resample"])
def test_a_balanced_training_interrupted_and_resumed_ends_like_undisturbed(
    tmp_path: Path, balance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "STORE_SECONDS", 0)
    data = unequal()
    weights = learn.label_weights(data.classes, 2)
    work = replace(job(), train=data, weights=weights)
    objective = Supervised(8, learn, weights if balance == "weights" else None, balance == "resample")

    def trained(resume: Path | None, say: Any = lambda line: None) -> tuple[Network, Progress]:
        made = network()
        return made, train(made, FULL, objective, work, resume, say)

    def interrupt(line: str) -> None:
        if "epoch 3 of" in line:
            raise KeyboardInterrupt

    undisturbed, whole = trained(None)
    plain = network()
    train(plain, FULL, Supervised(8, learn), replace(work, weights=None), None, lambda line: None)
    assert not same(plain, undisturbed), "balance changes what is learned"
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "resume", interrupt)
    resumed, progress = trained(tmp_path / "resume")
    assert same(resumed, undisturbed) and progress == whole


def test_the_loop_is_steered_by_the_weighted_loss() -> None:
    one_epoch = replace(job(), epochs=1)
    losses = []
    for weights in (None, np.array([1.0, 1.0]), np.array([0.1, 1.9])):
        work = replace(one_epoch, weights=weights)
        losses.append(train(network(), FULL, Supervised(8, learn), work, None, lambda line: None).best)
    assert losses[0] == pytest.approx(losses[1]) and losses[2] != pytest.approx(losses[0])


def test_a_balanced_head_finds_more_of_the_rare_label() -> None:
    draw = np.random.default_rng(0)
    classes = np.array([0] * 190 + [1] * 10)
    features = draw.normal(size=(200, 2)) + 1.2 * classes[:, None]
    splits = ["validation" if i % 5 == 0 else "train" for i in range(200)]
    data = Prepared([str(i) for i in range(200)], splits, [""] * 200, classes, [{}] * 200, ["a", "b"])
    settings = FrozenScope(inverse_regularisation=[0.1, 1.0], folds=2)
    plain, balanced = (solve(features, data, settings, 0, balanced) for balanced in (False, True))
    found = [(one.head.logits(features).argmax(axis=1)[classes == 1]).mean() for one in (plain, balanced)]
    assert found[1] > found[0] + 0.3
    assert min(balanced.losses.values()) > min(plain.losses.values()), "each label counts half of what steers"
