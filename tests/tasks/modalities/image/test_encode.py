"""Pixels as the model's own processor makes them."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zlib
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.errors import InputError
from tasks.modalities.image import configuration, decode, encode
from tasks.modalities.image.settings import Settings
from tests.memory import forget_peak, peak_kib

SETTINGS = Settings(max_pixels=1_000_000)
RANDOM = np.random.default_rng(5)
STEP = 1 / 255
SQUARE = {"height": 24, "width": 24}
PLAIN = {"size": SQUARE, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def processor(name: str) -> Any:
    module = {"CLIP": "clip", "ChineseCLIP": "chinese_clip", "ViT": "vit", "DeiT": "deit", "ConvNext": "convnext"}.get(
        name, name.lower().replace("netv", "net_v")
    )
    return getattr(
        import_module(f"transformers.models.{module}.image_processing_pil_{module}"), f"{name}ImageProcessorPil"
    )


def file(image: Image.Image, format_: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def picture(width: int, height: int, mode: str = "RGB") -> bytes:
    """Random patches, so that resizing has edges and areas to be wrong about."""
    patches = RANDOM.integers(0, 256, (height // 5 + 1, width // 5 + 1, 4), dtype=np.uint8)
    levels = np.ascontiguousarray(np.kron(patches, np.ones((5, 5, 1), dtype=np.uint8))[:height, :width])
    image = Image.fromarray(levels)
    return file(image if mode == "RGBA" else image.convert("RGB").quantize(16) if mode == "P" else image.convert(mode))


IMAGES = {
    "landscape": picture(71, 43), "portrait": picture(37, 90), "square": picture(51, 51), "exact": picture(32, 24),
    "small": picture(9, 7), "narrow": picture(61, 13), "large": picture(333, 257), "grey": picture(45, 67, "L"),
    "palette": picture(50, 33, "P"), "rgba": picture(33, 50, "RGBA"), "one bit": picture(64, 47, "1"),
}  # fmt: skip


def model(tmp_path: Path, values: dict[str, Any]) -> Path:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
    return tmp_path


def theirs(processor_: Any, contents: list[bytes]) -> np.ndarray:
    images = [Image.open(io.BytesIO(content)) for content in contents]
    return np.concatenate(
        [processor_(images=image, do_convert_rgb=True, return_tensors="np")["pixel_values"] for image in images]
    )


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "ViT": ("ViT", {"size": SQUARE}),
    "ViT, a rectangle": ("ViT", {"size": {"height": 20, "width": 33}}),
    "ViT, old form": ("ViT", {"size": 24}),
    "ViT, old form of a rectangle": ("ViT", {"size": [20, 33]}),
    "ViT, nearest": ("ViT", {"size": SQUARE, "resample": 0}),
    "ViT, lanczos": ("ViT", {"size": SQUARE, "resample": 1}),
    "ViT, not normalised": ("ViT", {"size": SQUARE, "do_normalize": False}),
    "ViT, not rescaled": ("ViT", {"size": SQUARE, "do_rescale": False}),
    "ViT, other factor": ("ViT", {"size": SQUARE, "rescale_factor": 1 / 127.5, "image_mean": 1.0, "image_std": 1.0}),
    "ViT, cropped alone": ("ViT", {"do_resize": False, "do_center_crop": True, "crop_size": [21, 30]}),
    "DeiT": ("DeiT", {"size": {"height": 29, "width": 29}, "crop_size": SQUARE}),
    "DeiT, crop over size": ("DeiT", {"size": {"height": 20, "width": 27}, "crop_size": {"height": 25, "width": 25}}),
    "Beit": ("Beit", {"size": SQUARE, "do_reduce_labels": True}),
    "Siglip": ("Siglip", {"size": SQUARE}),
    "Bit": ("Bit", {"size": {"shortest_edge": 27}, "crop_size": SQUARE}),
    "Bit, crop over size": ("Bit", {"size": {"shortest_edge": 22}, "crop_size": {"height": 31, "width": 25}}),
    "Bit, longest edge": ("Bit", {"size": {"shortest_edge": 27, "longest_edge": 40}, "crop_size": SQUARE}),
    "CLIP, old form": ("CLIP", {"size": 24, "crop_size": 24}),
    "CLIP, old form, square": ("CLIP", {"size": 27, "crop_size": 24, "default_to_square": True}),
    "ConvNext, cropped": ("ConvNext", {"size": {"shortest_edge": 32}, "crop_pct": 0.875}),
    "ConvNext, default crop": ("ConvNext", {"size": {"shortest_edge": 31}}),
    "ConvNext, square": ("ConvNext", {"size": {"shortest_edge": 384}, "crop_pct": 0.875}),
    "MobileNetV1": ("MobileNetV1", {"size": {"shortest_edge": 27}, "crop_size": SQUARE}),
    "MobileNetV1, not cropped": ("MobileNetV1", {"size": SQUARE, "do_center_crop": False}),
    "MobileNetV2": ("MobileNetV2", {"size": {"shortest_edge": 33}, "crop_size": {"height": 24, "width": 31}}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_pixels_equal_those_of_the_model_s_own_processor(case: str, tmp_path: Path) -> None:
    name, options = CASES[case]
    own = processor(name)(**options)
    own.save_pretrained(tmp_path)
    encoder = encode.from_model(tmp_path, SETTINGS)
    contents = list(IMAGES.values())
    found = encoder.collate(encoder.encode(contents))["pixel_values"]
    expected = theirs(own, contents)
    assert found.shape == expected.shape and found.dtype == np.float32 and found.flags.c_contiguous
    # Far under 1/255 of an input level, which is 1/255/std after the normalisation: no pixel is resampled otherwise.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=STEP / 100)


@pytest.mark.parametrize("case", ["ViT, old form", "CLIP, old form", "ConvNext, default crop", "DeiT"])
def test_old_configurations_that_say_little_mean_the_same(case: str, tmp_path: Path) -> None:
    name, options = CASES[case]
    values = {
        "feature_extractor_type": f"{name}FeatureExtractor",
        "image_mean": [0.4, 0.5, 0.6],
        "image_std": [0.2] * 3,
    }
    own = processor(name)(**options, image_mean=values["image_mean"], image_std=values["image_std"])
    encoder = encode.from_model(model(tmp_path, values | options), SETTINGS)
    contents = list(IMAGES.values())
    found = encoder.collate(encoder.encode(contents))["pixel_values"]
    np.testing.assert_allclose(found, theirs(own, contents), rtol=1e-5, atol=STEP / 100)


@pytest.mark.parametrize("name", configuration.FAMILIES)
def test_defaults_are_those_of_transformers(name: str) -> None:
    own, family = processor(name), configuration.FAMILIES[name]
    assert (int(own.resample), bool(getattr(own, "do_center_crop", False)), own.default_to_square) == family
    assert own.do_resize and own.do_rescale and own.do_normalize and own.rescale_factor == 1 / 255
    # Overridden steps would do more than their configuration says.
    steps = {"resize", "center_crop", "rescale", "normalize", "process_image", "pad"} & set(vars(own))
    assert steps == ({"resize"} if name == "ConvNext" else set())


@pytest.mark.parametrize(("width", "height"), [(3, 700), (700, 3), (5, 1999)])
def test_a_strip_is_resized_where_the_crop_keeps_it(width: int, height: int, tmp_path: Path) -> None:
    own = processor("Bit")(size={"shortest_edge": 27}, crop_size=SQUARE)
    own.save_pretrained(tmp_path)
    encoder = encode.from_model(tmp_path, SETTINGS)
    content = picture(width, height)
    found = encoder.collate(encoder.encode([content]))["pixel_values"]
    deviation = np.reshape(own.image_std, (3, 1, 1))
    assert (np.abs(found - theirs(own, [content])) * deviation).max() <= STEP * 1.001


def test_a_line_of_pixels_needs_no_gigabytes(tmp_path: Path) -> None:
    values = PLAIN | {"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": 224}
    encoder = encode.from_model(model(tmp_path, values), SETTINGS)
    forget_peak()
    before = peak_kib()
    (row,) = encoder.encode([file(Image.new("RGB", (1, 900_000), (9, 8, 7)), "TIFF")])
    assert np.array_equal(row["pixels"].reshape(-1, 3), np.tile([9, 8, 7], (224 * 224, 1)))
    assert peak_kib() - before < 100_000  # 256 columns would be 60 GB


def test_a_row_is_flat_bytes_of_its_own_in_reading_order(tmp_path: Path) -> None:
    levels = RANDOM.integers(0, 256, (40, 24, 3), dtype=np.uint8)
    values = PLAIN | {"do_resize": False, "do_center_crop": True, "crop_size": 24}
    encoder = encode.from_model(model(tmp_path, values), SETTINGS)
    (row,) = encoder.encode([file(Image.fromarray(levels))])
    assert row["pixels"].dtype == np.uint8 and row["pixels"].base is None
    np.testing.assert_array_equal(row["pixels"], levels[8:32].reshape(-1))
    batch = encoder.collate([row, row])["pixel_values"]
    np.testing.assert_allclose(batch[1], levels[8:32].transpose(2, 0, 1) / 127.5 - 1, atol=1e-6)
    assert encoder.inputs == ("pixel_values",) and encoder.unit == "patches of 16 x 16 pixels" and not encoder.ragged


def test_an_image_is_turned_upright_before_it_is_resized(tmp_path: Path) -> None:
    encoder = encode.from_model(model(tmp_path, PLAIN | {"size": {"height": 30, "width": 20}}), SETTINGS)
    upright = Image.open(io.BytesIO(IMAGES["portrait"]))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    turned = file(upright.transpose(Image.Transpose.ROTATE_90), exif=exif.tobytes())
    first, second = encoder.encode([IMAGES["portrait"], turned])
    np.testing.assert_array_equal(first["pixels"], second["pixels"])


def test_many_threads_and_one_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = encode.from_model(model(tmp_path, PLAIN), SETTINGS)
    contents = list(IMAGES.values()) * 5
    encoded = []
    for cpus in (1, 8):
        monkeypatch.setattr(decode, "available_cpus", lambda cpus=cpus: cpus)
        encoded.append(encoder.encode(contents))
    assert len(encoded[0]) == len(contents) and encoder.encode([]) == []
    for single, threaded in zip(*encoded, strict=True):
        np.testing.assert_array_equal(single["pixels"], threaded["pixels"])


@pytest.mark.parametrize("case", ["ViT", "Bit, longest edge", "ConvNext, cropped", "ViT, cropped alone"])
def test_a_bundle_encodes_like_the_model(case: str, tmp_path: Path) -> None:
    name, options = CASES[case]
    processor(name)(**options).save_pretrained(tmp_path)
    first = encode.from_model(tmp_path, SETTINGS)
    first.save(tmp_path / "encoder")
    second = encode.from_bundle(tmp_path / "encoder")
    assert (second.recipe, second.max_pixels) == (first.recipe, 1_000_000)
    contents = list(IMAGES.values())
    for a, b in zip(first.encode(contents), second.encode(contents), strict=True):
        np.testing.assert_array_equal(a["pixels"], b["pixels"])
    rows = first.encode(contents)
    np.testing.assert_array_equal(first.collate(rows)["pixel_values"], second.collate(rows)["pixel_values"])


@pytest.mark.parametrize(("side", "patches"), [(224, 196), (32, 4), (20, 1), (8, 1)])
def test_positions_are_patches_of_the_prepared_image(side: int, patches: int, tmp_path: Path) -> None:
    encoder = encode.from_model(model(tmp_path, PLAIN | {"size": side}), SETTINGS)
    rows = encoder.encode([IMAGES["small"], IMAGES["large"]])
    assert [encoder.positions(row) for row in rows] == [patches, patches]
    assert encoder.truncated([IMAGES["large"]]) is None


def announced(width: int, height: int) -> bytes:
    start = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + start + struct.pack(">I", zlib.crc32(start)) + bytes(4) + b"IDAT"
    )


@pytest.mark.parametrize(
    ("example", "fault"),
    [
        ("a text", "is not a file: send a JPEG, PNG, WEBP, BMP, GIF or TIFF file"),
        (b"a text", "is not an image: send a JPEG, PNG, WEBP, BMP, GIF or TIFF file"),
        (b"", "is not an image: send a JPEG, PNG, WEBP, BMP, GIF or TIFF file"),
        (b"\x89PNG\r\n\x1a\n", "is a truncated or corrupt image: send a whole one"),
        (announced(10_000, 10_000), "has more than 1000000 pixels: send a smaller image"),
        (
            file(Image.fromarray(np.ones((3, 3), dtype=np.float32)), "TIFF"),
            "is an image of floating-point numbers: send one with 8 or 16 bits per channel",
        ),
    ],
    ids=["text", "bytes of a text", "empty", "start of a file", "bomb", "floating point"],
)
def test_a_fault_says_what_to_send_and_stops_the_encoding(example: Any, fault: str, tmp_path: Path) -> None:
    encoder = encode.from_model(model(tmp_path, PLAIN), SETTINGS)
    assert encoder.fault(example) == fault and encoder.fault(IMAGES["rgba"]) is None
    with pytest.raises(InputError) as found:
        encoder.encode([IMAGES["grey"], example])
    assert found.value.sentences == [f"Example 2 {fault}."]


@pytest.mark.parametrize("cpus", [1, 4])
def test_what_only_decoding_reveals_names_the_example(
    cpus: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "available_cpus", lambda: cpus)
    encoder = encode.from_model(model(tmp_path, PLAIN), SETTINGS)
    cut = file(Image.open(io.BytesIO(IMAGES["large"])), "JPEG")[:-500]
    assert encoder.fault(cut) is None
    with pytest.raises(InputError) as found:
        encoder.encode([IMAGES["grey"], IMAGES["grey"], cut, IMAGES["grey"]])
    assert found.value.sentences == ["Example 3 is a truncated or corrupt image: send a whole one."]


def test_the_encoder_and_the_source_need_no_heavy_library() -> None:
    code = (
        "import sys, tasks.modalities.image.encode, tasks.modalities.image.source; "
        "print(sorted({'torch', 'transformers', 'sklearn', 'datasets', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
