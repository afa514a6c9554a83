"""Images: eleven families run block by block, cut at any depth, and learn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file

from tasks.boundary import Lower
from tasks.modalities.image import backbone as backbones
from tasks.modalities.image.backbone import ImageBackbone
from tests.image_models import BLOCKS, FAMILIES, PIXELS, WIDTH, WITH_CLASS_TOKEN, Pixels, images
from tests.image_models import models as models

WITH_BATCH_NORM = ["ResNet", "RegNet", "MobileNetV1", "MobileNetV2"]
PREFIX = {"DeiT": 2, "Dinov2WithRegisters": 5} | dict.fromkeys(["ViT", "Dinov2", "Beit"], 1)
BOTH = ["mean", "first"]
PRETRAINED = Path(__file__).parents[5] / "shared/models/mobilenet_v1_025_imagenet"


def pools(family: str) -> list[str]:
    return BOTH if family in WITH_CLASS_TOKEN else ["mean"]


@pytest.mark.parametrize("family", FAMILIES)
def test_feature_at_a_depth_is_that_of_a_backbone_of_that_depth(models: Path, family: str) -> None:
    batch, most = images(), BLOCKS.get(family, 3)
    with torch.inference_mode():
        whole = backbones.load(models / family)
        every = whole.pooled_at_all_depths(batch, BOTH)
        assert list(every) == [(depth, pool) for depth in range(most + 1) for pool in pools(family)]
        for depth in {0, 1, most // 2, most - 1, most}:
            cut = backbones.load(models / family, depth, pools(family)[-1])
            feature = cut(batch)
            assert (cut.depth, len(cut.blocks), cut.training) == (depth, depth, False)
            assert feature.shape == (3, cut.width)
            torch.testing.assert_close(every[depth, cut.pool], feature, rtol=0, atol=0)
            assert feature.abs().max() < 1e4 and feature.std() > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_uncut_gives_what_the_body_gives(models: Path, family: str) -> None:
    batch = images()
    body = transformers.AutoModel.from_pretrained(models / family).eval()
    with torch.inference_mode():
        found = backbones.load(models / family).pooled_at_all_depths(batch, BOTH)
        given = body(**batch)
    most = BLOCKS.get(family, 3)
    hidden = given.last_hidden_state
    if family in WITH_CLASS_TOKEN:
        patches = (PIXELS // 8) ** 2
        assert hidden.shape[1] == patches + PREFIX[family]
        expected = {"mean": hidden[:, -patches:].mean(1), "first": hidden[:, 0]}
    else:
        expected = {"mean": hidden.mean((2, 3))}
    if family in ("Beit", "ConvNext", "ConvNextV2"):  # they have a norm behind the pool
        assert not torch.allclose(found[most, "mean"], expected["mean"], atol=1e-3)
        expected = {"mean": given.pooler_output}
    for pool, feature in expected.items():
        torch.testing.assert_close(found[most, pool], feature, rtol=1e-5, atol=1e-6)


def test_tokens_have_their_final_norm_at_every_depth_and_maps_at_the_last(models: Path) -> None:
    batch = images()
    vit, convnext = (transformers.AutoModel.from_pretrained(models / name).eval() for name in ("ViT", "ConvNext"))
    with torch.inference_mode():
        tokens = vit.layernorm(vit.layers[0](vit.embeddings(batch["pixel_values"])))
        maps = convnext.encoder.stages[0](convnext.embeddings(batch["pixel_values"]))
        first = backbones.load(models / "ViT").pooled_at_all_depths(batch, BOTH)[1, "first"]
        mean = backbones.load(models / "ConvNext").pooled_at_all_depths(batch, BOTH)[1, "mean"]
    torch.testing.assert_close(first, tokens[:, 0])
    torch.testing.assert_close(mean, maps.mean((2, 3)))


def test_width_follows_depth_and_tail(models: Path) -> None:
    assert [backbones.load(models / "ResNet", depth).width for depth in range(4)] == [8, 8, 12, WIDTH]
    assert [backbones.load(models / "MobileNetV2", depth).width for depth in (15, 16)] == [40, 1280]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_backbone_is_read_again_whole(models: Path, family: str, tmp_path: Path) -> None:
    cut = backbones.load(models / family, 2)
    cut.save(tmp_path / "cut")
    again = backbones.load(tmp_path / "cut", 2)
    with torch.inference_mode():
        torch.testing.assert_close(again(images()), cut(images()), rtol=0, atol=0)
    before, after = (load_file(path / "model.safetensors") for path in (models / family, tmp_path / "cut"))
    assert before.keys() == after.keys() and all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_changes_what_runs_and_nothing_above(models: Path, family: str) -> None:
    model = backbones.load(models / family, 2).train().requires_grad_(True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)
    model(images()).square().sum().backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    chain = model.chain
    above = tuple(f"body.{chain.blocks}.{number}." for number in range(2, BLOCKS.get(family, 3)))
    assert not [name for name in changed if name.startswith((*above, "body.pooler.dense"))]
    for name, parameter in model.named_parameters():
        if name.startswith(above):
            assert parameter.grad is None and not parameter.requires_grad
    for used in (*(f"body.{path}." for path in chain.stem), f"body.{chain.blocks}.0.", f"body.{chain.blocks}.1."):
        assert [name for name in changed if name.startswith(used)]
    followed = [name for name in changed if name.startswith(tuple(f"body.{path}." for path in chain.tail))]
    assert bool(followed) is (family in WITH_CLASS_TOKEN)
    moved = [name for name in changed if name.endswith("running_mean")]
    assert not moved, "a pre-trained net keeps its statistics"


def test_frozen_freezes_all_and_unfreezing_leaves_the_top_alone(models: Path) -> None:
    model = backbones.load(models / "ViT", 1)
    assert not any(p.requires_grad for p in model.requires_grad_(False).parameters())
    model.requires_grad_(True)
    learns = {name for name, p in model.named_parameters() if p.requires_grad}
    starts = ("body.embeddings.", "body.layers.0.", "body.layernorm.")
    assert learns == {name for name, _ in model.named_parameters() if name.startswith(starts)}


@pytest.mark.parametrize("family", ["ViT", "MobileNetV1"])
def test_from_scratch_draws_from_the_seed(models: Path, family: str) -> None:
    one, same, other = (scratch(models / family, seed).eval() for seed in (1, 1, 2))
    trained, batch = backbones.load(models / family, 2), images()
    with torch.inference_mode():
        features = [model(batch) for model in (one, same, other, trained)]
    assert torch.equal(features[0], features[1])
    assert not torch.equal(features[0], features[2]) and not torch.allclose(features[0], features[3])
    assert features[0].shape == features[3].shape


def scratch(folder: Path, seed: int) -> ImageBackbone:
    torch.manual_seed(seed)
    found = backbones.from_scratch(folder, 2)
    assert found.training and found.body.training and {p.dtype for p in found.parameters()} == {torch.float32}
    return found


def test_the_check_moves_no_statistics(models: Path) -> None:
    fresh = backbones.from_scratch(models / "ResNet").state_dict()
    moved = [value for name, value in fresh.items() if name.endswith(("running_mean", "num_batches_tracked"))]
    assert moved and not any(value.any() for value in moved)


def test_pools_by_hand() -> None:
    hidden = torch.tensor([[[90.0, 80.0], [1.0, 2.0], [3.0, 6.0]]])
    assert backbones.mean_pool(hidden, 1).tolist() == [[2.0, 4.0]]
    assert backbones.first_pool(hidden, 1).tolist() == [[90.0, 80.0]]
    assert backbones.mean_pool(torch.tensor([[[[1.0, 3.0]], [[2.0, 6.0]]]]), 0).tolist() == [[2.0, 4.0]]


@pytest.mark.skipif(not PRETRAINED.is_dir(), reason="the pre-trained MobileNetV1 is not on this machine")
def test_a_classifier_of_imagenet_is_read_as_a_body() -> None:
    model = backbones.load(PRETRAINED)
    side = model.body.config.image_size  # type: ignore[union-attr]
    with torch.inference_mode():
        feature = model({"pixel_values": torch.zeros(1, 3, side, side)})
    assert (model.depth, model.width, feature.shape) == (26, 256, (1, 256))
    assert feature.std() > 0.1


def test_running_statistics_are_not_those_of_the_last_batch(models: Path) -> None:
    backbone = backbones.from_scratch(models / "MobileNetV1")
    norms = [module for module in backbone.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms and all(norm.momentum == 0.1 for norm in norms)


@pytest.mark.parametrize("family", WITH_BATCH_NORM)
def test_only_a_pretrained_net_keeps_its_statistics_in_training(models: Path, family: str) -> None:
    kept, drawn = backbones.load(models / family).train(), backbones.from_scratch(models / family).train()
    assert kept.training and drawn.training
    for backbone, training in ((kept, False), (drawn, True)):
        norms = [module for module in backbone.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        assert norms and all(norm.training is training for norm in norms)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_lower_blocks_can_stand_aside(models: Path, family: str) -> None:
    body = backbones.load(models / family)
    rows = [{"pixel_values": image.numpy()} for image in images()["pixel_values"]]
    lower = Lower(body, len(body.blocks) - 1, Pixels())  # type: ignore[arg-type]
    assert lower.exact(rows)
    lower.close()
