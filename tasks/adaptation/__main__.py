"""Edge of the adaptation phase: adapts the chosen model, writes checkpoint, metrics, history, predictions."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tasks import calibration, features, metrics, zero_shot
from tasks import network as networks
from tasks.adaptation import by_words
from tasks.adaptation.edge import WITHOUT_STEPS, open_workbench
from tasks.artifacts import read_json, write_csv, write_json
from tasks.network import Network
from tasks.predictions import Predictions
from tasks.prepared import Prepared
from tasks.problems.classification.answer import probabilities
from tasks.stage import Stage
from tasks.training import processes, seeds, solve
from tasks.training.balance import validation_loss
from tasks.training.loop import Job, train
from tasks.training.search import Trained, search_and_train
from tasks.training.tuning import set_up, trained
from tasks.training.workbench import Workbench
from tasks.weights import snapshot_files

OUT = "data/adaptation"


def main(stage: Stage) -> None:
    """Adapt by the scope, or, where no row has a label, by the labels' words."""
    bench = open_workbench(stage)
    stage.say(f"Adapting with scope {bench.kind}, {bench.learned_from}, depth {bench.depth}, pool {bench.pool}.")
    network, validation, record, history = _adapted(bench)
    rows = bench.data.of("validation")
    scores = None if validation is None else _scores(rows, validation)
    write_json(stage.out(f"{OUT}/metrics.json"), scores or dict.fromkeys(metrics.METRICS))
    record["temperature"] = 1.0 if validation is None else calibration.temperature(validation, rows.classes)
    kind = {"scope": bench.kind, "objective": bench.learned_from}
    write_json(stage.out(f"{OUT}/adaptation.json"), record | _not_searched(bench) | kind)
    write_csv(stage.out(f"{OUT}/history.csv"), history)
    _save(stage, bench, network)
    test = bench.data.of("test")
    logits = networks.logits(network, bench.encoder, test.encoded)
    Predictions(test.ids, logits).save(stage.out(f"{OUT}/predictions.arrow"))
    stage.say(f"Validation accuracy {scores['accuracy']:.1%}." if scores else zero_shot.UNLABELLED)


def _scores(rows: Prepared, logits: np.ndarray) -> dict[str, float]:
    judged = metrics.judge(rows.classes, probabilities(logits))
    return {name: round(function(judged), 6) for name, function in metrics.METRICS.items()}


# The network, its logits of the validation rows, None where these have no labels, a record, and the history.
Outcome = tuple[Network, np.ndarray | None, dict[str, Any], list[dict[str, Any]]]


def _adapted(bench: Workbench) -> Outcome:
    make, wanted = bench.maker(bench.backbones.load), bench.stage.params.resources.processes
    if bench.kind == zero_shot.SCOPE or bench.solved:
        processes.alone(wanted)
        if wanted > 1:
            bench.stage.say(
                f"One process computes: resources.processes is {wanted}, but only steps by labels are shared."
            )
    if bench.kind == zero_shot.SCOPE:
        return _name(bench, make())
    if bench.kind == "frozen":
        return _solve(bench, make())
    adapt = _train_and_solve if bench.solved else _train
    return adapt(bench, make())


def _name(bench: Workbench, network: Network) -> Outcome:
    words = read_json(bench.stage.root / "data/selection/choice.json")["scopes"][bench.kind]["words"]
    by_words.put(network, bench.encoder, [words[label] for label in bench.data.labels])
    history = [{"step": 0, "validation_loss": None, "setting": "words of the labels"}]
    return network, None, {"learns": "nothing", "words": words, "reason": zero_shot.UNLABELLED}, history


def _solve(bench: Workbench, network: Network) -> Outcome:
    data = bench.data.of("train", "validation")
    settings, moved = bench.stage.params.adaptation.scope.frozen, bench.kind != "frozen"
    if moved:
        values = features.at_own_depth(network.backbone.eval(), bench.encoder, data.encoded)
    else:  # of all rows, since the frozen probe has left those in the store
        values = bench.frozen_features(network, bench.data)[np.isin(bench.data.splits, ("train", "validation"))]
    seed = bench.stage.params.project.seed
    solved = solve.solve(values, data, settings, seed, bench.balanced, moved)
    solve.put(network, solved.head)
    history = [
        {"step": i, "validation_loss": loss, "setting": f"C={strength:g}"}
        for i, (strength, loss) in enumerate(solved.losses.items())
    ]
    record = {"inverse_regularisation": solved.head.inverse_regularisation, "learns": "head"}
    return network, solved.validation, record, history


def _train_and_solve(bench: Workbench, network: Network) -> Outcome:
    """The body learns from the training rows alone, so that the validation rows judge it and the temperature."""
    job = bench.job(bench.training)
    objective = bench.objective(bench.training, job.train, bench.learned_from)
    scope, say = bench.scope(bench.kind), bench.stage.say
    found = search_and_train(lambda: network, scope, objective, job, bench.resume_folder(), say)
    network, validation, record, history = _solve(bench, found.network)
    record |= {"precision": bench.precision, "learns": "head and backbone"}
    return network, validation, found.record() | record, history


def _train(bench: Workbench, network: Network) -> Outcome:
    """From a head that is solved on the frozen features (Kumar et al. 2022), or a drawn one where rows are many.

    The solved head stays if no epoch beats it.
    """
    settings, search = bench.stage.params.adaptation.training, bench.stage.params.adaptation.search
    processes.begin(bench.stage.params.resources.processes, bench.device)
    solved = bench.from_solved_head(network)
    first = "drawn" if bench.draws_head else "solved"

    def make(seed: int | None = None) -> Network:
        return bench.maker(bench.backbones.load, seed)() if bench.draws_head else solved()

    rows, weights = bench.data.of("validation"), bench.weights(bench.data.of("train"))
    start = networks.logits(solved(), bench.encoder, rows.encoded)
    start_loss = validation_loss(metrics.judge(rows.classes, probabilities(start)), weights)
    bench.stage.say(f"A solved head has validation loss {start_loss:.3f}; the steps start from a {first} head.")
    found = trained(bench, make, bench.kind, settings, search)
    history = [{"step": 0, "validation_loss": start_loss, "setting": "solved head"}] + [
        {"step": epoch.step, "validation_loss": epoch.validation_loss, "setting": f"rate={found.rate:g}"}
        for epoch in found.progress.history
    ]
    kept = solved().eval() if start_loss <= found.progress.best else found.network
    validation = networks.logits(kept, bench.encoder, rows.encoded)
    learns = "head" if kept is not found.network else "head and backbone"
    record = found.record() | {"precision": bench.precision, "learns": learns}
    record |= {"start_head": first, "solved_head_validation_loss": start_loss}
    if search.seeds > 1:
        record["seeds"] = _by_seeds(bench, found, make, (start_loss, start), _scores(rows, validation))
    processes.end()
    return kept, validation, record, history


def _by_seeds(
    bench: Workbench,
    found: Trained,
    make: Callable[[int], Network],
    start: tuple[float, np.ndarray],
    own: dict[str, float],
) -> dict[str, Any]:
    """Spread of the scores on validation rows over the model's own seed and those that follow it.

    Args:
        bench: of the training.
        found: what won.
        make: the network that a seed's steps start from.
        start: validation loss and logits of the solved head, which stays for any seed that does not beat it.
        own: scores of the model.
    """
    params, rows = bench.stage.params, bench.data.of("validation")
    values = {"learning_rate": found.rate} | found.study.get("values", {})
    one = set_up(bench, bench.kind, params.adaptation.training, values)

    def score(job: Job, folder: Path) -> dict[str, float]:
        bench.stage.say(f"Training it again by seed {job.seed}.")
        network = make(job.seed)
        beats = train(network, one.scope, one.objective, job, folder, bench.stage.say).best < start[0]
        return _scores(rows, networks.logits(network, bench.encoder, rows.encoded) if beats else start[1])

    first = params.project.seed
    every = [*range(first, first + params.adaptation.search.seeds)]
    scores = [own, *seeds.repeated(one.job, every[1:], score, bench.resume_folder())]
    return {"seeds": every, "validation": seeds.spread(scores)}


def _not_searched(bench: Workbench) -> dict[str, str]:
    """Why a search that is asked for did not take place."""
    search = bench.stage.params.adaptation.search
    if (search.trials, search.seeds) == (0, 1):
        return {}
    if bench.kind in WITHOUT_STEPS:
        why = f"the scope {bench.kind} learns {WITHOUT_STEPS[bench.kind][0]}, not by gradient steps"
    elif bench.solved:
        why = f"the objective {bench.learned_from} has one rate, and no epoch of it is judged"
    else:
        return {}
    sentence = f"No search: {why}."
    bench.stage.say(sentence)
    return {"not_searched": sentence}


def _save(stage: Stage, bench: Workbench, network: Network) -> None:
    folder = stage.out(f"{OUT}/model")
    folder.mkdir(parents=True)
    for file in snapshot_files(bench.folder):
        if file.suffix != ".safetensors" and file.name != "config.json":
            shutil.copyfile(file, folder / file.name)
    project = stage.params.project
    networks.save(
        network,
        folder,
        {"modality": project.modality, "problem": project.problem, "pool": bench.pool, "labels": bench.data.labels},
    )


if __name__ == "__main__":
    processes.run("adaptation", main)
