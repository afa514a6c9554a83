"""Random image models of few narrow blocks, one of each of eleven families, and images for them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tasks.modalities.image.backbone import Inputs

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
BLOCKS = {"MobileNetV1": 26, "MobileNetV2": 16}


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


class Pixels:
    """Encoder of rows that are images already."""

    def positions(self, row: dict[str, np.ndarray]) -> int:
        return 1

    def collate(self, encoded: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        return {"pixel_values": np.stack([row["pixel_values"] for row in encoded])}
