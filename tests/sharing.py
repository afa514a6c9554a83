"""A training that processes share: `python -m tests.sharing COUNT FOLDER`; imported, what each of them does."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tasks.artifacts import write_json
from tasks.features import Store
from tasks.network import Network
from tasks.problems.classification import learn
from tasks.training import processes
from tasks.training.loop import train
from tasks.training.objective.supervised import Supervised
from tasks.training.scope import Scope
from tests.tasks.training.test_loop import ToyBackbone, job

FULL, TOP = Scope(lambda *_: 1.0), Scope(lambda name, block, progress: float(block > 0))
# Name -> what learns, and what stands behind the blocks.
KINDS: dict[str, tuple[Scope, type[nn.Module]]] = {
    "full": (FULL, nn.Identity),
    "top": (TOP, nn.Identity),
    "norm": (FULL, partial(nn.BatchNorm1d, 4)),  # type: ignore[dict-item]
}


class Two(ToyBackbone):
    """Two blocks without dropout, of which every process draws its own: so that only the order of sums differs."""

    depth = 2

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), norm))

    @property
    def blocks(self) -> Sequence[nn.Module]:  # type: ignore[override]
        return list(self.block)


class Counted(Supervised):
    """Counts rows."""

    seen: list[int]

    def loss(self, logits: Any, features: Any, classes: Any, progress: float) -> Any:
        self.seen.append(len(classes))
        return super().loss(logits, features, classes, progress)


def shared(kind: str, folder: Path) -> dict[str, Any]:
    """Train; the rows that this process computed, the history, and all weights."""
    scope, norm = KINDS[kind]
    torch.manual_seed(3 + processes.rank())  # the leader's weights count
    made, objective = Network(Two(norm()), nn.Linear(4, 2)), Counted(7, learn)  # type: ignore[arg-type]
    object.__setattr__(objective, "seen", [])
    work = replace(job(), epochs=3, least_epochs=3, store=Store(folder / "store", 1.0, dict))
    progress = train(made, scope, objective, work, folder / kind, lambda line: None)
    found = {"rows": sum(objective.seen), "history": [asdict(epoch) for epoch in progress.history]}
    return found | {"weights": {name: value.tolist() for name, value in made.state_dict().items()}}


if __name__ == "__main__":
    torch.set_num_threads(1)
    processes.begin(int(sys.argv[1]), torch.device("cpu"))
    folder = Path(sys.argv[2])
    found = {kind: shared(kind, folder / "first") for kind in KINDS}
    write_json(folder / f"{processes.rank()}.json", found | {"again": shared("full", folder / "second")})
    processes.end()
    write_json(folder / "end.json", {"rank": processes.rank(), "world": processes.world()})
