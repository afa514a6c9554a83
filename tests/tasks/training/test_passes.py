"""A step divided into passes is the step computed at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tasks.problems.classification import learn
from tasks.training import loop
from tasks.training.objective.supervised import Supervised
from tasks.training.passes import passes
from tests.tasks.training.test_loop import job, network
from tests.tasks.training.test_loop import one_thread as one_thread


@pytest.mark.parametrize(
    ("positions", "at_most", "expected"),
    [
        ([9, 1, 5], 27, [[0, 1, 2]]),  # in the order given: three of nine fit
        ([9, 1, 5, 2], 18, [[1, 3], [2, 0]]),  # neighbours in length
        ([9, 1, 5, 2], 1, [[1, 3], [2, 0]]),  # never a single row
        ([9, 1, 5], 1, [[0, 1, 2]]),
        ([9], 1, [[0]]),
    ],
)
def test_passes_by_hand(positions: list[int], at_most: int, expected: list[list[int]]) -> None:
    assert passes(positions, at_most) == expected


def test_every_row_has_its_pass_and_none_is_over_the_limit() -> None:
    positions = np.random.default_rng(0).integers(1, 40, 50).tolist()
    found = passes(positions, 100)
    assert sorted(row for part in found for row in part) == list(range(50))
    assert all(len(part) * max(positions[row] for row in part) <= 100 for part in found)


def gradients(at_most: int, objective: Supervised) -> tuple[float, list[torch.Tensor], int]:
    made, work = network().eval(), job(pass_positions=at_most)
    ran: list[int] = []
    made.register_forward_hook(lambda *_: ran.append(1))
    loss = loop._gradients(made, objective, work, list(range(16)), 0, 0.0, None, at_most)
    return loss, [parameter.grad for parameter in made.parameters() if parameter.grad is not None], len(ran)


@pytest.mark.parametrize("weights", [None, np.array([0.4, 1.6])])
def test_passes_add_up_to_the_step_computed_at_once(weights: Any) -> None:
    objective = Supervised(16, learn, weights)
    whole, at_once, ran = gradients(1000, objective)
    parts, added, several = gradients(10, objective)
    assert (ran, several) == (1, 8)
    assert parts == pytest.approx(whole, rel=1e-6)
    for one, other in zip(added, at_once, strict=True):
        torch.testing.assert_close(one, other)


def test_a_batch_of_rows_that_belong_together_is_never_divided() -> None:
    class Pairs(Supervised):
        @property
        def divisible(self) -> bool:
            return False

    assert gradients(10, Pairs(16, learn))[2] == 1
