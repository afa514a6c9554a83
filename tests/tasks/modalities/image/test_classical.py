"""What a baseline without any network sees of an image."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from tasks.modalities.contract import Arrays
from tasks.modalities.image import classical
from tasks.prepared import Prepared

RANDOM = np.random.default_rng(3)


def rows(count: int, height: int = 32, width: int = 32) -> list[Arrays]:
    return [{"pixels": RANDOM.integers(0, 256, height * width * 3, dtype=np.uint8)} for _ in range(count)]


def halves(count: int, side: int = 40) -> tuple[list[Arrays], np.ndarray]:
    """Images whose class is whether the upper or the lower half is the brighter one, under noise."""
    classes = np.arange(count) % 2
    images = RANDOM.integers(0, 160, (count, side, side, 3))
    for image, upper in zip(images, classes, strict=True):
        image[: side // 2] += 90 * upper
        image[side // 2 :] += 90 * (1 - upper)
    return [{"pixels": image.astype(np.uint8).reshape(-1)} for image in images], classes


def test_the_pixels_of_preparation_are_the_examples() -> None:
    encoded = rows(2)
    prepared = Prepared(["a", "b"], ["train"] * 2, ["a.png", "b.png"], np.array([0, 1]), encoded, ["x", "y"])
    assert classical.examples(prepared) is encoded


def test_a_square_becomes_the_means_of_equal_areas() -> None:
    levels = RANDOM.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    means = levels.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    found = classical.thumbnail(levels.reshape(-1)).reshape(16, 16, 3)
    assert np.abs(found - means).max() <= 1


def test_sides_that_sixteen_does_not_divide_count_every_pixel() -> None:
    levels = np.zeros((37, 37, 3), dtype=np.uint8)
    levels[18, 18] = 255
    assert classical.thumbnail(levels.reshape(-1)).sum() > 0
    assert classical.thumbnail(np.full(37 * 37 * 3, 200, dtype=np.uint8)).tolist() == [200] * 768


def test_a_small_image_stays_as_it_is() -> None:
    levels = RANDOM.integers(0, 256, 9 * 9 * 3, dtype=np.uint8)
    np.testing.assert_array_equal(classical.thumbnail(levels), levels)


def test_any_other_rectangle_is_sampled_from_first_to_last() -> None:
    colours = RANDOM.integers(0, 256, (20 * 30, 3), dtype=np.uint8)
    found = classical.thumbnail(colours.reshape(-1)).reshape(-1, 3)
    assert len(found) == 256
    np.testing.assert_array_equal(found[[0, -1]], colours[[0, -1]])
    tiny = RANDOM.integers(0, 256, 2 * 3 * 3, dtype=np.uint8)
    np.testing.assert_array_equal(classical.thumbnail(tiny), tiny)


@pytest.mark.parametrize(
    ("count", "height", "width", "components"),
    [(200, 32, 32, 128), (20, 32, 32, 20), (200, 5, 5, 75), (150, 20, 30, 128)],
)
def test_features_are_few_and_float32(count: int, height: int, width: int, components: int) -> None:
    found = classical.vectoriser().fit_transform(rows(count, height, width))
    assert found.shape == (count, components) and found.dtype == np.float32
    assert np.isfinite(found).all()


def test_lengths_are_those_of_tf_idf() -> None:
    found = classical.vectoriser().fit_transform(rows(300, 8, 8))
    assert float((found**2).sum(axis=1).mean()) == pytest.approx(1, abs=0.35)


def test_fitting_twice_gives_the_same_bytes() -> None:
    train, test = rows(140), rows(10)
    first, second = classical.vectoriser(), clone(classical.vectoriser())
    np.testing.assert_array_equal(first.fit_transform(train), second.fit(train).transform(train))
    np.testing.assert_array_equal(first.transform(test), second.transform(test))


def test_what_it_learns_comes_from_the_rows_it_is_fitted_to() -> None:
    train, test = rows(30), rows(5)
    fitted = classical.vectoriser().fit(train)
    alone = np.concatenate([fitted.transform([row]) for row in test])
    np.testing.assert_allclose(fitted.transform(test), alone, atol=1e-5)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning:sklearn")
def test_images_all_alike_are_no_division_by_zero() -> None:
    images = rows(1, 16, 16) * 12
    assert np.isfinite(classical.vectoriser().fit_transform(images)).all()


def test_a_border_that_hardly_varied_does_not_drown_what_did() -> None:
    """As where digits on black are asked about digits cut closer."""
    (train, classes), (test, expected) = halves(60, 16), halves(40, 16)
    for images, share, level in ((train, 0.02, 1), (test, 0.5, 60)):
        for row in images:
            row["pixels"].reshape(16, 16, 3)[:, :4] = level * (RANDOM.random((16, 4, 3)) < share)
    vectoriser = classical.vectoriser()
    model = LogisticRegression(C=10.0).fit(vectoriser.fit_transform(train), classes)
    assert model.score(vectoriser.transform(test), expected) > 0.95


def test_a_linear_model_sees_where_an_image_is_bright() -> None:
    train, classes = halves(60)
    test, expected = halves(40)
    vectoriser = classical.vectoriser()
    model = LogisticRegression(C=10.0).fit(vectoriser.fit_transform(train), classes)
    assert model.score(vectoriser.transform(test), expected) > 0.95
