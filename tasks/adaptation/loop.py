"""The one training loop. It knows no scope and no objective by name, and resumes at the last stored epoch.

Every random draw is derived from (seed, epoch) or (seed, step), so a resumed run needs no stored generator
and ends with the bytes of an undisturbed one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from tasks import device, metrics
from tasks import network as networks
from tasks.adaptation.augmentation import Augmentation
from tasks.adaptation.balance import validation_loss
from tasks.adaptation.learning import Learning
from tasks.adaptation.objective import Objective
from tasks.adaptation.scope import Scope
from tasks.artifacts import new_folder, read_json, write_json
from tasks.modalities.contract import Encoder
from tasks.network import Network
from tasks.params import Training
from tasks.prepared import Prepared
from tasks.problems.classification.answer import probabilities

STEP_SEEDS = 1_000_003
# After a short epoch the state is not written: that took a sixth of its time, and a killed run loses little by it.
STORE_SECONDS = 20.0


@dataclass(frozen=True)
class Epoch:
    """What one epoch did; losses in nats per row."""

    step: int
    training_loss: float
    validation_loss: float
    validation_accuracy: float


@dataclass
class Progress:
    """What a resumed run needs beside weights and optimizer state; `learned` counts the weights that learn."""

    history: list[Epoch]
    best: float
    best_epoch: int
    stopped: bool = False
    learned: int = 0


@dataclass(frozen=True)
class Job:
    """One training: data, budget and seed.

    Attributes:
        train: rows that are learned from.
        validation: rows that decide when to stop and which epoch is kept.
        encoder: makes batches.
        settings: rates, sizes and limits.
        rate: peak learning rate.
        epochs: epochs at most.
        least_epochs: epochs before early stopping may end it.
        seed: of data order and dropout.
        precision: float32, or bfloat16 for the products of matrices; weights and moments stay float32.
        weights: (K,) of the labels in the validation loss, which steers; None weighs all alike.
        augmentation: changes training rows anew at each step; None leaves them.
    """

    train: Prepared
    validation: Prepared
    encoder: Encoder
    settings: Training
    rate: float
    epochs: int
    seed: int
    precision: str
    least_epochs: int = 0
    weights: np.ndarray | None = None
    augmentation: Augmentation | None = None


def train(
    network: Network, scope: Scope, objective: Objective, job: Job, resume: Path | None, say: Callable[[str], None]
) -> Progress:
    """Train `network` in place and leave it with the weights of its best epoch.

    Args:
        network: changed in place.
        scope: what learns.
        objective: from what.
        job: data, budget and seed.
        resume: folder for the state to go on from; None keeps none.
        say: receives one line an epoch.

    Returns:
        The history; `best` is infinite when the loss stopped being finite before any epoch was whole.
    """
    torch.manual_seed(job.seed)  # of what `prepare` draws
    scope.prepare(network.backbone)
    learning = Learning(network, scope, job.settings.weight_decay)
    progress, best = _restored(resume, network, learning.optimizer)
    progress.learned = learning.count
    per_epoch = objective.steps(job.train)
    stored = time.monotonic()
    for epoch in range(len(progress.history), job.epochs):
        if progress.stopped:
            break
        loss = _one_epoch(network, objective, learning, job, epoch, per_epoch)
        validation_loss, accuracy = _evaluate(network, job)
        if not math.isfinite(loss) or not math.isfinite(validation_loss):
            progress.stopped = True
            say(f"Rate {job.rate:g}: the loss is no longer finite in epoch {epoch + 1}; stopped.")
            break
        progress.history.append(Epoch((epoch + 1) * per_epoch, loss, validation_loss, accuracy))
        if validation_loss < progress.best:
            progress.best, progress.best_epoch = validation_loss, epoch
            best = _copy(network)
        late = epoch - progress.best_epoch >= job.settings.patience
        progress.stopped = late and epoch + 1 >= job.least_epochs
        say(
            f"Rate {job.rate:g}, epoch {epoch + 1} of {job.epochs}: training loss {loss:.3f}, "
            f"validation loss {validation_loss:.3f}, accuracy {accuracy:.1%}."
        )
        last = progress.stopped or epoch + 1 == job.epochs
        if last or time.monotonic() - stored >= STORE_SECONDS:
            _store(resume, network, learning.optimizer, best, progress)
            stored = time.monotonic()
    if best:
        network.load_state_dict(best)
    scope.finish(network.backbone)
    network.eval()
    return progress


def _one_epoch(
    network: Network, objective: Objective, learning: Learning, job: Job, epoch: int, per_epoch: int
) -> float:
    target = device.of(network)
    total = per_epoch * job.epochs
    losses = []
    for i, rows in enumerate(objective.batches(job.train, job.seed * STEP_SEEDS + epoch)):
        step = epoch * per_epoch + i
        torch.manual_seed((job.seed * STEP_SEEDS + step) % 2**63)
        learning.follow(step / total, job.rate * schedule(step / total, job.settings.warmup_share))
        plain = [job.train.encoded[row] for row in rows]
        encoded = job.augmentation.rows(job.train, rows, step) if job.augmentation else plain
        inputs = networks.tensors(job.encoder, encoded, target)
        classes = torch.from_numpy(job.train.classes[rows]).to(target)
        with torch.autocast(target.type, dtype=torch.bfloat16, enabled=job.precision == "bfloat16"):
            loss, _ = objective.loss(network, inputs, classes, step / total)
        loss.backward()
        learning.step(job.settings.max_gradient_norm)
        losses.append(float(loss.detach()))
    return float(np.mean(losses))


def schedule(progress: float, warmup_share: float) -> float:
    """Factor on the peak rate: linear up during the warm-up, then linear down to 0. `progress` in [0, 1)."""
    if progress < warmup_share:
        return progress / warmup_share
    return (1 - progress) / (1 - warmup_share)


def _evaluate(network: Network, job: Job) -> tuple[float, float]:
    logits = networks.logits(network, job.encoder, job.validation.encoded)
    if not np.isfinite(logits).all():
        return math.inf, 0.0
    judged = metrics.judge(job.validation.classes, probabilities(logits))
    return validation_loss(judged, job.weights), metrics.accuracy(judged)


def _copy(network: Network) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _store(
    folder: Path | None,
    network: Network,
    optimizer: torch.optim.Optimizer,
    best: dict[str, torch.Tensor],
    progress: Progress,
) -> None:
    if folder is None:
        return
    moments = {
        f"{i}.{name}": value for i, state in optimizer.state_dict()["state"].items() for name, value in state.items()
    }
    with new_folder(folder) as made:
        for name, values in (("weights", _copy(network)), ("best", best), ("optimizer", moments)):
            save_file(values, made / f"{name}.safetensors")
        write_json(made / "progress.json", asdict(progress))


def _restored(
    folder: Path | None, network: Network, optimizer: torch.optim.Optimizer
) -> tuple[Progress, dict[str, torch.Tensor]]:
    if folder is None or not (folder / "progress.json").is_file():
        return Progress([], math.inf, 0), {}
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    state: dict[int, dict[str, Any]] = {}
    for key, value in load_file(folder / "optimizer.safetensors").items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    record = read_json(folder / "progress.json")
    history = [Epoch(**epoch) for epoch in record.pop("history")]
    return Progress(history, **record), load_file(folder / "best.safetensors")
