"""Handwritten digits as PNG files, and a small ResNet that has learned half of them: what README.md here starts from.

python docs/digits/make.py DIR writes DIR/pictures (train and test folders of the digits 5 to 9) and DIR/resnet, which
was trained on the digits 0 to 4. The digits come with scikit-learn (Alpaydin and Kaynak, UCI, 1998), 8 x 8 pixels each;
here they stand at a random place on a sheet of 12 x 12.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from transformers import ResNetConfig, ResNetForImageClassification

SEED = 13
TRAIN_ROWS = 20  # per digit: the rest is the test folder
EPOCHS, BATCH_ROWS, RATE = 12, 32, 2e-3
SHEET, SIDE = 12, 32
PREPROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "size": {"height": SIDE, "width": SIDE},
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def on_sheets(images: np.ndarray) -> np.ndarray:
    """Images (N, 8, 8), each at a place of its own on an empty sheet: (N, 12, 12)."""
    random = np.random.default_rng(SEED)
    sheets = np.zeros((len(images), SHEET, SHEET))
    for sheet, image in zip(sheets, images, strict=True):
        top, left = random.integers(0, SHEET - len(image) + 1, 2)
        sheet[top : top + len(image), left : left + len(image)] = image
    return sheets


def write_pictures(images: np.ndarray, digits: np.ndarray, folder: Path) -> None:
    """One PNG per image (N, H, W) of levels 0..16, in train/<digit> and test/<digit>."""
    for digit in np.unique(digits):
        for place, number in enumerate(np.flatnonzero(digits == digit)):
            path = folder / ("train" if place < TRAIN_ROWS else "test") / str(digit) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(images[number]).save(path)


def picture(levels: np.ndarray) -> Image.Image:
    """Levels 0..16 as a grey image."""
    return Image.fromarray((levels * 255 / 16).astype(np.uint8))


def pretrained(images: np.ndarray, digits: np.ndarray) -> ResNetForImageClassification:
    """A ResNet of three blocks, trained on these images (N, H, W) with labels (N,)."""
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    model = ResNetForImageClassification(
        ResNetConfig(embedding_size=32, hidden_sizes=[32, 64, 128], depths=[1, 1, 1], layer_type="basic", num_labels=5)
    )
    inputs = torch.stack([pixels(levels) for levels in images])
    labels = torch.from_numpy(digits)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(labels)).split(BATCH_ROWS):
            optimizer.zero_grad()
            model(pixel_values=inputs[rows], labels=labels[rows]).loss.backward()
            optimizer.step()
    return model.eval()


def pixels(levels: np.ndarray) -> torch.Tensor:
    """(3, 32, 32) as PREPROCESSOR says."""
    image = picture(levels).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255 * 2 - 1


def main(folder: Path) -> None:
    source = load_digits()
    images, known = on_sheets(source.images), source.target < 5
    write_pictures(images[~known], source.target[~known], folder / "pictures")
    model = pretrained(images[known], source.target[known])
    model.save_pretrained(folder / "resnet")
    (folder / "resnet/preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
