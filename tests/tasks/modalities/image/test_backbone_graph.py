"""Images: the operations of a backbone are counted under its parts, and its exported graph answers alike."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from tasks.modalities.image import backbone as backbones
from tasks.modalities.image.backbone import ImageBackbone
from tests.image_models import BLOCKS, FAMILIES, MOBILE, PIXELS, WITH_CLASS_TOKEN, images, made
from tests.image_models import models as models


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
