"""What computes: the CPU, or a GPU where there is one and the params allow it."""

from __future__ import annotations

import torch
from torch import nn

from tasks.errors import InputError
from tasks.modalities.contract import Backbone


def pick(wanted: str) -> torch.device:
    """The device for `resources.device`.

    Raises:
        InputError: cuda is asked for and not there.
    """
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise InputError(
            "resources.device is cuda, but torch sees no GPU here: set it to auto or cpu, or install a CUDA build of "
            "torch."
        )
    return torch.device("cuda" if there and wanted != "cpu" else "cpu")


def of(module: nn.Module | Backbone) -> torch.device:
    """Where a module's weights are; the CPU for a module that has none."""
    weight = next(module.parameters(), None)
    return torch.device("cpu") if weight is None else weight.device
