"""A toy backbone of three blocks, its scopes, and a training that dies: what the tests of scopes share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn

from tasks.network import Network
from tasks.training import loop
from tasks.training import scope as scopes
from tasks.training import settings as sections
from tasks.training.objective.supervised import Supervised
from tasks.training.scope import Scope
from tests.factories import params

DEPTH = 3
SETTINGS = params().adaptation.scope


@pytest.fixture(autouse=True)
def every_epoch_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "STORE_SECONDS", 0)


class Stack(nn.Module):
    """Embeddings with a norm, three blocks with dropout, a final norm, the mean."""

    depth, width = DEPTH, 4

    def __init__(self) -> None:
        super().__init__()
        self.words, self.norm, self.dropout = nn.Embedding(6, 4), nn.LayerNorm(4), nn.Dropout(0.1)
        self.blocks = nn.ModuleList(nn.Sequential(OrderedDict(part())) for _ in range(DEPTH))
        self.last_norm = nn.LayerNorm(4)

    @property
    def tail(self) -> Sequence[nn.Module]:
        return [self.last_norm]

    def pooled(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        states, mask = self.dropout(self.norm(self.words(inputs["input_ids"]))), inputs["attention_mask"].unsqueeze(-1)
        for block in self.blocks:
            states = states + block(states)
        return (self.last_norm(states) * mask).sum(1) / mask.sum(1)


def part() -> dict[str, nn.Module]:
    return {"linear": nn.Linear(4, 4), "norm": nn.LayerNorm(4), "dropout": nn.Dropout(0.1)}


def stack() -> Network:
    torch.manual_seed(3)
    return Network(Stack(), nn.Linear(4, 2))  # type: ignore[arg-type]


def scope(kind: str, depth: int = DEPTH) -> Scope:
    return scopes.get(kind, SETTINGS, depth)


class Killed(Supervised):
    """Dies in a step."""

    left: list[int]

    def loss(self, logits: Any, features: Any, classes: Any, progress: float) -> Any:
        if not self.left:
            raise KeyboardInterrupt
        self.left.pop()
        return super().loss(logits, features, classes, progress)


def lora(rank: int, alpha: float, adapter: sections.Adapter = "lora") -> Scope:
    own = sections.LoraScope(adapter=adapter, rank=rank, alpha=alpha)
    return scopes.get("lora", SETTINGS.model_copy(update={"lora": own}), DEPTH)
