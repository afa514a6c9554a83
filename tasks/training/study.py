"""Hyper-parameters by Optuna: trials one after the other, stopped early where the median was better, stored whole.

Nothing of a sampler is stored: that of a trial is made anew from (seed, number) and what the trials before it found, so
that a killed search goes on where it was and ends the same. No decision looks at a clock.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.artifacts import read_json, write_json
from tasks.params import Search, Training
from tasks.training.resuming import Epoch
from tasks.words import valued

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import Trial

Values = dict[str, Any]
# Told all epochs of a trial after each: whether it ends here.
Stops = Callable[[Sequence[Epoch]], bool]
# Trials that are drawn evenly before the sampler models what they found, and end undisturbed before any is stopped.
STARTUP = 4
STORE = "trials.json"


@dataclass(frozen=True)
class Tried:
    """What a trial drew, and how it went.

    Attributes:
        values: name of each hyper-parameter -> its value.
        losses: validation loss in nats after each epoch.
        whole: whether it had all its epochs; one that was stopped or diverged cannot win.
        diverged: whether its loss stopped being finite.
    """

    values: Values
    losses: list[float]
    whole: bool
    diverged: bool = False

    @property
    def loss(self) -> float:
        """What trials are compared by: that of the best epoch."""
        return min(self.losses) if self.whole else math.inf


def distributions(search: Search, training: Training, scope: str) -> dict[str, BaseDistribution]:
    """What trials are drawn from; empty where the space has nothing that this scope knows.

    Args:
        search: names ranges and choices.
        training: its `learning_rates` are the range of a rate that has none.
        scope: what learns.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    rates = {"learning_rate": (min(training.learning_rates), max(training.learning_rates), True)}
    ends = rates | search.space.ranges
    found: dict[str, BaseDistribution] = {
        name: FloatDistribution(low, high, log=log) for name, (low, high, log) in ends.items() if low < high
    }
    for name, choices in search.space.choices.items():
        if name != "lora_rank" or scope == "lora":
            found[name] = CategoricalDistribution(choices)
    return found


def run(
    space: Mapping[str, BaseDistribution],
    first: Values,
    count: int,
    seed: int,
    train: Callable[[Values, Stops, Path], tuple[Sequence[Epoch], bool]],
    resume: Path,
    say: Callable[[str], None],
) -> list[Tried]:
    """All trials, in order: by TPE (Bergstra et al. 2011) and the median stopping rule (Golovin et al. 2017).

    Args:
        space: what is drawn from.
        first: values of the first trial, as far as the space has them.
        count: trials.
        seed: of the draws.
        train: values, when to stop, and a folder for its state -> its epochs, and whether these are all.
        resume: folder of the trials that are done and of the state of the one that runs.
        say: receives a line a trial.
    """
    store = resume / STORE
    tried = [Tried(**one) for one in read_json(store)] if store.is_file() else []
    for number in range(len(tried), count):
        trial = _asked(space, first, tried, seed)
        folder = resume / f"trial-{number + 1}"
        stops = _median_rule(trial)
        epochs, whole = train(trial.params, stops, folder)
        diverged = not whole and not stops(epochs)  # asked again the rule says the same: it was not what ended this
        tried.append(Tried(trial.params, [epoch.steering for epoch in epochs], whole, diverged))
        write_json(store, [asdict(one) for one in tried])
        shutil.rmtree(folder, ignore_errors=True)  # a copy of weights and moments a trial would fill the disk
        say(f"Trial {number + 1} of {count}: {valued(trial.params)}; {_end(tried[-1])}.")
    return tried


def ranked(tried: Sequence[Tried]) -> list[int]:
    """Places of the trials that were whole, the lowest loss first, and the first of equals."""
    return sorted((i for i, one in enumerate(tried) if one.whole), key=lambda i: tried[i].loss)


def _end(one: Tried) -> str:
    if one.diverged:
        return f"diverged in epoch {len(one.losses) + 1}"
    return f"validation loss {one.loss:.3f}" if one.whole else f"stopped after {len(one.losses)} epochs"


def _asked(space: Mapping[str, BaseDistribution], first: Values, tried: Sequence[Tried], seed: int) -> Trial:
    study = _rebuilt(space, tried, seed)
    if not tried:
        study.enqueue_trial({name: first[name] for name, one in space.items() if _has(one, first.get(name))})
    return study.ask(dict(space))


def _has(one: BaseDistribution, value: Any) -> bool:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(one, CategoricalDistribution):
        return value in one.choices
    return isinstance(one, FloatDistribution) and one.low <= value <= one.high


def _rebuilt(space: Mapping[str, BaseDistribution], tried: Sequence[Tried], seed: int) -> Study:
    """A study that knows these trials and draws the next one, by a sampler that never drew."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    drawn = int(np.random.SeedSequence([seed, len(tried)]).generate_state(1)[0])
    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=drawn, n_startup_trials=STARTUP),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP),
    )
    states = optuna.trial.TrialState
    for one in tried:
        study.add_trial(
            optuna.trial.create_trial(
                state=states.COMPLETE if one.whole else states.PRUNED,
                value=one.loss if one.whole else None,
                params=one.values,
                distributions=dict(space),
                intermediate_values=dict(enumerate(one.losses)),
            )
        )
    return study


def _median_rule(trial: Trial) -> Stops:
    """Whether its best epoch is worse than the median of the others by then; a resumed one tells all epochs anew."""
    told = 0

    def stops(history: Sequence[Epoch]) -> bool:
        nonlocal told
        for step in range(told, len(history)):
            trial.report(history[step].steering, step)
        told = len(history)
        return bool(trial.should_prune())  # NumPy's own, which JSON does not know

    return stops
