"""Scopes on real bodies of every family: adapters leave them plain, biases and norms are told by their names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tasks.modalities.image import backbone as image
from tasks.modalities.text import backbone as text
from tasks.training import settings as sections
from tasks.training.scope.lora import ADAPTERS
from tests.image_models import FAMILIES as IMAGES
from tests.image_models import made as written
from tests.stack import every_epoch_is_stored as every_epoch_is_stored
from tests.stack import lora, scope
from tests.tasks.training.test_loop import one_thread as one_thread
from tests.text_models import FAMILIES, write_models


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_fit_every_family_and_leave_it_plain(models: Path, family: str, adapter: sections.Adapter) -> None:
    body, of, inputs = text.load(models / family), lora(2, 4.0, adapter), {"input_ids": torch.tensor([[5, 6, 7]])}
    inputs["attention_mask"] = torch.ones(1, 3, dtype=torch.long)
    names, before = list(body.state_dict()), body.pooled(inputs)
    of.prepare(body)
    torch.testing.assert_close(body.pooled(inputs), before)
    learning = {name for name, parameter in body.named_parameters() if parameter.requires_grad}
    assert learning == {name for name, _ in body.named_parameters() if "lora_" in name}
    with torch.no_grad():
        for name, parameter in body.named_parameters():
            if name in learning:
                parameter.add_(0.1)
    moved = body.pooled(inputs)
    assert not torch.allclose(moved, before)
    of.finish(body)
    assert list(body.state_dict()) == names
    torch.testing.assert_close(body.pooled(inputs), moved, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_biases_and_norms_are_told_by_their_names(models: Path, family: str) -> None:
    learn_biases_and_norms(text.load(models / family))


@pytest.mark.parametrize("family", IMAGES)
def test_biases_and_norms_of_images_are_told_by_their_names(tmp_path: Path, family: str) -> None:
    learn_biases_and_norms(image.load(written(tmp_path, family, IMAGES[family])))


def learn_biases_and_norms(body: nn.Module) -> None:
    """And nothing else, by the scope bias."""
    factor = scope("bias").lr_factor
    names = {name for name, _ in body.named_parameters() if factor(name, 0, 0.0)}
    vectors = {
        f"{path}.{name}"
        for path, module in body.named_modules()
        for name, _ in module.named_parameters(recurse=False)
        if name == "bias" or "Norm" in type(module).__name__
    }
    assert names == vectors != set()
