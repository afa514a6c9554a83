"""A loss that stops being finite: back to the best epoch at half the rate, the same when killed, and told."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.artifacts import canonical_json
from tasks.network import Network
from tasks.problems.classification import learn
from tasks.training import loop, recovery
from tasks.training.loop import Progress, train
from tasks.training.objective.contrastive import Contrastive
from tasks.training.objective.supervised import Supervised
from tasks.training.resuming import Epoch, copied
from tests.tasks.training.test_loop import FULL, job, network, same, search
from tests.tasks.training.test_loop import one_thread as one_thread

# The toy's weights pass the limit in the first epoch and, at half the rate, in the second; a quarter is low enough.
RATE, LIMIT = 0.5, 2.5


@pytest.fixture(autouse=True)
def every_epoch_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "STORE_SECONDS", 0)


def trained(resume: Path | None = None, say: Any = lambda line: None, **changes: Any) -> tuple[Network, Progress]:
    made = network(LIMIT)
    work = replace(job(patience=9), **{"rate": RATE} | changes)
    return made, train(made, FULL, Supervised(8, learn), work, resume, say)


def test_it_goes_back_to_the_best_epoch_and_on_at_half_the_rate() -> None:
    lines: list[str] = []
    made, progress = trained(say=lines.append)
    assert progress.rolled_back == [1, 2]
    assert len(progress.history) == 5 and math.isfinite(progress.best)
    assert all(torch.isfinite(value).all() for value in made.state_dict().values())
    assert [line for line in lines if "no longer finite" in line] == [
        "Rate 0.5: the loss is no longer finite in epoch 1: back to the start, at rate 0.25.",
        "Rate 0.25: the loss is no longer finite in epoch 2: back to the end of epoch 1, at rate 0.125.",
    ]
    assert recovery.record(RATE, progress) == [{"epoch": 1, "rate": 0.25}, {"epoch": 2, "rate": 0.125}]


@pytest.mark.parametrize("line", ["back to the start", "back to the end", "epoch 2 of", "epoch 4 of"])
def test_killed_before_or_after_it_ends_like_undisturbed(tmp_path: Path, line: str) -> None:
    undisturbed, whole = trained()

    def interrupt(told: str) -> None:
        if line in told:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "resume", interrupt)
    resumed, progress = trained(tmp_path / "resume")
    assert same(resumed, undisturbed) and progress == whole


@dataclass(frozen=True)
class Steep(Contrastive):
    """Pairs to whose last loss, the first time, something is added that is 0."""

    add: Callable[[torch.Tensor], torch.Tensor]
    seen: list[float]

    def loss(self, logits: Any, features: Any, classes: Any, progress: float) -> Any:
        total = super().loss(logits, features, classes, progress)
        self.seen.append(progress)
        return total + self.add(features) if len(self.seen) == self.epoch_steps else total


@pytest.mark.parametrize(
    ("add", "lost"),
    [
        (lambda features: (0 * features).sum().sqrt(), [1]),  # its gradient is no number
        (lambda features: 1e25 * (features - features.detach()).sum(), []),  # the square of its gradient overflows
    ],
)
def test_gradients_that_are_not_finite_are_a_loss_that_is_not_where_no_epoch_is_judged(
    add: Callable[[torch.Tensor], torch.Tensor], lost: list[int]
) -> None:
    made, pairs = network(), Steep(4, 8, 0.1, add, [])
    progress = train(made, FULL, pairs, replace(job(), epochs=1), None, lambda line: None)
    assert (progress.rolled_back, len(pairs.seen)) == (lost, 4 + 4 * len(lost)), "once more for each"
    assert all(torch.isfinite(value).all() for value in made.state_dict().values())


def test_it_goes_back_a_few_times_only() -> None:
    lines: list[str] = []
    _, progress = trained(say=lines.append, rate=1e6)
    assert progress.rolled_back == [1] * recovery.HALVINGS
    assert progress.stopped and progress.history == [] and progress.best == math.inf
    assert lines[-1] == "Rate 125000: the loss is no longer finite in epoch 1; stopped."


def test_a_trial_of_the_search_loses_instead(tmp_path: Path) -> None:
    assert trained(halvings=0)[1].rolled_back == []
    assert search(tmp_path, [1.0, 0.05]).losses[1.0] == math.inf


def test_one_rate_that_diverges_is_halved_and_recorded(tmp_path: Path) -> None:
    found = search(tmp_path, [1.0])
    record = json.loads(canonical_json(found.record()))
    assert (record["learning_rate"], record["search"]) == (1.0, {})
    assert record["rolled_back"] == recovery.record(1.0, found.progress) != []
    assert len(found.progress.history) == record["epochs"] == 5


def test_weights_moments_and_history_are_those_of_the_best_epoch() -> None:
    made = network()
    best = copied(made)
    optimizer = torch.optim.AdamW(made.parameters(), lr=0.1)
    logits, _ = made({"input_ids": torch.tensor([[1]]), "attention_mask": torch.tensor([[1]])})
    logits.sum().backward()
    optimizer.step()
    progress = Progress([Epoch(8, 1.0, 0.5, 0.5), Epoch(16, 1.0, 0.6, 0.5), Epoch(24, 1.0, 0.7, 0.5)], 0.5, 0)
    assert recovery.roll_back(made, optimizer, best, progress) == "the end of epoch 1"
    assert progress.rolled_back == [4] and [epoch.step for epoch in progress.history] == [8]
    assert all(torch.equal(value, best[name]) for name, value in made.state_dict().items())
    assert not optimizer.state
