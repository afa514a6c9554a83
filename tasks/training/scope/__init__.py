"""What learns. Each row gives a `Scope`: what it does to a backbone, and a factor on the rate of every parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from tasks.training import settings as sections

SCOPES: dict[str, str] = {
    "frozen": "tasks.training.scope.frozen",
    "bias": "tasks.training.scope.bias",
    "top": "tasks.training.scope.top",
    "gradual": "tasks.training.scope.gradual",
    "lora": "tasks.training.scope.lora",
    "full": "tasks.training.scope.full",
}


def as_it_is(backbone: Any) -> None:
    """Leave the backbone alone."""


@dataclass(frozen=True)
class Scope:
    """What learns, and how fast.

    Attributes:
        lr_factor: factor on the peak rate of a parameter, by its path in the backbone, the number of its block and the
            share of all steps done, in [0, 1]; 0 is frozen. Blocks count from 0 at the input; -1 is what lies before
            them, and their number what follows the last. What has begun to learn goes on, so that the factor at 1 says
            what learns at all; and two parameters of a block that begin and end with one factor share it throughout.
        prepare: changes the backbone before training, for instance by adding adapters.
        finish: takes out again what `prepare` added, so that the trained backbone is one of its kind.
    """

    lr_factor: Callable[[str, int, float], float]
    prepare: Callable[[Any], None] = as_it_is
    finish: Callable[[Any], None] = as_it_is


def get(kind: str, settings: sections.Scope, depth: int) -> Scope:
    """A row of `SCOPES`.

    Args:
        kind: its name.
        settings: of all scopes.
        depth: blocks of the backbone.
    """
    return cast(Scope, import_module(SCOPES[kind]).scope(settings, depth))
