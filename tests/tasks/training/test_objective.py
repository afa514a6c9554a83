"""Every objective: batches, loss, resuming, and what the loop relies on, on toys; the pairs' loss by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch

from tasks.errors import InputError
from tasks.features import Store
from tasks.network import Network
from tasks.prepared import Prepared
from tasks.problems.classification import learn
from tasks.training import loop
from tasks.training import objective as objectives
from tasks.training import settings as sections
from tasks.training.loop import Job, Progress, train
from tasks.training.objective import OBJECTIVES, Objective
from tasks.training.objective.contrastive import Contrastive, supervised_contrastive
from tasks.training.scope import SCOPES
from tasks.training.search import search_and_train
from tests.factories import params
from tests.stack import scope, stack
from tests.tasks.training.test_loop import SETTINGS, job, network, rows, same
from tests.tasks.training.test_loop import one_thread as one_thread

PAIRS = sections.ContrastiveObjective(steps=24, learning_rate=0.05, batch_rows=8, temperature=0.3)
OWN = params().adaptation.objective.model_copy(update={"contrastive": PAIRS})
FADING = sections.Weight(start=0.5, end=0.1)
# The rows of the table, and labels with pairs beside them.
KINDS = [*OBJECTIVES, "joint"]


def spread(made: Network, data: Prepared) -> float:
    """Mean cosine similarity of rows of one label, less that of rows of two."""
    features = made.backbone.pooled(loop.networks.tensors(job().encoder, data.encoded))
    similar = torch.nn.functional.cosine_similarity(features[:, None], features[None], dim=2).detach()
    same_label = torch.from_numpy(data.classes[:, None] == data.classes[None])
    return float(similar[same_label].mean() - similar[~same_label].mean())


def loss_after(made: Network, data: Prepared) -> float:
    """Cross-entropy."""
    logits, _ = made(loop.networks.tensors(job().encoder, data.encoded))
    return float(learn.loss(logits, torch.from_numpy(data.classes)).detach())


# What an objective makes better, as a figure of a network and rows that rises.
AIMS: dict[str, Callable[[Network, Prepared], float]] = {
    "supervised": lambda made, data: -loss_after(made, data),
    "contrastive": spread,
    "joint": lambda made, data: spread(made, data) - loss_after(made, data),
}


@pytest.fixture(autouse=True)
def every_epoch_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "STORE_SECONDS", 0)


def made(kind: str) -> tuple[Objective, Job]:
    """An objective, and a training as it wants it."""
    if kind == "joint":
        return supervised(contrastive_weight=FADING), job()
    settings = objectives.training(kind, OWN, SETTINGS)
    return objectives.get(kind, OWN, settings, learn), replace(job(), settings=settings, epochs=settings.epochs)


def trained(kind: str, by: str = "full", resume: Path | None = None, store: Store | None = None) -> Any:
    network_, (objective, work) = stack(), made(kind)
    progress: Progress = train(network_, scope(by), objective, replace(work, store=store), resume, lambda line: None)
    return network_, progress


def test_the_params_know_every_objective() -> None:
    assert set(get_args(sections.Objective.model_fields["kind"].annotation)) == {"auto", *OBJECTIVES}
    assert set(AIMS) == set(KINDS), "an objective without its line in AIMS is not tested"


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_as_many_as_told_and_follow_the_seed(kind: str) -> None:
    objective, data = made(kind)[0], rows(60, 1)
    batches = list(objective.batches(data, 5))
    assert len(batches) == objective.steps(data)
    assert all(len({*batch}) == len(batch) > 1 for batch in batches), "no row stands beside itself"
    every = [row for seed in range(5) for batch in objective.batches(data, seed) for row in batch]
    assert {*every} == set(range(60)), "every row is seen"
    assert batches == list(objective.batches(data, 5)) != list(objective.batches(data, 6))


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_has_its_parts_and_moves_the_body(kind: str) -> None:
    objective, data = made(kind)[0], rows(8, 1)
    net = network().eval()
    passed = net(loop.networks.tensors(job().encoder, data.encoded))
    objective.loss(*passed, classes_of(data), 0.0).backward()
    assert net.backbone.words.weight.grad.abs().sum() > 0
    assert (net.head.weight.grad is not None) is objective.learns_head, "a head that learns is one that judges"


@pytest.mark.parametrize("kind", [*KINDS, "mixed"])
def test_a_batch_is_divided_only_where_its_loss_is_the_mean_of_its_parts(kind: str) -> None:
    objective = supervised(mixup=0.5) if kind == "mixed" else made(kind)[0]
    data, net = rows(8, 1), network().eval()

    def loss(places: slice) -> float:
        torch.manual_seed(0)
        inputs = loop.networks.tensors(job().encoder, data.encoded[places])
        return float(objective.loss(*net(inputs), classes_of(data)[places], 0.0).detach())

    whole, parts = loss(slice(8)), [loss(slice(4)), loss(slice(4, 8))]
    assert bool(abs(whole - np.mean(parts)) < 1e-6) is objective.divisible


def classes_of(data: Prepared) -> torch.Tensor:
    return torch.from_numpy(data.classes)


@pytest.mark.parametrize("kind", KINDS)
def test_training_reaches_what_it_aims_at_on_rows_it_has_not_seen(kind: str) -> None:
    aim, unseen = AIMS[kind], rows(30, 9)
    assert aim(trained(kind)[0], unseen) > aim(stack().eval(), unseen) + 0.1


@pytest.mark.parametrize("by", [kind for kind in SCOPES if kind != "frozen"])
@pytest.mark.parametrize("kind", KINDS)
def test_killed_and_resumed_ends_like_undisturbed_under_every_scope(tmp_path: Path, kind: str, by: str) -> None:
    undisturbed, whole = trained(kind, by, store=Store(tmp_path / "none", 0.0, dict))
    objective, work = made(kind)
    steps, loss = [0] * 13, type(objective).loss

    def dying(self: Any, *arguments: Any) -> Any:
        if not steps:
            raise KeyboardInterrupt
        steps.pop()
        return loss(self, *arguments)

    kept = Store(tmp_path / "kept", 1.0, dict)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(objective), "loss", dying)
        train(stack(), scope(by), objective, replace(work, store=kept), tmp_path / "resume", lambda line: None)
    resumed, progress = trained(kind, by, tmp_path / "resume", kept)
    assert same(resumed, undisturbed) and progress == whole
    again, progress = trained(kind, by, tmp_path / "resume", kept)
    assert same(again, undisturbed) and progress == whole, "one that has ended is not taken up"


class Rising(Contrastive):
    """Its loss rises whatever is learned."""

    def loss(self, logits: Any, features: Any, classes: Any, progress: float) -> Any:
        return super().loss(logits, features, classes, progress) + 100 * progress


def test_an_epoch_that_no_head_can_judge_says_so_and_is_kept() -> None:
    told: list[str] = []
    objective, (_, work) = Rising(8, 8, 0.3), made("contrastive")
    progress = train(stack(), scope("full"), objective, replace(work, epochs=3), None, told.append)
    assert [epoch.validation_loss for epoch in progress.history] == [None] * 3
    assert progress.best_epoch == 2 and progress.best == progress.history[-1].training_loss
    assert len(told) == 3 and not any("validation" in line or "accuracy" in line for line in told)


def test_pairs_are_learned_in_one_epoch_at_one_rate() -> None:
    found = objectives.training("contrastive", OWN, SETTINGS)
    assert (found.learning_rates, found.epochs, found.batch_rows) == ([0.05], 1, 8)
    assert (found.warmup_share, found.weight_decay) == (SETTINGS.warmup_share, SETTINGS.weight_decay)
    assert objectives.training("supervised", OWN, SETTINGS) == SETTINGS


def test_a_rate_at_which_the_pairs_diverge_is_refused(tmp_path: Path) -> None:
    objective, work = made("contrastive")
    with pytest.raises(InputError, match=r"lower .*, of pairs adaptation\.objective\.contrastive\.learning_rate\.$"):
        search_and_train(lambda: network(limit=0.0), scope("full", 1), objective, work, tmp_path, lambda line: None)


def supervised(**changes: Any) -> Any:
    """As the params make it."""
    own = OWN.model_copy(update={"supervised": OWN.supervised.model_copy(update=changes)})
    return objectives.get("supervised", own, SETTINGS, learn)


def test_smoothed_targets_by_hand() -> None:
    logits = [0.0, math.log(3)]  # probabilities 1/4 and 3/4
    found = supervised(label_smoothing=0.2).loss(torch.tensor([logits]), None, torch.tensor([1]), 0.0)
    assert float(found) == pytest.approx(-0.9 * math.log(3 / 4) - 0.1 * math.log(1 / 4))
    weighted = learn.loss(torch.tensor([logits]), torch.tensor([1]), torch.tensor([1.0, 2.0]), 0.2)
    assert float(weighted) == pytest.approx(2 * float(found)), "a label's weight counts for its rows"


def test_mixed_rows_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributions.Beta, "sample", lambda self: torch.tensor(0.75))
    monkeypatch.setattr(torch, "randperm", lambda count: torch.tensor([1, 0]))
    found = supervised(mixup=0.2).loss(torch.tensor([[4.0, 0.0], [0.0, 4.0]]), None, torch.tensor([0, 1]), 0.0)
    # Each row is three quarters itself: logits 3 and 1 for its own label and the other's.
    own, other = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    assert float(found) == pytest.approx(0.75 * own + 0.25 * other)


@pytest.mark.parametrize("changes", [{"mixup": 0.5}, {"label_smoothing": 0.1}, {"mixup": 0.5, "label_smoothing": 0.1}])
def test_mixed_and_smoothed_trainings_differ_from_plain_ones_and_repeat(changes: dict[str, float]) -> None:
    def weights(objective: Objective) -> Network:
        made = network()
        train(made, scope("full", 1), objective, replace(job(), epochs=1), None, lambda line: None)
        return made

    plain, first, again = (weights(one) for one in (supervised(), supervised(**changes), supervised(**changes)))
    assert same(first, again) and not same(first, plain)


def test_logits_mix_as_features_do() -> None:
    made_, data = network().eval(), rows(8, 1)
    _, features = made_(loop.networks.tensors(job().encoder, data.encoded))
    mixed = 0.3 * features + 0.7 * features.flip(0)
    logits = made_.head(features)
    torch.testing.assert_close(made_.head(mixed), 0.3 * logits + 0.7 * logits.flip(0))


def labelled(*counts: int) -> Prepared:
    """So many rows of each label."""
    classes = np.repeat(np.arange(len(counts)), counts)
    return Prepared([], [], [], classes, [], [str(label) for label in range(len(counts))])


@pytest.mark.parametrize(
    ("counts", "batch_rows", "each"),
    [
        ((20, 20), 8, [4, 4]),  # all labels, the batch shared among them
        ((20, 3), 8, [3, 4]),  # of a rare label what there is
        ((8,) * 6, 4, [2, 2]),  # two rows each, of as many labels as there is room for
        ((8,) * 6, 13, [2] * 6),
        ((8, 8, 1), 8, [4, 4]),  # a single row has no partner
    ],
)
def test_a_batch_has_pairs_of_every_label_in_it(counts: tuple[int, ...], batch_rows: int, each: list[int]) -> None:
    data = labelled(*counts)
    for batch in Contrastive(20, batch_rows, 0.3).batches(data, 1):
        found = np.unique(data.classes[batch], return_counts=True)[1]
        assert sorted(found.tolist()) == each


@pytest.mark.parametrize("counts", [(9,), (9, 1), (1, 1, 1)])
def test_rows_without_pairs_are_refused(counts: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"no pairs to learn from: set adaptation\.objective\.kind to supervised"):
        next(Contrastive(1, 8, 0.3).batches(labelled(*counts), 1))


def test_the_loss_of_pairs_by_hand() -> None:
    # Similarities are 1 within label 0, and 0 to the others; lengths do not matter.
    features = torch.tensor([[1.0, 0.0], [5.0, 0.0], [0.0, 2.0]])
    found = supervised_contrastive(features, torch.tensor([0, 0, 1]), 0.5)
    assert float(found) == pytest.approx(math.log(1 + math.exp(-2))), "the third row has no partner and does not count"
    apart = supervised_contrastive(features, torch.tensor([0, 1, 0]), 0.5)
    # The first row's partner shares with one that is as near as itself: log(1 + e^2); the third's with none: log 2.
    assert float(apart) == pytest.approx((math.log(1 + math.exp(2)) + math.log(2)) / 2)


def test_a_lower_temperature_counts_the_nearest_more() -> None:
    features = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]], requires_grad=True)
    classes = torch.tensor([0, 0, 1])
    warm, cold = (float(supervised_contrastive(features, classes, t).detach()) for t in (1.0, 0.1))
    assert cold < warm
    supervised_contrastive(features, classes, 0.1).backward()
    assert features.grad is not None and bool(features.grad.isfinite().all())


def test_pairs_in_bfloat16_are_compared_in_float32() -> None:
    objective, work = made("contrastive")
    inputs = loop.networks.tensors(work.encoder, work.train.encoded[:8])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total = objective.loss(*network()(inputs), torch.from_numpy(work.train.classes[:8]), 0.0)
    assert total.dtype == torch.float32
    # Similarities that differ by less than bfloat16 tells apart.
    features, classes = torch.tensor([[1.0, 0.0], [1.0, 0.03], [1.0, 0.05]]), torch.tensor([0, 0, 1])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = supervised_contrastive(features, classes, 0.001)
    assert float(found) == pytest.approx(float(supervised_contrastive(features, classes, 0.001)), rel=1e-6)


def test_pairs_take_the_memory_of_their_similarities_alone() -> None:
    features = torch.randn(64, 512, requires_grad=True)
    sizes: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda kept: sizes.append(kept.numel()) or kept, lambda kept: kept):
        supervised_contrastive(features, torch.arange(64) % 2, 0.3)
    assert max(sizes) == features.numel()


def test_pairs_are_refused_where_nothing_of_the_body_learns() -> None:
    with pytest.raises(ValueError, match=r"under the scope frozen .* set adaptation\.scope\.kind to full"):
        params(adaptation__scope__kind="frozen", adaptation__objective__kind="contrastive")
    for by in SCOPES:
        if by != "frozen":
            params(adaptation__scope__kind=by, adaptation__objective__kind="contrastive")
