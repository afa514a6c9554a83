"""A bundle that does not answer its fixed example as when it was made is not loaded."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from tasks import modalities
from tasks.errors import InputError
from tasks.known_answer import FILE, check, example_of
from tasks.manifest import MAX_MANIFEST_BYTES, read_manifest
from tasks.modalities import MODALITIES
from tasks.runtime import Runtime
from tests.bundles import REFERENCE, tiny_bundle, tiny_image_bundle, with_known_answer, write_manifest

BUNDLES = {"text": tiny_bundle, "image": tiny_image_bundle}
ONE, TWO = np.array([[1.0, 2.0]]), np.zeros((1, 2))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "bundle")


def refusal(bundle: Path) -> str:
    with pytest.raises(InputError) as caught:
        Runtime.load(bundle, threads=1)
    sentence = str(caught.value)
    assert sentence.startswith("Bundle bundle: ") and sentence.endswith("`graft run`.") and "\n" not in sentence
    return sentence


@pytest.mark.parametrize("off", [0.0, 0.9e-4, -0.9e-4])
def test_a_bundle_that_answers_as_it_did_is_loaded(bundle: Path, off: float) -> None:
    Runtime.load(with_known_answer(bundle, logits=[8 / 3 + off, 4 / 3]), threads=1)


def test_numbers_that_are_written_as_texts_are_numbers(bundle: Path) -> None:
    assert "otherwise than when it was made" in refusal(with_known_answer(bundle, logits=["1", "2"]))


def test_other_logits_of_a_float32_graph_are_refused(bundle: Path) -> None:
    sentence = refusal(with_known_answer(bundle, logits=[8 / 3, 4 / 3 - 0.01]))
    assert "model.onnx answers a fixed example otherwise than when it was made, by 0.01 in a logit" in sentence
    assert "over 0.0001" in sentence


@pytest.mark.parametrize(
    ("logits", "tolerance", "loaded"),
    [
        ([30.0, -20.0], 0.5, True),  # the same label, from a CPU with other kernels
        ([0.0, 1.1], 0.5, False),
        ([0.0, 0.9], 0.5, True),  # not clear
        ([0.0, 1.1], 0.6, True),
    ],
)
def test_of_a_graph_in_fewer_bits_a_clear_label_is_held_to(
    bundle: Path, logits: list[float], tolerance: float, loaded: bool
) -> None:
    with_known_answer(bundle, logits=logits, tolerance=tolerance, exact=False)
    if loaded:
        Runtime.load(bundle, threads=1)
    else:
        assert "with another label than when it was made" in refusal(bundle)


def test_a_single_label_leads_before_none(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", head=np.ones((2, 1), dtype=np.float32), labels=["one"])
    Runtime.load(with_known_answer(bundle, {"labels": ["one"]}, logits=[1.0]), threads=1)


@pytest.mark.parametrize("known", [False, True])
def test_numbers_that_are_not_finite_are_refused_of_older_bundles_too(tmp_path: Path, known: bool) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", np.array([[np.inf, 0], [0, 4]], dtype=np.float32))
    assert "answers a fixed example with a number that is not finite" in refusal(
        with_known_answer(bundle) if known else bundle
    )


@pytest.mark.parametrize(
    ("logits", "pooled", "reason"),
    [
        (np.zeros((1, 3)), TWO, "with logits of shape (1, 3) for 2 labels"),
        (np.zeros((2, 2)), TWO, "with logits of shape (2, 2) for 2 labels"),
        (ONE, np.zeros(2), "with logits of shape"),
        (np.array([[np.nan, 0]]), TWO, "not finite"),
        (ONE, np.array([[0, np.inf]]), "not finite"),
    ],
)
def test_numbers_of_another_shape_or_none_are_refused(
    bundle: Path, logits: np.ndarray, pooled: np.ndarray, reason: str
) -> None:
    manifest = read_manifest(bundle)
    check(bundle, manifest, lambda _: (ONE, TWO))
    with pytest.raises(InputError) as caught:
        check(bundle, manifest, lambda _: (logits, pooled))
    assert reason in str(caught.value)


def test_a_graph_that_cannot_answer_is_refused(bundle: Path) -> None:
    def ask(_: str) -> Any:
        raise RuntimeError("deep inside")

    with pytest.raises(InputError, match=r"model\.onnx cannot answer a fixed example \(RuntimeError\)"):
        check(bundle, read_manifest(bundle), ask)


def test_a_drift_reference_of_another_width_is_refused(bundle: Path) -> None:
    wide = replace(REFERENCE, projection=np.ones((3, 2), dtype=np.float32), offset=np.zeros(3, dtype=np.float32))
    wide.save(bundle / "drift.npz")
    write_manifest(bundle)
    assert "cannot answer a fixed example (ValueError)" in refusal(bundle)


@pytest.mark.parametrize(
    "change",
    [
        {"example": 3},
        {"logits": [1.0]},
        {"logits": [1.0, float("nan")]},
        {"logits": "12"},
        {"exact": 1},
        {"tolerance": -1.0},
        {"tolerance": float("inf")},
        {"tolerance": "1"},
        {"more": 1},
        {"example": "x" * MAX_MANIFEST_BYTES},
    ],
)
def test_a_known_answer_that_cannot_be_meant_is_refused(bundle: Path, change: dict[str, Any]) -> None:
    assert "its known_answer.json cannot be used" in refusal(with_known_answer(bundle, **change))


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b"[" * 100_000])
def test_a_known_answer_that_is_none_is_refused(bundle: Path, content: bytes) -> None:
    (bundle / FILE).write_bytes(content)
    write_manifest(bundle)
    assert "its known_answer.json cannot be used" in refusal(bundle)


def test_every_modality_has_an_example_that_any_bundle_can_answer(tmp_path: Path) -> None:
    assert BUNDLES.keys() == MODALITIES.keys()
    for modality, write in BUNDLES.items():
        runtime = Runtime.load(write(tmp_path / modality), threads=1)
        logits, pooled = runtime.asked(example_of(modality))
        assert logits.shape == (1, 2) and np.isfinite(pooled).all()


def test_a_limit_on_characters_keeps_no_bundle_from_its_example(bundle: Path) -> None:
    path = bundle / "encoder/encoder.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"max_characters": 1}))
    write_manifest(bundle)
    Runtime.load(bundle, threads=1)


def test_the_example_of_images_is_within_the_least_limit_and_has_a_gradient_in_each_channel() -> None:
    content = modalities.part("image", "source").received(example_of("image"))
    levels = np.asarray(Image.open(BytesIO(content)).convert("RGB")).astype(int)
    assert levels.shape == (8, 8, 3)
    least = modalities.part("image", "settings").Settings
    assert least(max_pixels=64).max_pixels == 64
    with pytest.raises(ValidationError):
        least(max_pixels=63)
    assert (np.diff(levels[..., 0], axis=1) > 0).all() and (np.diff(levels[..., 1], axis=0) > 0).all()
    assert (np.diff(levels[..., 2], axis=0) < 0).all() and (np.diff(levels[..., 2], axis=1) < 0).all()
