"""A GPU that is asked for and not there is told; otherwise what is there computes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tasks import device
from tasks.errors import InputError


@pytest.mark.parametrize(
    ("wanted", "there", "picked"),
    [("auto", False, "cpu"), ("auto", True, "cuda"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_what_computes(monkeypatch: pytest.MonkeyPatch, wanted: str, there: bool, picked: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert device.pick(wanted).type == picked


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"resources\.device is cuda, but"):
        device.pick("cuda")


def test_a_module_is_where_its_weights_are() -> None:
    assert device.of(nn.Linear(1, 1, device="meta")).type == "meta"
    assert device.of(nn.ReLU()).type == "cpu"
