"""Features of the classical baseline for images: the main components of a thumbnail's colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from PIL import Image
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA

from tasks.modalities.contract import Arrays

if TYPE_CHECKING:
    from tasks.prepared import Prepared

THUMBNAIL_SIDE = 16
COMPONENTS = 128


def examples(rows: Prepared) -> list[Arrays]:
    """What the vectoriser takes: the pixels that preparation left."""
    return rows.encoded


def vectoriser() -> Any:
    """Unfitted scikit-learn transformer: N >= 2 rows of pixels, all of one size -> (N, d <= 128) float32."""
    return _Components()


def presence(rows: Prepared, phrases: Sequence[str] | None = None) -> None:
    """None: no words stand in an image."""
    return None


class _Components(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """The main components of thumbnails, on one scale for all places and channels.

    A scale per place would blow up places that hardly vary in the rows it is fitted to, such as a black border, and
    leave rows from elsewhere no chance. Fitted rows have a mean square length of 1, as those of TF-IDF have, so that
    one C of the classifier suits both. Nothing is drawn at random.
    """

    def fit(self, rows: Sequence[Arrays], classes: object = None) -> Self:
        self.fit_transform(rows)
        return self

    def fit_transform(self, rows: Sequence[Arrays], classes: object = None) -> np.ndarray:
        colours = _thumbnails(rows)
        variance = float(colours.var(axis=0).sum())
        self.length_ = np.float32(math.sqrt(variance) if variance > 0 else 1)
        self.components_ = PCA(min(COMPONENTS, *colours.shape), svd_solver="full").fit(colours / self.length_)
        return np.asarray(self.components_.transform(colours / self.length_))

    def transform(self, rows: Sequence[Arrays]) -> np.ndarray:
        return np.asarray(self.components_.transform(_thumbnails(rows) / self.length_))


def _thumbnails(rows: Sequence[Arrays]) -> np.ndarray:
    return np.stack([thumbnail(row["pixels"]) for row in rows]).astype(np.float32)


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Few of an image's colours, from all over it.

    Args:
        pixels: (H * W * 3,) levels in 0..255, row by row.

    Returns:
        (at most 16 * 16 * 3,) levels: means of equal areas if the image is a square, else of places at equal distances
        in reading order, since the sides of any other rectangle cannot be told from their product.
    """
    side = math.isqrt(len(pixels) // 3)
    if side * side * 3 == len(pixels):
        kept = min(side, THUMBNAIL_SIDE)
        image = Image.fromarray(pixels.reshape(side, side, 3))
        return np.asarray(image.resize((kept, kept), Image.Resampling.BOX)).reshape(-1)
    colours = pixels.reshape(-1, 3)
    places = np.linspace(0, len(colours) - 1, min(len(colours), THUMBNAIL_SIDE**2)).astype(int)
    return np.asarray(colours[places].reshape(-1))
