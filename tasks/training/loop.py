"""The one training loop. It knows no scope and no objective by name, and resumes at the last stored epoch.

Every random draw is derived from (seed, epoch) or (seed, step), so a resumed run needs no stored generator
and ends with the bytes of an undisturbed one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from tasks import device, metrics
from tasks import network as networks
from tasks.artifacts import write_csv
from tasks.boundary import Place, aside
from tasks.features import Store
from tasks.modalities.contract import Encoder
from tasks.network import Network
from tasks.params import Training
from tasks.prepared import Prepared
from tasks.problems.classification.answer import probabilities
from tasks.training import memory, processes, recovery, resuming
from tasks.training.augmentation import Augmentation
from tasks.training.balance import validation_loss
from tasks.training.decay import schedule
from tasks.training.learning import Learning
from tasks.training.objective import Objective
from tasks.training.pace import Pace
from tasks.training.passes import passes
from tasks.training.resuming import Epoch, Progress
from tasks.training.scope import Scope
from tasks.training.vocabulary import narrowed

STEP_SEEDS, RANK_SEEDS = 1_000_003, 998_244_353
# After a short epoch the state is not written: that took a sixth of its time, and a killed run loses little by it.
STORE_SECONDS = 20.0


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
        store: of what lies below the boundary; None runs all blocks at every step.
        halvings: how often the rate may be halved where the loss stops being finite.
        stops: told all epochs after each; whether the training ends here.
        curve: file that has a row for each epoch so far, for whoever watches; None for nobody.
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
    store: Store | None = None
    halvings: int = recovery.HALVINGS
    stops: Callable[[Sequence[Epoch]], bool] = lambda history: False
    curve: Path | None = None


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
        say: receives one line an epoch, and in long ones how fast it goes and what may be left.

    Returns:
        The history; `best` is infinite when no rate kept the loss finite for an epoch.
    """
    torch.manual_seed(job.seed)  # of what `prepare` draws
    scope.prepare(network.backbone)
    processes.share(network.state_dict().values())
    with _vocabulary(network, scope, job) as aside_weights:
        progress = _trained(network, scope, objective, job, resume, say)
    progress.learned += aside_weights
    scope.finish(network.backbone)
    network.eval()
    return progress


def _vocabulary(network: Network, scope: Scope, job: Job) -> AbstractContextManager[int]:
    """Tokens that no row has stand aside, unless rows change."""
    if job.augmentation is not None:
        return nullcontext(0)
    return narrowed(network.backbone, scope, job.encoder, [*job.train.encoded, *job.validation.encoded])


def _trained(
    network: Network, scope: Scope, objective: Objective, job: Job, resume: Path | None, say: Callable[[str], None]
) -> Progress:
    learning = Learning(network, scope, job.settings.weight_decay)
    progress, best = resuming.restored(resume, network, learning.optimizer)
    best = best or resuming.copied(network)
    progress.learned = learning.count
    per_epoch = objective.steps(job.train)
    stored, pace = time.monotonic(), Pace(f"Rate {job.rate:g}", say)
    fit = partial(memory.fitted, progress=progress, forget=learning.forget, say=say, divisible=objective.divisible)
    with _below(network, learning, job, say) as place:
        while not progress.stopped and len(progress.history) < job.epochs:
            epoch, rate = len(progress.history), recovery.lowered(job.rate, progress)
            loss = _one_epoch(network, objective, learning, replace(job, rate=rate), epoch, place, fit, pace)
            judged = _evaluate(network, job, place) if math.isfinite(loss) and objective.learns_head else None
            steering = judged[0] if judged else loss
            if not math.isfinite(steering):
                lost = f"Rate {rate:g}: the loss is no longer finite in epoch {epoch + 1}"
                if len(progress.rolled_back) == job.halvings:
                    progress.stopped = True
                    say(f"{lost}; stopped.")
                    break
                where = recovery.roll_back(network, learning.optimizer, best, progress)
                say(f"{lost}: back to {where}, at rate {recovery.lowered(job.rate, progress):g}.")
                continue
            progress.history.append(Epoch((epoch + 1) * per_epoch, loss, *(judged or (None, None))))
            if job.curve and processes.rank() == 0:
                write_csv(job.curve, [asdict(one) for one in progress.history])
            if steering < progress.best or not judged:
                progress.best, progress.best_epoch = steering, epoch
                best = resuming.copied(network)
            late = epoch - progress.best_epoch >= job.settings.patience
            progress.stopped = (late and epoch + 1 >= job.least_epochs) or job.stops(progress.history)
            told = f", validation loss {judged[0]:.3f}, accuracy {judged[1]:.1%}" if judged else ""
            say(f"Rate {rate:g}, epoch {epoch + 1} of {job.epochs}: training loss {loss:.3f}{told}.")
            last = progress.stopped or epoch + 1 == job.epochs
            if last or time.monotonic() - stored >= STORE_SECONDS:
                resuming.store(resume if processes.rank() == 0 else None, network, learning.optimizer, best, progress)
                stored = time.monotonic()
    network.load_state_dict(best)
    return progress


@contextmanager
def _below(network: Network, learning: Learning, job: Job, say: Callable[[str], None]) -> Iterator[Place | None]:
    """Blocks of which nothing ever learns stand aside, unless the rows that reach them change."""
    if job.store is None or job.augmentation is not None or learning.boundary < 1:
        yield None
        return
    rows = [*job.train.encoded, *job.validation.encoded]
    with ExitStack() as stack:
        with processes.leader_first():
            place = stack.enter_context(aside(network.backbone, learning.boundary, job.encoder, rows, job.store, say))
        yield place


def _one_epoch(
    network: Network,
    objective: Objective,
    learning: Learning,
    job: Job,
    epoch: int,
    place: Place | None,
    fit: Callable[..., float],
    pace: Pace,
) -> float:
    settings, per_epoch = job.settings, objective.steps(job.train)
    losses = []
    for i, rows in enumerate(objective.batches(job.train, job.seed * STEP_SEEDS + epoch)):
        step = epoch * per_epoch + i
        progress = step / (per_epoch * job.epochs)
        learning.follow(progress, job.rate * schedule(progress, settings.warmup_share, settings.decay))
        compute = partial(_gradients, network, objective, job, rows, step, progress, place)
        losses.append(fit(compute, partial(_positions, job, rows), settings.pass_positions))
        finite = learning.step(settings.max_gradient_norm)
        pace(step + 1, per_epoch * job.epochs, len(rows))
        if not (finite and math.isfinite(losses[-1])):
            return math.inf
    return float(np.mean(losses))


def _gradients(
    network: Network,
    objective: Objective,
    job: Job,
    rows: list[int],
    step: int,
    progress: float,
    place: Place | None,
    at_most: int,
) -> float:
    """Leave the gradients of a step's mean loss, added up over its passes; that loss."""
    torch.manual_seed((job.seed * STEP_SEEDS + step + processes.rank() * RANK_SEEDS) % 2**63)
    total, target, of_step = 0.0, device.of(network), len(rows)
    own, counts = processes.own(of_step, objective.divisible)
    rows = [rows[k] for k in own]
    plain = [job.train.encoded[row] for row in rows]
    encoded = job.augmentation.rows(job.train, rows, step) if job.augmentation else plain
    parts = [list(range(len(rows)))]
    if objective.divisible:
        parts = passes([job.encoder.positions(row) for row in encoded], at_most)
    for part in parts:
        if place:
            place([rows[k] for k in part])
        inputs = networks.tensors(job.encoder, [encoded[k] for k in part], target)
        classes = torch.from_numpy(job.train.classes[rows][part]).to(target)
        with torch.autocast(target.type, dtype=torch.bfloat16, enabled=job.precision == "bfloat16"):
            logits, features = network(inputs)
            loss = objective.loss(logits, features, classes, progress)
        loss = loss * (counts * len(part) / of_step)
        loss.backward()
        total += float(loss.detach())
    return processes.add_up(network, total)


def _positions(job: Job, rows: list[int]) -> list[int]:
    return [job.encoder.positions(job.train.encoded[row]) for row in rows]


def _evaluate(network: Network, job: Job, place: Place | None) -> tuple[float, float]:
    rows, before = job.validation, len(job.train)
    own, counts = processes.own(len(rows))
    processes.share(network.buffers())  # what batch normalisation has seen differs
    told = (lambda part: place([before + own[k] for k in part])) if place else None
    values = networks.logits(network, job.encoder, [rows.encoded[k] for k in own], told)
    logits = processes.put_together(values * np.float32(counts), own, len(rows), device.of(network))
    if not np.isfinite(logits).all():
        return math.inf, 0.0
    judged = metrics.judge(rows.classes, probabilities(logits))
    return validation_loss(judged, job.weights), metrics.accuracy(judged)
