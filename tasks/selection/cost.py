"""What a model costs at each depth: parameters, bytes, operations. No clocks, so that a rerun ranks the same."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Cost:
    """Cost of a backbone cut at one depth.

    Attributes:
        parameters: count of weights that are kept.
        bytes: their size in float32.
        operations: floating-point operations of one forward pass over one example.
    """

    parameters: int
    bytes: int
    operations: int


def at_all_depths(backbone: nn.Module, blocks: list[nn.Module], example: dict[str, torch.Tensor]) -> list[Cost]:
    """Cost at depth 0, 1, ... for one batch of one example.

    Args:
        backbone: uncut.
        blocks: its blocks in order.
        example: inputs of one example.
    """
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        backbone(example)
    total_operations = counter.get_total_flops()
    # The counter puts the class of the root before a module's name.
    per_module = {str(name).partition(".")[2]: sum(kinds.values()) for name, kinds in counter.get_flop_counts().items()}
    names = {id(module): name for name, module in backbone.named_modules()}
    operations = [per_module.get(names[id(block)], 0) for block in blocks]
    sizes = [sum(p.numel() for p in block.parameters()) for block in blocks]
    total_size = sum(p.numel() for p in backbone.parameters())
    costs = []
    for depth in range(len(blocks) + 1):
        size = total_size - sum(sizes[depth:])
        costs.append(Cost(size, size * FLOAT32_BYTES, total_operations - sum(operations[depth:])))
    return costs
