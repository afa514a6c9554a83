"""A training at the hyper-parameters of the params, or at those that a search found better on the validation rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tasks.errors import InputError
from tasks.network import Network
from tasks.params import Search, Training
from tasks.training import scope as scopes
from tasks.training import study
from tasks.training.loop import Job, train
from tasks.training.objective import Objective
from tasks.training.resuming import Epoch
from tasks.training.scope import Scope
from tasks.training.search import RATES, Trained, search_and_train, trial
from tasks.training.study import Stops, Values
from tasks.training.workbench import Workbench


@dataclass(frozen=True)
class Setup:
    """What is trained, from what, and how."""

    scope: Scope
    objective: Objective
    job: Job


def usual(bench: Workbench, settings: Training) -> Values:
    """Hyper-parameters as the params have them; of the rates the middle one."""
    rates = sorted(settings.learning_rates)
    return {
        "learning_rate": rates[len(rates) // 2],
        "weight_decay": settings.weight_decay,
        "warmup_share": settings.warmup_share,
        "batch_rows": settings.batch_rows,
        "lora_rank": bench.stage.params.adaptation.scope.lora.rank,
    }


def set_up(bench: Workbench, kind: str, settings: Training, values: Mapping[str, Any], least_epochs: int = 0) -> Setup:
    """A training by a scope, with these values in the place of what the params say."""
    names = [name for name in Training.model_fields if name in values]
    own = settings.model_copy(update={name: values[name] for name in names})
    scope = bench.stage.params.adaptation.scope
    lora = scope.lora.model_copy(update={"rank": values.get("lora_rank", scope.lora.rank)})
    job = replace(bench.job(own, least_epochs), rate=values["learning_rate"])
    what = scopes.get(kind, scope.model_copy(update={"lora": lora}), bench.depth)
    return Setup(what, bench.objective(own, job.train), job)


def trained(
    bench: Workbench,
    make: Callable[[], Network],
    kind: str,
    settings: Training,
    search: Search,
    least_epochs: int = 0,
) -> Trained:
    """The training of the winner: of the rates, or of the trials where there are any.

    Args:
        bench: rows, folders and seed.
        make: a fresh network, the same at every call.
        kind: the scope.
        settings: of the training.
        search: trials, and over what.
        least_epochs: before early stopping may end the training.

    Raises:
        InputError: no loss stayed finite.
    """
    resume, say = bench.resume_folder(), bench.stage.say
    space = study.distributions(search, settings, kind) if search.trials else {}
    if space:
        return _of_winner(bench, make, kind, settings, search.trials, space, least_epochs)
    if search.trials:
        say(f"The search space has nothing that the scope {kind} knows: the learning rates are tried as they are.")
    job = bench.job(settings, least_epochs)
    return search_and_train(make, bench.scope(kind), bench.objective(settings, job.train), job, resume, say)


def _of_winner(
    bench: Workbench,
    make: Callable[[], Network],
    kind: str,
    settings: Training,
    trials: int,
    space: Mapping[str, Any],
    least_epochs: int,
) -> Trained:
    """A trial takes `search_epochs`; the winner that does not stay finite in a whole training gives way to the next."""
    resume, say, known = bench.resume_folder(), bench.stage.say, usual(bench, settings)

    def tried(values: Values, stops: Stops, folder: Path) -> tuple[Sequence[Epoch], bool]:
        one = set_up(bench, kind, settings, known | values)
        progress, whole = trial(make(), one.scope, one.objective, replace(one.job, stops=stops), folder, say)
        return progress.history, whole

    found = study.run(space, known, trials, bench.stage.params.project.seed, tried, resume, say)
    for place in study.ranked(found):
        values = known | found[place].values
        one, network = set_up(bench, kind, settings, values, least_epochs), make()
        progress = train(network, one.scope, one.objective, one.job, resume / f"final-{place + 1}", say)
        if math.isfinite(progress.best):
            record = {"trials": [asdict(each) for each in found], "winner": place + 1, "values": found[place].values}
            return Trained(network, progress, values["learning_rate"], {}, record)
    raise InputError(
        f"None of {trials} trials kept the loss finite: lower adaptation.search.space.learning_rate, or {RATES}."
    )
