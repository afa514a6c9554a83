"""Objectives that add up: by hand, one pass for all, and what the params refuse; test_objective trains by one."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from tasks.training import loop
from tasks.training import objective as objectives
from tasks.training.objective import Part, WeightedSum
from tasks.training.objective.contrastive import Contrastive
from tasks.training.objective.supervised import Supervised
from tasks.training.scope import SCOPES
from tasks.training.settings import Weight
from tests.factories import params
from tests.stack import stack
from tests.tasks.training.test_loop import SETTINGS, learn, rows
from tests.tasks.training.test_loop import one_thread as one_thread
from tests.tasks.training.test_objective import FADING, OWN, PAIRS, made, supervised


def test_a_sum_counts_each_loss_by_its_weight_at_the_progress() -> None:
    logits = torch.tensor([[0.0, math.log(3)], [0.0, math.log(3)], [0.0, 0.0]], requires_grad=True)
    features, classes = torch.tensor([[1.0, 0.0], [5.0, 0.0], [0.0, 2.0]]), torch.tensor([1, 1, 0])
    labels = (2 * math.log(4 / 3) + math.log(2)) / 3
    pairs = math.log(1 + math.exp(-1 / PAIRS.temperature))
    for progress, weight in ((0.0, 0.5), (0.25, 0.4), (0.75, 0.2)):
        total = made("joint")[0].loss(logits, features, classes, progress)
        assert float(total.detach()) == pytest.approx(labels + weight * pairs)
    total.backward()
    assert logits.grad is not None


def test_the_leading_objective_of_a_sum_has_its_batches_and_its_head() -> None:
    whole, half = Weight(start=1, end=1), Weight(start=0.5, end=0.5)
    labels, pairs = made("supervised")[0], made("contrastive")[0]
    for first, second in ((labels, pairs), (pairs, labels)):
        both, data = WeightedSum((Part(first, whole), Part(second, half))), rows(60, 1)
        assert list(both.batches(data, 5)) == list(first.batches(data, 5)) and both.steps(data) == first.steps(data)
        assert both.learns_head is first.learns_head and not both.divisible
    assert WeightedSum((Part(labels, whole), Part(labels, half))).divisible


def test_a_step_of_several_objectives_is_one_pass() -> None:
    net, (objective, work), ran = stack(), made("joint"), []
    net.register_forward_hook(lambda *_: ran.append(1))
    loop._gradients(net, objective, work, list(range(8)), 0, 0.0, None, 1)
    assert len(ran) == 1


@pytest.mark.parametrize("classes", [[0, 1, 2], [0]])
def test_rows_without_a_partner_add_nothing_to_the_labels_loss(classes: list[int]) -> None:
    logits = torch.zeros(len(classes), 3, requires_grad=True)
    features = torch.ones(len(classes), 2, requires_grad=True)
    total = made("joint")[0].loss(logits, features, torch.tensor(classes), 0.0)
    assert float(total.detach()) == pytest.approx(math.log(3))
    total.backward()
    assert logits.grad is not None and bool(logits.grad.isfinite().all()) and features.grad is None


def test_a_weight_of_0_leaves_the_labels_alone() -> None:
    assert type(supervised()) is type(supervised(contrastive_weight=Weight(start=0, end=0))) is Supervised
    assert type(supervised(contrastive_weight=Weight(start=0, end=0.1))) is WeightedSum
    own = OWN.model_copy(update={"supervised": OWN.supervised.model_copy(update={"contrastive_weight": FADING})})
    assert type(objectives.get("contrastive", own, SETTINGS, learn)) is Contrastive


@pytest.mark.parametrize("changes", [{}, {"mixup": 0.2}, {"contrastive_weight": FADING}, {"label_smoothing": 0.1}])
def test_the_params_know_which_batches_are_whole(changes: dict[str, Any]) -> None:
    assert OWN.supervised.model_copy(update=changes).whole_batches is not supervised(**changes).divisible


@pytest.mark.parametrize("balance", ["none", "resample"])
@pytest.mark.parametrize("objective", ["auto", "supervised"])
def test_pairs_stand_beside_labels_where_a_body_learns_from_both(objective: str, balance: str) -> None:
    for by in [kind for kind in SCOPES if kind != "frozen"]:
        weighed(end=0.1, scope__kind=by, objective__kind=objective, balance=balance)


@pytest.mark.parametrize(("scope", "objective"), [("auto", "supervised"), ("frozen", "auto"), ("full", "contrastive")])
def test_pairs_beside_labels_are_refused_where_one_of_them_may_not_be(scope: str, objective: str) -> None:
    told = rf"scope\.kind {scope} and objective\.kind {objective} may have none: set adaptation\.scope\.kind to full"
    for ends in ({"start": 0.1}, {"end": 0.1}):
        with pytest.raises(ValueError, match=told):
            weighed(**ends, scope__kind=scope, objective__kind=objective)
    weighed(scope__kind=scope, objective__kind=objective)


def test_pairs_beside_weighed_labels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"balance weights does not weigh: set it to resample or none"):
        weighed(start=0.1, scope__kind="full", balance="weights")


def weighed(start: float = 0.0, end: float = 0.0, **changes: Any) -> None:
    """Check params with pairs beside labels."""
    changed = {f"adaptation__{name}": value for name, value in changes.items()}
    weight = {"start": start, "end": end}
    params(adaptation__objective__supervised__contrastive_weight=weight, **changed)
