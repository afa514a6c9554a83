"""A model's preprocessor_config.json -> the steps that prepare an image for it, or a refusal that names the key."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from tasks.errors import InputError

CONFIG = "preprocessor_config.json"
MAX_SIDE = 4096


@dataclass(frozen=True)
class Recipe:
    """The steps from an RGB image to a model's input, in this order.

    Attributes:
        resize: {"height", "width"} or {"shortest_edge"} and perhaps {"longest_edge"}, in pixels; None keeps the size.
        resample: Pillow's number of the filter that resizes.
        crop: (height, width) cut from the middle, or padded with black on all sides; None keeps all.
        scale: per channel, what a level in 0..255 is multiplied by.
        shift: per channel, what is then added.
    """

    resize: dict[str, int] | None
    resample: int
    crop: tuple[int, int] | None
    scale: tuple[float, ...]
    shift: tuple[float, ...]

    @property
    def output(self) -> tuple[int, int]:
        """(height, width) of every prepared image."""
        if self.crop:
            return self.crop
        assert self.resize, "a recipe without a fixed size"
        return self.resize["height"], self.resize["width"]


class Family(NamedTuple):
    """What an image processor of transformers does where its configuration says nothing."""

    resample: int | None
    crop: bool
    square: bool  # a size that is one number means a square, and not the shortest edge


BILINEAR, BICUBIC = int(Image.Resampling.BILINEAR), int(Image.Resampling.BICUBIC)
# Those that resize, crop, rescale and normalise, and nothing else. Others do more without a key that says so.
FAMILIES = {
    "ViT": Family(BILINEAR, crop=False, square=True),
    "DeiT": Family(BICUBIC, crop=True, square=True),
    **dict.fromkeys(("Beit", "Blip", "Pvt"), Family(BICUBIC, crop=False, square=True)),
    **dict.fromkeys(("ConvNext", "Siglip"), Family(BICUBIC, crop=False, square=False)),
    **dict.fromkeys(("Bit", "CLIP", "ChineseCLIP"), Family(BICUBIC, crop=True, square=False)),
    **dict.fromkeys(("MobileNetV1", "MobileNetV2"), Family(BILINEAR, crop=True, square=False)),
}
UNNAMED = Family(None, crop=False, square=True)
KIND = re.compile(r"(ImageProcessor(Fast|Pil)?|FeatureExtractor)$")
READ = {
    "do_resize", "size", "default_to_square", "resample", "crop_pct", "do_center_crop", "crop_size", "do_rescale",
    "rescale_factor", "do_normalize", "image_mean", "image_std", "image_processor_type", "feature_extractor_type",
}  # fmt: skip
# They change no pixel. Images become RGB whatever `do_convert_rgb` says: a model has three input channels.
HARMLESS = {
    "do_convert_rgb", "processor_class", "_valid_processor_keys", "_valid_kwargs_names", "data_format",
    "input_data_format", "return_tensors", "device", "disable_grouping", "use_fast", "pad_size", "do_reduce_labels",
    "reduce_labels", "image_seq_length", "transformers_version", "name_or_path", "_name_or_path", "model_input_names",
}  # fmt: skip
# Above this, ConvNeXT's processor resizes to a square and crops nothing.
CONVNEXT_SQUARE_FROM, CONVNEXT_CROP = 384, 224 / 256


class _Configuration:
    """A preprocessor_config.json, read as transformers reads it: null means the family's own default."""

    def __init__(self, values: dict[str, Any], folder: str) -> None:
        self._values = {key: value for key, value in values.items() if value is not None}
        self._where = f"{CONFIG} of {folder}"
        self._refuse_unknown()
        type_ = self._values.get("image_processor_type", self._values.get("feature_extractor_type", ""))
        self._kind = KIND.sub("", str(type_))
        if self._kind and self._kind not in FAMILIES:
            raise self._fault(
                f"names {type_}, whose steps are not known here: choose a model with one of {', '.join(FAMILIES)}, or "
                "write ViTImageProcessor and every key there if it only resizes, crops, rescales and normalises"
            )
        self._family = FAMILIES.get(self._kind, UNNAMED)

    def recipe(self) -> Recipe:
        resize, crop = self._size() if self._flag("do_resize", True) else None, None
        if resize and (self._kind == "ConvNext" or "crop_pct" in self._values):
            resize, crop = self._convnext(resize)
        if self._flag("do_center_crop", self._family.crop):
            if crop:
                raise self._fault("crops twice, by crop_pct and by do_center_crop: set do_center_crop to false")
            crop = self._sides("crop_size", self._values.get("crop_size"))
        if crop is None and "height" not in (resize or {}):
            raise self._fault("leaves images in different sizes: set do_center_crop to true and crop_size")
        scale, shift = self._affine()
        return Recipe(resize, self._resample() if resize else BILINEAR, crop, scale, shift)

    def _refuse_unknown(self) -> None:
        unknown = [key for key, value in self._values.items() if key not in READ | HARMLESS and value is not False]
        if unknown:
            raise InputError([
                f"{self._where} has the key {key!r}, which is not known here and may change the pixels: choose another "
                "model, or set it to null if it does not."
                for key in sorted(unknown)
            ])  # fmt: skip

    def _size(self) -> dict[str, int]:
        size = self._values.get("size")
        if isinstance(size, dict) and set(size) in ({"shortest_edge"}, {"shortest_edge", "longest_edge"}):
            return {key: self._side(f"size.{key}", value) for key, value in size.items()}
        if isinstance(size, int) and not self._flag("default_to_square", self._family.square):
            return {"shortest_edge": self._side("size", size)}
        height, width = self._sides("size", size)
        return {"height": height, "width": width}

    def _convnext(self, resize: dict[str, int]) -> tuple[dict[str, int], tuple[int, int] | None]:
        if set(resize) != {"shortest_edge"} or self._kind not in ("ConvNext", ""):
            raise self._fault("crops by crop_pct without size.shortest_edge or ConvNextImageProcessor: correct these")
        edge, share = resize["shortest_edge"], self._number("crop_pct", self._values.get("crop_pct", CONVNEXT_CROP))
        if edge >= CONVNEXT_SQUARE_FROM:
            return {"height": edge, "width": edge}, None
        if not 0 < share <= 1:
            raise self._fault(f"has crop_pct {share}: write a share over 0 and up to 1")
        return {"shortest_edge": int(edge / share)}, (edge, edge)

    def _affine(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(level x factor - mean) / std, folded: scale and shift per channel."""
        factor: float = 1
        means: tuple[float, ...] = (0, 0, 0)
        deviations: tuple[float, ...] = (1, 1, 1)
        if self._flag("do_rescale", True):
            factor = self._number("rescale_factor", self._values.get("rescale_factor", 1 / 255))
        if self._flag("do_normalize", True):
            means, deviations = self._channels("image_mean"), self._channels("image_std")
        if factor <= 0 or min(deviations) <= 0:
            raise self._fault("has a rescale_factor or an image_std that is not over 0: correct it")
        scale = tuple(factor / deviation for deviation in deviations)
        return scale, tuple(-mean / deviation for mean, deviation in zip(means, deviations, strict=True))

    def _channels(self, key: str) -> tuple[float, ...]:
        value = self._values.get(key)
        values = value if isinstance(value, list) else [value] * 3
        if len(values) != 3:
            raise self._fault(f"has {len(values)} numbers in {key}: write one for each of three channels")
        return tuple(self._number(key, number) for number in values)

    def _resample(self) -> int:
        value = self._values.get("resample", self._family.resample)
        if isinstance(value, bool) or value not in list(Image.Resampling):
            raise self._fault(f"has resample {value!r}: write a number of Pillow's, such as {BILINEAR} for bilinear")
        return int(value)

    def _sides(self, key: str, value: Any) -> tuple[int, int]:
        """(height, width) of a size in any form that has both."""
        if isinstance(value, dict) and set(value) == {"height", "width"}:
            value = [value["height"], value["width"]]
        pair = value if isinstance(value, list) and len(value) == 2 else [value, value]
        return self._side(key, pair[0]), self._side(key, pair[1])

    def _side(self, key: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_SIDE:
            raise self._fault(f"has {key} {value!r}: write height and width there, from 1 to {MAX_SIDE} pixels")
        return value

    def _number(self, key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self._fault(f"has {key} {value!r}: write a number")
        return float(value)

    def _flag(self, key: str, default: bool) -> bool:
        return bool(self._values.get(key, default))

    def _fault(self, what: str) -> InputError:
        return InputError(f"{self._where} {what}.")


def read(folder: Path) -> Recipe:
    """Recipe of a model folder.

    Raises:
        InputError: no preprocessor_config.json, or one that asks for what is not done here.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise InputError(
            f"The model folder {folder.name} holds no {CONFIG}: save its image processor there "
            "with AutoImageProcessor.from_pretrained(...).save_pretrained(...)."
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise InputError(f"{CONFIG} of {folder.name} cannot be read: restore the file.")
    return _Configuration(values, folder.name).recipe()
