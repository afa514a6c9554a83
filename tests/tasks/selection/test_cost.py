"""Cost of a model at each depth, counted by hand on a network of three matrices."""

from __future__ import annotations

import torch
from torch import nn

from tasks.selection.cost import Cost, at_all_depths

WORDS, WIDTH, BLOCKS, TOKENS = 5, 4, 3, 7


class Body(nn.Module):
    """Embedding, blocks of one matrix and one bias each, and a norm that is kept at every depth."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        values = self.words(ids)
        for layer in self.layers:
            values = layer(values)
        normed: torch.Tensor = self.norm(values)
        return normed


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = Body()

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        hidden: torch.Tensor = self.body(inputs["input_ids"])
        return hidden.mean(1)


def costs(tokens: int) -> list[Cost]:
    backbone = Backbone().eval()
    ids = torch.zeros((1, tokens), dtype=torch.int64)
    return at_all_depths(backbone, list(backbone.body.layers), {"input_ids": ids})


def test_cost_by_hand() -> None:
    base, block = WORDS * WIDTH + 2 * WIDTH, WIDTH * WIDTH + WIDTH
    product = 2 * TOKENS * WIDTH * WIDTH  # one multiplication and one addition per weight and token
    assert costs(TOKENS) == [
        Cost(base + depth * block, 4 * (base + depth * block), depth * product) for depth in range(BLOCKS + 1)
    ]


def test_operations_alone_grow_with_the_example() -> None:
    short, long = costs(TOKENS)[-1], costs(2 * TOKENS)[-1]
    assert (long.parameters, long.bytes) == (short.parameters, short.bytes)
    assert long.operations == 2 * short.operations
