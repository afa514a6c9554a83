"""Trials by Optuna: the same again, the same after a kill, stopped by the median, won by what ran whole."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.training import study
from tasks.training.loop import train as train_network
from tasks.training.objective.supervised import Supervised
from tasks.training.resuming import Epoch
from tasks.training.study import Stops, Tried, Values
from tests.factories import REPO, params
from tests.tasks.training.test_loop import FULL, job, learn, network
from tests.tasks.training.test_loop import one_thread as one_thread

EPOCHS = 3
SPACE = {"learning_rate": {"low": 0.001, "high": 1.0, "log": True}, "batch_rows": [4, 8, 16]}
USUAL = {"learning_rate": 0.05, "weight_decay": 0.01, "batch_rows": 8}


def space(scope: str = "full", **changes: Any) -> Any:
    own = {f"adaptation__search__space__{name}": value for name, value in (SPACE | changes).items()}
    adaptation = params(**own, adaptation__search__trials=1, adaptation__scope__kind=scope).adaptation
    return study.distributions(adaptation.search, adaptation.training, scope)


def quiet(line: str) -> None:
    pass


def losses(values: Values) -> list[float]:
    """Of a training that is the better the nearer its rate is to 0.1."""
    return [abs(math.log10(values["learning_rate"]) + 1) + 1 / (epoch + 1) for epoch in range(EPOCHS)]


def followed(values: Values, stops: Stops, folder: Path) -> tuple[list[Epoch], bool]:
    history: list[Epoch] = []
    for loss in losses(values):
        history.append(Epoch(len(history), loss, loss, 0.5))
        if stops(history):
            break
    return history, len(history) == EPOCHS


def tried(folder: Path, count: int = 12, seed: int = 3, train: Any = followed, **changes: Any) -> list[Tried]:
    return study.run(space(**changes), USUAL, count, seed, train, folder, quiet)


def test_the_same_again_and_other_draws_by_another_seed(tmp_path: Path) -> None:
    first, again, other = (tried(tmp_path / name, seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4)))
    assert first == again
    assert [one.values for one in first[1:]] != [one.values for one in other[1:]]
    assert len({one.values["learning_rate"] for one in first}) == 12, "each trial draws anew"


def test_the_first_trial_is_what_the_params_say(tmp_path: Path) -> None:
    assert tried(tmp_path / "a", 1)[0].values == {"learning_rate": 0.05, "batch_rows": 8}
    # What lies outside of the space is drawn from it.
    outside = tried(tmp_path / "b", 1, learning_rate={"low": 0.1, "high": 1.0, "log": True}, batch_rows=[4, 16])
    assert outside[0].values["learning_rate"] >= 0.1 and outside[0].values["batch_rows"] in (4, 16)


def test_what_is_drawn_lies_in_the_space_and_later_nearer_to_what_was_good(tmp_path: Path) -> None:
    found = tried(tmp_path, 24)
    assert all(0.001 <= one.values["learning_rate"] <= 1 for one in found)
    away = [abs(math.log10(one.values["learning_rate"]) + 1) for one in found]
    # Drawn evenly between 0.001 and 1, a rate is 0.83 orders of magnitude away from 0.1 on average.
    assert sum(away[-10:]) / 10 < 0.5


def test_a_trial_above_the_median_is_stopped_and_cannot_win(tmp_path: Path) -> None:
    found = tried(tmp_path)
    assert all(one.whole for one in found[: study.STARTUP])
    stopped = [i for i, one in enumerate(found) if not one.whole]
    assert stopped
    for i in stopped:
        last = len(found[i].losses) - 1
        others = sorted(one.losses[last] for one in found[:i] if one.whole)
        middle = (others[(len(others) - 1) // 2] + others[len(others) // 2]) / 2
        assert min(found[i].losses) > middle and last < EPOCHS - 1
    assert not set(study.ranked(found)) & set(stopped)
    assert found[study.ranked(found)[0]].loss == min(one.loss for one in found)


def test_of_equals_the_first_wins_and_of_none_nobody() -> None:
    whole, broken = Tried({}, [0.5, 0.4], True), Tried({}, [], False)
    assert study.ranked([broken, whole, whole]) == [1, 2]
    assert study.ranked([broken, replace(whole, whole=False)]) == []


@pytest.mark.parametrize("number", range(0, 12, 3))
def test_a_search_that_was_interrupted_goes_on_and_ends_the_same(tmp_path: Path, number: int) -> None:
    begun: list[Values] = []

    def broken(values: Values, stops: Stops, folder: Path) -> tuple[Sequence[Epoch], bool]:
        if len(begun) == number:
            raise KeyboardInterrupt
        begun.append(values)
        return followed(values, stops, folder)

    with pytest.raises(KeyboardInterrupt):
        tried(tmp_path / "killed", train=broken)
    after: list[Values] = []

    def counted(values: Values, stops: Stops, folder: Path) -> tuple[Sequence[Epoch], bool]:
        after.append(values)
        return followed(values, stops, folder)

    whole = tried(tmp_path / "whole")
    assert tried(tmp_path / "killed", train=counted) == whole
    assert begun + after == [one.values for one in whole], "no trial is trained twice"


def test_a_resumed_trial_is_judged_by_all_its_epochs(tmp_path: Path) -> None:
    """The loop tells all epochs after each; one that goes on tells those before the kill together with the next."""
    told: list[bool] = []

    def resumed(values: Values, stops: Stops, folder: Path) -> tuple[Sequence[Epoch], bool]:
        every = [0.1, 5.0, 0.1] if len(told) >= study.STARTUP else [1.0, 1.0, 1.0]
        history = [Epoch(i, loss, loss, 0.5) for i, loss in enumerate(every)]
        told.append(stops(history[:2]))
        return history, True

    tried(tmp_path, study.STARTUP + 1, train=resumed)
    assert told[-1] is False, "its first epoch was better than any other trial's"


def test_a_trial_that_diverged_is_told_from_one_that_was_stopped(tmp_path: Path) -> None:
    """The first of the late trials loses its loss in the second epoch, the next one at once; the third is stopped."""
    told: list[str] = []

    def train(values: Values, stops: Stops, folder: Path) -> tuple[Sequence[Epoch], bool]:
        number = len(told) - study.STARTUP
        every = [0.5 if number < 2 else 5.0, 0.5, 0.5][: max(0, 1 - number) if 0 <= number < 2 else EPOCHS]
        history: list[Epoch] = []
        for loss in every:
            history.append(Epoch(len(history), loss, loss, 0.5))
            if stops(history):
                break
        return history, len(history) == EPOCHS

    found = study.run(space(), USUAL, study.STARTUP + 3, 3, train, tmp_path, told.append)
    ends = [line.rsplit("; ", 1)[1] for line in told[study.STARTUP :]]
    assert ends == ["diverged in epoch 2.", "diverged in epoch 1.", "stopped after 1 epochs."]
    assert [one.diverged for one in found] == [False] * study.STARTUP + [True, True, False]
    assert study.ranked(found) == [*range(study.STARTUP)], "neither can win"


def test_the_state_of_a_trial_goes_with_it(tmp_path: Path) -> None:
    def storing(values: Values, stops: Stops, folder: Path) -> tuple[Sequence[Epoch], bool]:
        assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
        folder.mkdir(parents=True)
        return followed(values, stops, folder)

    tried(tmp_path, 3, train=storing)
    assert [path.name for path in tmp_path.iterdir()] == [study.STORE]


def test_a_rate_without_a_range_has_that_of_the_rates() -> None:
    nothing = {"low": None, "high": None, "log": True}
    rate = space(learning_rate=nothing)["learning_rate"]
    assert (rate.low, rate.high, rate.log) == (0.00005, 0.0001, True)
    assert "weight_decay" not in space()


def test_a_rank_is_of_lora_alone() -> None:
    assert "lora_rank" in space("lora", lora_rank=[4, 8])
    assert "lora_rank" not in space("auto", lora_rank=[4, 8])


def toy(values: Values, stops: Stops, folder: Path) -> tuple[Sequence[Epoch], bool]:
    """The loop itself, on the toy network."""
    own = job(batch_rows=values["batch_rows"])
    work = replace(own, rate=values["learning_rate"], epochs=EPOCHS, least_epochs=EPOCHS, stops=stops)
    history = train_network(network(), FULL, Supervised(values["batch_rows"], learn), work, folder, quiet).history
    return history, len(history) == EPOCHS


# Kills itself in the second epoch of a late trial, after the state of the first was stored.
KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from tasks.training import loop
from tests.tasks.training import test_study
torch.set_num_threads(1)
loop.STORE_SECONDS = 0
begun = []
def killed(values, stops, folder):
    begun.append(values)
    def stops_or_dies(history):
        if len(begun) > 5 and len(history) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return stops(history)
    return test_study.toy(values, stops_or_dies, folder)
test_study.tried(Path(sys.argv[1]), 8, train=killed)
"""


def test_a_search_that_was_killed_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "killed")], cwd=REPO, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert [*tmp_path.glob("killed/trial-*/**/progress.json")], "it has a state to go on from"
    assert tried(tmp_path / "killed", 8, train=toy) == tried(tmp_path / "whole", 8, train=toy)
