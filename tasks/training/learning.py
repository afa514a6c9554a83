"""The weights that learn under a scope, and their optimizer, which follows the scope as the training progresses."""

from __future__ import annotations

import torch
from torch import nn

from tasks.modalities.contract import Backbone
from tasks.network import Network
from tasks.training.scope import Scope


class Learning:
    """AdamW with decay on matrices alone (Loshchilov and Hutter 2019), grouped by block and rate.

    Args:
        network: its head always learns, at the peak rate.
        scope: what learns in its backbone.
        weight_decay: of matrices.

    Attributes:
        optimizer: of all that learns at any time.
        count: number of weights in it.
        boundary: number of the lowest block of which anything ever learns, as `Scope` counts them.
    """

    def __init__(self, network: Network, scope: Scope, weight_decay: float) -> None:
        self.network, self.scope = network, scope
        depth, level = network.backbone.depth, levels(network.backbone)
        self._level_of = [(module, level[id(module)]) for module in network.modules() if id(module) in level]
        self._awake: list[bool] = []
        groups: dict[tuple[int, bool, float, float], dict[str, object]] = {}
        for name, parameter in network.named_parameters():
            own = name.removeprefix("backbone.")
            number = level.get(id(parameter), depth + 1)  # the head is no part of the backbone
            first, last = (self._factor(own, number, progress) for progress in (0.0, 1.0))
            if not parameter.requires_grad or last == 0:
                parameter.requires_grad_(False)
                continue
            matrix = parameter.ndim > 1
            new = {"params": [], "name": own, "level": number, "weight_decay": weight_decay if matrix else 0.0}
            group = groups.setdefault((number, matrix, first, last), new)
            group["params"].append(parameter)  # type: ignore[attr-defined]
        ordered = [group for _, group in sorted(groups.items(), key=lambda item: item[0])]
        self.optimizer = torch.optim.AdamW(ordered, fused=True)
        self.count = sum(parameter.numel() for parameter in self._parameters())
        self.boundary = min(min(group["level"] for group in self.optimizer.param_groups), depth)

    def follow(self, progress: float, rate: float) -> None:
        """Be ready for a step: what learns now takes gradients; the rest takes none, and is in evaluation mode.

        Args:
            progress: share of all steps done, in [0, 1).
            rate: of this step, which the scope's factors multiply.
        """
        factors = [self._factor(group["name"], group["level"], progress) for group in self.optimizer.param_groups]
        for group, factor in zip(self.optimizer.param_groups, factors, strict=True):
            group["lr"] = rate * factor
        awake = [factor > 0 for factor in factors]
        if awake != self._awake or not self.network.training:
            self._wake(awake)

    def _wake(self, awake: list[bool]) -> None:
        self._awake = awake
        levels_awake = set()
        for group, learns in zip(self.optimizer.param_groups, awake, strict=True):
            levels_awake |= {group["level"]} if learns else set()
            for parameter in group["params"]:
                parameter.requires_grad_(learns)
        self.network.train()
        for module, level in self._level_of:
            if level not in levels_awake:
                module.training = False

    def step(self, max_norm: float) -> bool:
        """Move the weights by their gradients, clipped to this L2 norm, and forget these; whether all were finite."""
        parameters = self._parameters()
        norm = nn.utils.clip_grad_norm_(parameters, max_norm)
        # Of finite ones the norm may overflow: they are clipped to 0 then, while others are no number.
        finite = bool(norm.isfinite()) or all(one.grad is None or one.grad.isfinite().all() for one in parameters)
        self.optimizer.step()
        self.forget()
        return finite

    def forget(self) -> None:
        """Drop the gradients."""
        self.optimizer.zero_grad(set_to_none=True)

    def _factor(self, name: str, level: int, progress: float) -> float:
        return 1.0 if level > self.network.backbone.depth else self.scope.lr_factor(name, level, progress)

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]


def levels(backbone: Backbone) -> dict[int, int]:
    """`id` of each module and parameter -> number of its block; -1 before the first, the depth behind the last."""
    found: dict[int, int] = {}
    parts = [(-1, backbone), *enumerate(backbone.blocks), *((backbone.depth, part) for part in backbone.tail)]
    for number, part in parts:
        for module in part.modules():  # type: ignore[attr-defined]
            found[id(module)] = number
            found |= {id(parameter): number for parameter in module.parameters(recurse=False)}
    return found
