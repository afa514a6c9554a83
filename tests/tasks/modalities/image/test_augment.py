"""Changed images: mirrored and moved, on the pixels that preparation left."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tasks.modalities.image.augment import FUNCTIONS, closed, flip, opened, shift
from tasks.prepared import Prepared

# Level at (y, x) is 10 y + x, in all channels.
PIXELS = np.repeat((10 * np.arange(8)[:, None] + np.arange(6)).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nothing_happens_at_a_share_of_0(name: str) -> None:
    assert np.array_equal(FUNCTIONS[name](PIXELS, 0.0, np.random.default_rng(0)), PIXELS)


def test_the_share_of_images_is_mirrored() -> None:
    random = np.random.default_rng(0)
    found = [flip(PIXELS, 0.3, random)[0, :, 0].tolist() for _ in range(1000)]
    assert found.count([5, 4, 3, 2, 1, 0]) / 1000 == pytest.approx(0.3, abs=0.05)
    assert found.count([0, 1, 2, 3, 4, 5]) + found.count([5, 4, 3, 2, 1, 0]) == 1000


def test_an_image_moves_by_whole_pixels_and_repeats_its_edge() -> None:
    random = np.random.default_rng(0)
    corners = set()
    for _ in range(300):
        moved = shift(PIXELS, 0.25, random)
        assert moved.shape == PIXELS.shape and moved.dtype == np.uint8
        down, right = 4 - int(moved[4, 3, 0]) // 10, 3 - int(moved[4, 3, 0]) % 10
        expected = PIXELS[np.clip(np.arange(8) - down, 0, 7)][:, np.clip(np.arange(6) - right, 0, 5)]
        assert np.array_equal(moved, expected)
        corners.add((down, right))
    assert corners == {(y, x) for y in (-2, -1, 0, 1, 2) for x in (-1, 0, 1)}, "a quarter of 8 and of 6 pixels"


def test_pixels_go_in_and_out_as_the_encoder_has_them() -> None:
    encoder = SimpleNamespace(recipe=SimpleNamespace(output=(8, 6)))
    data = Prepared(["0"], ["train"], ["a.png"], np.array([0]), [{"pixels": PIXELS.flatten()}], ["a"])
    image = opened(data, 0, encoder)  # type: ignore[arg-type]
    assert np.array_equal(image, PIXELS)
    mirrored = closed(flip(image, 1.0, np.random.default_rng(0)), encoder)["pixels"]  # type: ignore[arg-type]
    assert mirrored.shape == (8 * 6 * 3,) and mirrored[:3].tolist() == [5, 5, 5]
