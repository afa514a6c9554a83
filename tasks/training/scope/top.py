"""Top: the highest blocks learn, and what follows them; what lies below is computed and stays as it is."""

from __future__ import annotations

from tasks.errors import InputError
from tasks.training.scope import Scope
from tasks.training.settings import Scope as Settings


def scope(settings: Settings, depth: int) -> Scope:
    """The highest `top.blocks` blocks learn, and nothing before the first.

    Raises:
        InputError: there are fewer.
    """
    blocks = settings.top.blocks
    if blocks > depth:
        raise InputError(
            f"adaptation.scope.top.blocks is {blocks}, but {depth or 'none'} of the model's blocks are kept: "
            f"{f'set it to {depth} at most, or ' if depth else 'set '}adaptation.scope.kind to full."
        )
    return Scope(lambda name, block, progress: float(block >= depth - blocks))
