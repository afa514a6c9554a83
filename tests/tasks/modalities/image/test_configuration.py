"""What a model's folder may say of its preparation of images, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import InputError
from tasks.modalities.image.configuration import read

SQUARE = {"height": 24, "width": 24}
PLAIN = {"size": SQUARE, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def model(tmp_path: Path, values: dict[str, Any]) -> Path:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
    return tmp_path


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"do_flip_channel_order": True}, "the key 'do_flip_channel_order', which is not known here"),
        ({"offset": True}, "the key 'offset'"),
        ({"rescale_offset": True}, "the key 'rescale_offset'"),
        ({"include_top": True}, "the key 'include_top'"),
        ({"do_pad": True}, "the key 'do_pad'"),
        ({"size_divisor": 32}, "the key 'size_divisor'"),
        ({"auto_map": {"AutoImageProcessor": "evil.Processor"}}, "the key 'auto_map'"),
        ({"image_processor_type": "LevitImageProcessor"}, "names LevitImageProcessor, whose steps are not known"),
        ({"image_processor_type": "EfficientNetImageProcessorFast"}, "names EfficientNetImageProcessorFast"),
        ({"size": {"shortest_edge": 24}}, "leaves images in different sizes"),
        ({"do_resize": False}, "leaves images in different sizes"),
        ({"size": {"shortest_edge": 24}, "do_center_crop": True}, "has crop_size None"),
        ({"size": {"longest_edge": 24}}, "has size {'longest_edge': 24}"),
        ({"size": None}, "has size None"),
        ({"size": "24"}, "has size '24'"),
        ({"size": {"height": 24, "width": 0}}, "has size 0"),
        ({"size": {"height": 24, "width": 100_000}}, "from 1 to 4096 pixels"),
        ({"size": True}, "has size True"),
        ({"resample": 9}, "has resample 9"),
        ({"resample": None}, "has resample None"),
        ({"image_mean": [0.5]}, "has 1 numbers in image_mean"),
        ({"image_std": [0.5, 0.5, 0]}, "an image_std that is not over 0"),
        ({"image_std": None}, "has image_std None"),
        ({"image_mean": [0.5, float("nan"), 0.5]}, "has image_mean nan"),
        ({"rescale_factor": 0}, "a rescale_factor"),
        ({"crop_pct": 0.9}, "crops by crop_pct without size.shortest_edge"),
        ({"crop_pct": 0.9, "size": {"shortest_edge": 24}, "image_processor_type": "ViTImageProcessor"}, "crop_pct"),
        ({"crop_pct": 2, "size": {"shortest_edge": 24}}, "has crop_pct 2.0"),
        (
            {"crop_pct": 0.9, "size": {"shortest_edge": 24}, "do_center_crop": True, "crop_size": 20},
            "crops twice, by crop_pct and by do_center_crop",
        ),
    ],
)  # fmt: skip
def test_what_would_change_the_pixels_unseen_is_refused(change: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    read(model(tmp_path, PLAIN))
    with pytest.raises(InputError) as found:
        read(model(tmp_path, PLAIN | change))
    (only,) = found.value.sentences
    assert only.startswith(f"preprocessor_config.json of {tmp_path.name} ") and sentence in only and only.endswith(".")


def test_every_unknown_key_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as found:
        read(model(tmp_path, PLAIN | {"b": 1, "a": "x"}))
    assert [sentence.split("'")[1] for sentence in found.value.sentences] == ["a", "b"]


@pytest.mark.parametrize(
    "change",
    [
        {"do_pad": False, "pad_size": SQUARE, "offset": None, "do_flip_channel_order": False},
        {"do_convert_rgb": False, "processor_class": "CLIPProcessor", "_valid_processor_keys": ["images"]},
        {"data_format": "channels_first", "return_tensors": "pt", "device": "cpu", "disable_grouping": True},
        {"do_center_crop": None, "crop_size": {"height": 9, "width": 9}, "do_rescale": None, "do_normalize": None},
    ],
)
def test_keys_that_change_no_pixel_are_accepted(change: dict[str, Any], tmp_path: Path) -> None:
    plain = read(model(tmp_path, PLAIN))
    assert read(model(tmp_path, PLAIN | change)) == plain


@pytest.mark.parametrize("broken", ["{", "[]", "null"])
def test_a_missing_or_broken_configuration(broken: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no preprocessor_config\.json: save its image processor there"):
        read(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(broken)
    with pytest.raises(InputError, match="cannot be read: restore the file"):
        read(tmp_path)
