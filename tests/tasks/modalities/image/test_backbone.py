"""Images: eleven families run block by block, cut at any depth, and the models that cannot be."""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.utils.flop_counter import FlopCounterMode

from tasks.boundary import Lower
from tasks.errors import InputError
from tasks.modalities.image import backbone as backbones
from tasks.modalities.image import chain
from tasks.modalities.image.backbone import ImageBackbone, Inputs

PIXELS, WIDTH = 32, 16
TOKENS: dict[str, Any] = {
    "hidden_size": WIDTH, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32,
    "image_size": PIXELS, "patch_size": 8,
}  # fmt: skip
MAPS: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 12, WIDTH], "depths": [1, 1, 1]}
STAGES: dict[str, Any] = {"hidden_sizes": [8, 12, WIDTH], "depths": [1, 1, 1], "num_stages": 3, "image_size": PIXELS}
MOBILE: dict[str, Any] = {"depth_multiplier": 0.25, "image_size": PIXELS}
FAMILIES = {
    "ViT": TOKENS,
    "DeiT": TOKENS,
    "Dinov2": TOKENS,
    "Dinov2WithRegisters": TOKENS,
    "Beit": TOKENS | {"use_relative_position_bias": True},
    "ResNet": MAPS,
    "RegNet": MAPS | {"groups_width": 4},
    "ConvNext": STAGES,
    "ConvNextV2": STAGES,
    "MobileNetV1": MOBILE,
    "MobileNetV2": MOBILE,
}
WITH_CLASS_TOKEN = ["ViT", "DeiT", "Dinov2", "Dinov2WithRegisters", "Beit"]
WITH_BATCH_NORM = ["ResNet", "RegNet", "MobileNetV1", "MobileNetV2"]
BLOCKS = {"MobileNetV1": 26, "MobileNetV2": 16}
PREFIX = {"DeiT": 2, "Dinov2WithRegisters": 5} | dict.fromkeys(["ViT", "Dinov2", "Beit"], 1)
BOTH = ["mean", "first"]
PRETRAINED = Path(__file__).parents[5] / "shared/models/mobilenet_v1_025_imagenet"


def fill(body: torch.nn.Module) -> None:
    """Weights under which every part of a body shows in its output, unlike those of Hugging Face's own start."""
    with torch.no_grad():
        for value in body.state_dict().values():
            if value.is_floating_point() and value.ndim > 1:
                value.normal_(0, max(1, value[0].numel()) ** -0.5)
            elif value.is_floating_point():
                value.uniform_(0.5, 1.5)


def made(folder: Path, family: str, shape: dict[str, Any]) -> Path:
    torch.manual_seed(0)
    body = getattr(transformers, f"{family}Model")(getattr(transformers, f"{family}Config")(**shape))
    fill(body)
    body.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random model of each family."""
    root = tmp_path_factory.mktemp("images")
    for family, shape in FAMILIES.items():
        made(root / family, family, shape)
    return root


@pytest.fixture
def folder(models: Path, tmp_path: Path) -> Path:
    """A ViT that a test may break."""
    return Path(shutil.copytree(models / "ViT", tmp_path / "model"))


def images(rows: int = 3) -> Inputs:
    drawn = np.random.default_rng(0).standard_normal((rows, 3, PIXELS, PIXELS), dtype=np.float32)
    return {"pixel_values": torch.from_numpy(drawn)}


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


def test_pools_by_hand() -> None:
    hidden = torch.tensor([[[90.0, 80.0], [1.0, 2.0], [3.0, 6.0]]])
    assert backbones.mean_pool(hidden, 1).tolist() == [[2.0, 4.0]]
    assert backbones.first_pool(hidden, 1).tolist() == [[90.0, 80.0]]
    assert backbones.mean_pool(torch.tensor([[[[1.0, 3.0]], [[2.0, 6.0]]]]), 0).tolist() == [[2.0, 4.0]]


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
    mark = folder.parent / "ran"
    (folder / "modeling_evil.py").write_text(f"open({str(mark)!r}, 'w')\nclass Evil: ...\nclass Config: ...\n")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "modeling_evil.Evil", "AutoConfig": "modeling_evil.Config"}
    (folder / "config.json").write_text(json.dumps(config))
    for make in (backbones.load, backbones.from_scratch):
        assert type(make(folder).body).__name__ == "ViTModel"
    assert not mark.exists()


def test_half_precision_is_read_as_float32(folder: Path) -> None:
    transformers.AutoModel.from_pretrained(folder, dtype=torch.float16).save_pretrained(folder)
    for make in (backbones.load, backbones.from_scratch):
        assert {p.dtype for p in make(folder).parameters()} == {torch.float32}


@pytest.mark.parametrize("family", FAMILIES)
def test_operations_are_counted_under_the_names_of_the_parts(models: Path, family: str) -> None:
    model = backbones.load(models / family)
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:
        model(images(1))
    counts = {str(name): sum(kinds.values()) for name, kinds in counter.get_flop_counts().items()}
    chain, most = model.chain, len(model.blocks)
    parts = [*chain.stem, *(f"{chain.blocks}.{number}" for number in range(most))]
    assert all(counts[f"ImageBackbone.body.{part}"] > 0 for part in parts)
    tail = sum(counts.get(f"ImageBackbone.body.{path}", 0) for path in chain.tail)
    assert sum(counts[f"ImageBackbone.body.{part}"] for part in parts) + tail == counter.get_total_flops()
    assert {name.partition(".")[0] for name in counts} == {"Global", "ImageBackbone"}


class Exported(torch.nn.Module):
    """A backbone with a head, its input spread out: exporters name graph inputs after arguments."""

    def __init__(self, backbone: ImageBackbone) -> None:
        super().__init__()
        self.backbone, self.head = backbone, torch.nn.Linear(backbone.width, 4)

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.backbone({"pixel_values": pixel_values})
        return self.head(features), features


def shallow(folder: Path, family: str) -> ImageBackbone:
    """The whole chain of a family, tail included, in two blocks where its configuration cannot say so."""
    if family not in BLOCKS:
        short = {"num_hidden_layers": 2} if family in WITH_CLASS_TOKEN else {}
        return backbones.load(made(folder, family, FAMILIES[family] | short))
    equally_wide = {"depth_multiplier": 0.01}
    body = transformers.AutoModel.from_pretrained(made(folder, family, MOBILE | equally_wide))
    body.layer = body.layer[1:3]
    return ImageBackbone(body, 2, "mean")


@pytest.mark.parametrize("family", ["ViT", "Beit", "ResNet", "ConvNext", "MobileNetV1", "MobileNetV2"])
def test_exported_graph_answers_alike(tmp_path: Path, family: str) -> None:
    network = Exported(shallow(tmp_path, family)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.onnx warns inside itself, 2026-11
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network,
            (images(2)["pixel_values"],),
            dynamo=True,
            dynamic_shapes={"pixel_values": {0: torch.export.Dim("rows", min=1, max=65_536)}},
            input_names=["pixel_values"],
            output_names=["logits", "pooled"],
            verbose=False,
        )
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    assert session.get_inputs()[0].shape == ["rows", 3, PIXELS, PIXELS]
    for rows in (1, 5):
        batch = images(rows)
        answered = session.run(None, {"pixel_values": batch["pixel_values"].numpy()})
        with torch.inference_mode():
            for mine, theirs in zip(network(batch["pixel_values"]), answered, strict=True):
                np.testing.assert_allclose(theirs, mine.numpy(), rtol=1e-4, atol=1e-4)


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


class Pixels:
    """Encoder of rows that are images already."""

    def positions(self, row: dict[str, np.ndarray]) -> int:
        return 1

    def collate(self, encoded: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        return {"pixel_values": np.stack([row["pixel_values"] for row in encoded])}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_lower_blocks_can_stand_aside(models: Path, family: str) -> None:
    body = backbones.load(models / family)
    rows = [{"pixel_values": image.numpy()} for image in images()["pixel_values"]]
    lower = Lower(body, len(body.blocks) - 1, Pixels())  # type: ignore[arg-type]
    assert lower.exact(rows)
    lower.close()
