"""Image -> pixels as a model's preprocessor_config.json asks for them: training rows and requests go one way."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.artifacts import read_json, write_json
from tasks.errors import InputError
from tasks.modalities.contract import Arrays
from tasks.modalities.image import configuration, decode
from tasks.modalities.image.configuration import Recipe

if TYPE_CHECKING:
    from tasks.modalities.image.settings import Settings

SETTINGS = "encoder.json"
MAX_SIDE = 8192  # pixels of a prepared image
SEND = "send a JPEG, PNG, WEBP, BMP, GIF or TIFF file"
FAULTS = {
    decode.NOT_AN_IMAGE: f"is not an image: {SEND}",
    decode.CORRUPT: "is a truncated or corrupt image: send a whole one",
    decode.FLOATING_POINT: f"is an {decode.FLOATING_POINT}: send one with 8 or 16 bits per channel",
}
PATCH_PIXELS = 16 * 16
# A picture in decoding takes up to 24 bytes a pixel: never more of them at once than there are CPUs, whoever asks.
DECODING = threading.BoundedSemaphore(decode.available_cpus())


class ImageEncoder:
    """Encoder of the contract for images.

    Args:
        recipe: the steps.
        max_pixels: limit on width x height of an image, before it is resized.
    """

    inputs: tuple[str, ...] = ("pixel_values",)
    unit = "patches of 16 x 16 pixels"
    ragged = False

    def __init__(self, recipe: Recipe, max_pixels: int) -> None:
        self.recipe, self.max_pixels = recipe, max_pixels
        self._scale = np.asarray(recipe.scale, dtype=np.float32).reshape(3, 1, 1)
        self._shift = np.asarray(recipe.shift, dtype=np.float32).reshape(3, 1, 1)

    def fault(self, example: object) -> str | None:
        if not isinstance(example, bytes):
            return f"is not a file: {SEND}"
        reason = decode.header_fault(example, self.max_pixels)
        return reason and FAULTS.get(reason, f"has more than {self.max_pixels} pixels: send a smaller image")

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 4, "contentEncoding": "base64", "contentMediaType": "image/*"}

    def encode(self, examples: Sequence[bytes]) -> list[Arrays]:
        threads = min(decode.available_cpus(), len(examples))
        if threads <= 1:
            return [self._encoded(number, example) for number, example in enumerate(examples, start=1)]
        with ThreadPoolExecutor(threads, thread_name_prefix="encode") as pool:
            return list(pool.map(self._encoded, range(1, len(examples) + 1), examples))

    def _encoded(self, number: int, example: bytes) -> Arrays:
        if reason := self.fault(example):
            raise InputError(f"Example {number} {reason}.")
        try:
            with DECODING:
                image = decode.rgb(example)
        except InputError:
            raise InputError(f"Example {number} {FAULTS[decode.CORRUPT]}.") from None
        # A copy: a view would keep what the crop cut off.
        return {"pixels": decode.fitted(image, self.recipe.resize, self.recipe.resample, self.recipe.crop).flatten()}

    def collate(self, encoded: Sequence[Arrays]) -> Arrays:
        height, width = self.recipe.output
        levels = np.stack([row["pixels"] for row in encoded]).reshape(-1, height, width, 3)
        values = np.empty((len(encoded), 3, height, width), dtype=np.float32)
        np.multiply(levels.transpose(0, 3, 1, 2), self._scale, out=values)
        values += self._shift
        return {"pixel_values": values}

    def positions(self, row: Arrays) -> int:
        """Patches of 16 x 16 pixels: what the operations of an image model grow with."""
        height, width = self.recipe.output
        return max(1, height * width // PATCH_PIXELS)

    def truncated(self, examples: Iterable[Any]) -> None:
        """An image is resized whatever its size: nothing is lost to a length limit."""

    def save(self, folder: Path) -> None:
        write_json(folder / SETTINGS, {**asdict(self.recipe), "max_pixels": self.max_pixels})


def from_model(folder: Path, settings: Settings) -> ImageEncoder:
    """Encoder of a model folder.

    Raises:
        InputError: the folder has no preprocessor_config.json, or one that asks for what is not done here.
    """
    return ImageEncoder(configuration.read(folder), settings.max_pixels)


def from_bundle(folder: Path) -> ImageEncoder:
    """Encoder that `save` wrote.

    Raises:
        ValueError: a size that cannot be meant.
    """
    saved = read_json(folder / SETTINGS)
    settings: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in saved.items()}
    max_pixels = settings.pop("max_pixels")
    recipe = Recipe(**settings)
    sides = [*(recipe.resize or {}).values(), *(recipe.crop or ())]
    if not all(type(side) is int and 0 < side <= MAX_SIDE for side in sides) or not max_pixels > 0:
        raise ValueError(f"a size in {SETTINGS} cannot be meant")
    return ImageEncoder(recipe, max_pixels)
