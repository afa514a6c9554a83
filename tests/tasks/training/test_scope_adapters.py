"""Every adapter of the scope lora: where it starts, how its product counts, what it moves, and that it resumes."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import nn

from tasks.errors import InputError
from tasks.network import Network
from tasks.problems.classification import learn
from tasks.training import settings as sections
from tasks.training.learning import Learning
from tasks.training.loop import Progress, train
from tasks.training.objective.supervised import Supervised
from tasks.training.scope.lora import ADAPTERS
from tests.stack import DEPTH, Killed, lora, stack
from tests.stack import every_epoch_is_stored as every_epoch_is_stored
from tests.tasks.training.test_loop import job, same
from tests.tasks.training.test_loop import one_thread as one_thread


def test_the_params_know_every_adapter() -> None:
    assert set(get_args(sections.Adapter)) == set(ADAPTERS)


def test_adapters_begin_at_nothing_and_are_part_of_the_weights_afterwards() -> None:
    made, of, inputs = stack().eval(), lora(2, 6.0), {"input_ids": torch.tensor([[1, 2]])}
    inputs["attention_mask"] = torch.ones(1, 2)
    plain = made(inputs)[0]
    of.prepare(made.backbone)
    assert torch.equal(made(inputs)[0], plain)
    assert Learning(made, of, 0.0).count == DEPTH * 2 * (4 + 4) + 4 * 2 + 2
    layer, before = made.backbone.blocks[1].linear, made.backbone.blocks[1].linear.weight.detach().clone()
    with torch.no_grad():
        layer.lora_B.default.weight.fill_(0.5)
        product = layer.lora_B.default.weight @ layer.lora_A.default.weight
    adapted = made(inputs)[0]
    of.finish(made.backbone)
    assert type(made.backbone.blocks[1].linear) is nn.Linear
    torch.testing.assert_close(made.backbone.blocks[1].linear.weight, before + 3 * product)
    torch.testing.assert_close(made(inputs)[0], adapted)


def test_blocks_without_linear_maps_are_refused() -> None:
    made = stack()
    made.backbone.body = nn.Conv2d(1, 1, 1)
    for block in made.backbone.blocks:
        block.linear = nn.Identity()
    with pytest.raises(
        InputError, match=r"^Conv2d has no linear map in its 3 blocks .* set adaptation\.scope\.kind to"
    ):
        lora(2, 4).prepare(made.backbone)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_every_adapter_resumes_and_moves_the_linear_maps_alone(tmp_path: Path, adapter: sections.Adapter) -> None:
    def learned(dying: Supervised, resume: Path | None) -> tuple[Network, Progress]:
        made = stack()
        return made, train(made, lora(2, 4.0, adapter), dying, job(), resume, lambda line: None)

    undisturbed, whole = learned(Supervised(8, learn), None)
    before = stack().state_dict()
    changed = {name for name, value in undisturbed.state_dict().items() if not torch.equal(value, before[name])}
    maps = {f"backbone.blocks.{number}.linear.weight" for number in range(DEPTH)}
    assert changed == maps | {"head.weight", "head.bias"}
    dying = Killed(8, learn)
    object.__setattr__(dying, "left", [0] * 21)
    with pytest.raises(KeyboardInterrupt):
        learned(dying, tmp_path)
    resumed, progress = learned(Supervised(8, learn), tmp_path)
    assert same(resumed, undisturbed) and progress == whole


def test_adapters_differ_in_how_the_product_counts_and_where_it_starts() -> None:
    made = {name: stack().backbone for name in ADAPTERS}
    for name, body in made.items():
        lora(4, 8.0, name).prepare(body)
    scale, first = {}, {}
    for name, body in made.items():
        scale[name], first[name] = body.blocks[0].linear.scaling["default"], body.blocks[0].linear.lora_B.default.weight
    assert scale == {"lora": 2, "rslora": 4, "dora": 2, "pissa": 2}
    assert {name for name, weight in first.items() if weight.any()} == {"pissa"}
    assert hasattr(made["dora"].blocks[0].linear, "lora_magnitude_vector")
