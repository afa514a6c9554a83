"""Where a training stands: what is stored after an epoch, and what a killed one goes on from."""

from __future__ import annotations

import math
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from tasks.artifacts import new_folder, read_json, write_json
from tasks.network import Network


@dataclass(frozen=True)
class Epoch:
    """What one epoch did; losses in nats per row. An objective that leaves the head alone has none on validation."""

    step: int
    training_loss: float
    validation_loss: float | None
    validation_accuracy: float | None

    @property
    def steering(self) -> float:
        """The loss that it is judged by."""
        return self.training_loss if self.validation_loss is None else self.validation_loss


@dataclass
class Progress:
    """What a resumed run needs beside weights and optimizer state.

    Attributes:
        history: of whole epochs.
        best: lowest validation loss, or the last training loss where no epoch is judged.
        best_epoch: its place in the history.
        stopped: whether no epoch follows.
        learned: number of weights that learn.
        rolled_back: epochs, counted from 1, in which the loss stopped being finite.
        pass_positions: what the memory of a GPU lowered those of the settings to; None where it holds them.
    """

    history: list[Epoch]
    best: float
    best_epoch: int
    stopped: bool = False
    learned: int = 0
    rolled_back: list[int] = field(default_factory=list)
    pass_positions: int | None = None


def copied(network: Network) -> dict[str, torch.Tensor]:
    """Its weights as they are now."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def store(
    folder: Path | None,
    network: Network,
    optimizer: torch.optim.Optimizer,
    best: dict[str, torch.Tensor],
    progress: Progress,
) -> None:
    """Write the state below a folder, where the one before stays until this one is whole; None keeps none."""
    if folder is None:
        return
    before = _states(folder)
    moments = {
        f"{i}.{name}": value for i, state in optimizer.state_dict()["state"].items() for name, value in state.items()
    }
    with new_folder(folder / str(1 + max(before, default=0))) as made:
        for name, values in (("weights", copied(network)), ("best", best), ("optimizer", moments)):
            save_file(values, made / f"{name}.safetensors")
        write_json(made / "progress.json", asdict(progress))
    for old in [*before.values(), *folder.glob(".*")]:  # what a kill left half written has a dot
        shutil.rmtree(old)


def _states(folder: Path) -> dict[int, Path]:
    return {int(path.name): path for path in folder.glob("[0-9]*")}


def restored(
    folder: Path | None, network: Network, optimizer: torch.optim.Optimizer
) -> tuple[Progress, dict[str, torch.Tensor]]:
    """Bring network and optimizer to the newest state; its progress, and the weights of its best epoch."""
    states = _states(folder) if folder else {}
    if not states:
        return Progress([], math.inf, 0), {}
    folder = states[max(states)]
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    state: dict[int, dict[str, Any]] = {}
    for key, value in load_file(folder / "optimizer.safetensors").items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    record = read_json(folder / "progress.json")
    history = [Epoch(**epoch) for epoch in record.pop("history")]
    return Progress(history, **record), load_file(folder / "best.safetensors")
