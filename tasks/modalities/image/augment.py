"""Training images, changed a little: the table of what `adaptation.augmentation.image` names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tasks.modalities.contract import Arrays

if TYPE_CHECKING:
    from tasks.modalities.image.encode import ImageEncoder
    from tasks.prepared import Prepared


def flip(pixels: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Levels (H, W, 3), mirrored left to right with probability `share`."""
    return pixels[:, ::-1] if random.random() < share else pixels


def shift(pixels: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Levels (H, W, 3), moved by up to `share` of each side either way; the edge is repeated into what falls empty."""
    rows, columns = (
        np.clip(np.arange(side) + random.integers(-int(side * share), int(side * share), endpoint=True), 0, side - 1)
        for side in pixels.shape[:2]
    )
    return np.asarray(pixels[rows][:, columns])


FUNCTIONS: dict[str, Callable[[np.ndarray, float, np.random.Generator], np.ndarray]] = {"flip": flip, "shift": shift}


def opened(data: Prepared, place: int, encoder: ImageEncoder) -> np.ndarray:
    """Levels (H, W, 3) as preparation left them."""
    return data.encoded[place]["pixels"].reshape(*encoder.recipe.output, 3)


def closed(pixels: np.ndarray, encoder: ImageEncoder) -> Arrays:
    """The levels, row by row."""
    return {"pixels": pixels.reshape(-1)}
