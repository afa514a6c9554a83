"""What learns. A scope is two functions: `prepare(backbone)` and `lr_factor(parameter name, block, progress)`."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol, cast

SCOPES: dict[str, str] = {"frozen": "tasks.adaptation.scope.frozen", "full": "tasks.adaptation.scope.full"}


class Scope(Protocol):
    """What learns, and how fast."""

    def prepare(self, backbone: Any) -> None:
        """Change the backbone before training, for instance by adding adapters."""

    def lr_factor(self, name: str, block: int | None, progress: float) -> float:
        """Factor on the peak rate of one parameter.

        Args:
            name: the parameter's path in the backbone.
            block: number of its block from the input, None outside of blocks.
            progress: share of all steps done, in [0, 1).

        Returns:
            0 for a frozen parameter.
        """


def get(kind: str) -> Scope:
    """A row of `SCOPES`."""
    return cast(Scope, import_module(SCOPES[kind]))


def trains(scope: Scope, backbone: Any) -> bool:
    """Whether any parameter of the backbone ever learns under this scope."""
    return any(scope.lr_factor(name, None, 0.0) > 0 for name, _ in backbone.named_parameters())
