"""Images: weights that do not fill their architecture, bodies that no chain gives and folders that run code."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from tasks.errors import InputError
from tasks.modalities.image import backbone as backbones
from tasks.modalities.image import chain
from tasks.modalities.image.backbone import ImageBackbone
from tests.factories import with_code
from tests.image_models import PIXELS, TOKENS, WIDTH, images, made
from tests.image_models import folder as folder
from tests.image_models import models as models


@pytest.mark.parametrize("family", ["ViT", "ResNet"])
def test_loading_leaves_the_seed_alone(models: Path, family: str, folder: Path) -> None:
    refill(folder, lambda name: not name.startswith("pooler."))  # its pooler is drawn
    before = torch.get_rng_state()
    for path in (models / family, folder):
        backbones.load(path, 1)
    assert torch.equal(torch.get_rng_state(), before)


def refill(folder: Path, keep: Any, rename: str = "") -> None:
    path = folder / "model.safetensors"
    before = load_file(path)
    after = {rename + name: value for name, value in before.items() if keep(name)}
    assert after.keys() != before.keys()
    save_file(after, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("keep", "rename"), [(lambda name: ".layer.1." not in name, ""), (lambda name: True, "student.")]
)
def test_weights_that_do_not_fill_their_architecture_are_refused(folder: Path, keep: Any, rename: str) -> None:
    refill(folder, keep, rename)
    with pytest.raises(InputError, match="drawn at random") as found:
        backbones.load(folder)
    (sentence,) = found.value.sentences
    assert sentence.startswith(f"The weights in {folder.name} lack")


def test_weights_without_a_pooler_are_fine_and_saved_alike(folder: Path, tmp_path: Path) -> None:
    with torch.inference_mode():
        whole = backbones.load(folder)(images())
        refill(folder, lambda name: not name.startswith("pooler."))
        for seed in (1, 2):
            torch.manual_seed(seed)
            model = backbones.load(folder)
            torch.testing.assert_close(model(images()), whole, rtol=0, atol=0)
            model.save(tmp_path / str(seed))
    assert len({(tmp_path / str(seed) / "model.safetensors").read_bytes() for seed in (1, 2)}) == 1


def test_weights_without_the_token_of_masked_pretraining_are_fine(models: Path, tmp_path: Path) -> None:
    lacking = Path(shutil.copytree(models / "Dinov2", tmp_path / "model"))
    refill(lacking, lambda name: name != "embeddings.mask_token")
    with torch.inference_mode():
        features = [backbones.load(path)(images()) for path in (models / "Dinov2", lacking)]
    assert torch.equal(*features)


def test_a_norm_that_a_pool_reads_is_missed(models: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(models / "Beit", tmp_path / "model"))
    refill(broken, lambda name: not name.startswith("pooler."))
    with pytest.raises(InputError, match=r"pooler\.layernorm"):
        backbones.load(broken)


@pytest.mark.parametrize("depth", [4, 99, -1])
def test_depth_that_is_not_there(folder: Path, depth: int) -> None:
    for make in (backbones.load, backbones.from_scratch):
        with pytest.raises(InputError, match="has 3 blocks"):
            make(folder, depth)


def test_pool_that_is_not_there(models: Path) -> None:
    with pytest.raises(InputError, match="no pool 'first': use mean"):
        backbones.load(models / "ResNet", pool="first")
    with pytest.raises(InputError, match="no pool 'max': use mean or first"):
        backbones.load(models / "ViT", pool="max")
    with torch.inference_mode(), pytest.raises(InputError, match="no pool first"):
        backbones.load(models / "ResNet").pooled_at_all_depths(images(), ["first"])


SWIN = {
    "image_size": PIXELS, "patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    ("family", "shape", "reason"),
    [
        ("Swin", SWIN, "cannot be run one by one"),
        ("Beit", TOKENS | {"use_shared_relative_position_bias": True}, "cannot be run one by one"),
        ("ViTMAE", TOKENS, "cannot be run one by one"),
        ("PoolFormer", {"hidden_sizes": [8] * 4, "depths": [1] * 4}, "names no list of blocks"),
        ("Bert", {"hidden_size": WIDTH, "num_attention_heads": 2, "vocab_size": 9}, "cannot be run one by one"),
    ],
)
def test_bodies_that_no_chain_gives_are_refused(tmp_path: Path, family: str, shape: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as found:
        backbones.load(made(tmp_path, family, shape))
    (sentence,) = found.value.sentences
    assert f"{family}Model" in sentence and sentence.endswith("use a model such as " + chain.KNOWN + ".")


def test_a_body_that_does_more_than_its_blocks_is_refused(models: Path) -> None:
    class Doubled(transformers.ResNetModel):  # type: ignore[misc]
        def forward(self, pixel_values: torch.Tensor) -> Any:
            return super().forward(2 * pixel_values)

    with pytest.raises(InputError, match="another result"):
        ImageBackbone(Doubled.from_pretrained(models / "ResNet"), 1, "mean")


@pytest.mark.parametrize("broken", ["config.json", "model.safetensors"])
def test_broken_model_is_refused(folder: Path, broken: str) -> None:
    (folder / broken).unlink()
    with pytest.raises(InputError, match="cannot be loaded"):
        backbones.load(folder)


def test_loading_runs_no_code_of_the_folder(folder: Path) -> None:
    mark = with_code(folder)
    for make in (backbones.load, backbones.from_scratch):
        assert type(make(folder).body).__name__ == "ViTModel"
    assert not mark.exists()


def test_half_precision_is_read_as_float32(folder: Path) -> None:
    transformers.AutoModel.from_pretrained(folder, dtype=torch.float16).save_pretrained(folder)
    for make in (backbones.load, backbones.from_scratch):
        assert {p.dtype for p in make(folder).parameters()} == {torch.float32}
