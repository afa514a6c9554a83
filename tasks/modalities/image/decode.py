"""Bytes of an image file -> a checked RGB image -> that image in a model's size; its header is judged before all."""

from __future__ import annotations

import math
import os
import struct
import warnings
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image, ImageFile

from tasks.errors import InputError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
NOT_AN_IMAGE = f"not an image ({', '.join(FORMATS)})"
FLOATING_POINT = "image of floating-point numbers"
CORRUPT = "corrupt or truncated image"

# Formats that begin with more than two letters; WEBP names itself later.
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
# Pillow refuses twice this wherever in a file a size stands; below it our own limit decides, and no warning.
Image.MAX_IMAGE_PIXELS = 2**28
REFUSED_PIXELS = 2 * Image.MAX_IMAGE_PIXELS + 1
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Broken metadata, without the file's name: it changes no pixel.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# A TIFF of any size may be cut from one tile, which is decoded whole.
TILE_WIDTH, TILE_HEIGHT = 322, 323
MAX_TILE_PIXELS = 2**24
GIF_EXTENSION, GIF_FRAME = 0x21, 0x2C
# Of a strip, only what the crop keeps is resized: one pixel wide, it would become gigabytes.
STRIP_TIMES_CROP = 16


@dataclass(frozen=True)
class Header:
    """What a file says of itself.

    Attributes:
        pixels: width x height; `REFUSED_PIXELS` for what would need more memory than Pillow or we ever allow.
        mode: Pillow's name for the kind of pixels, "" where it is not known.
    """

    pixels: int
    mode: str


def header(content: bytes) -> Header | None:
    """Header of an image file, without decoding it; None if there is none of an image of `FORMATS`."""
    if content.startswith((b"GIF87a", b"GIF89a")):
        pixels = _gif_pixels(content)
        return None if pixels is None else Header(min(pixels, REFUSED_PIXELS), "P")
    try:
        image = _open(content)
        tags = getattr(image, "tag_v2", {})
        tile = int(tags.get(TILE_WIDTH, 0)) * int(tags.get(TILE_HEIGHT, 0))
    except Image.DecompressionBombError:
        return Header(REFUSED_PIXELS, "")
    except Exception:  # plugins raise whatever they stumble over
        return None
    if tile > MAX_TILE_PIXELS:
        return Header(REFUSED_PIXELS, "")
    return Header(image.width * image.height, image.mode)


def header_fault(content: bytes, max_pixels: int) -> str | None:
    """Why a file is of no use, told from its header alone, as a reason for the quarantine; None if it may be decoded.

    Args:
        content: the whole file.
        max_pixels: width x height above which it is not decoded, at least 1.
    """
    found = header(content)
    if found is None:
        return CORRUPT if content.startswith(MAGIC) or content[8:12] == b"WEBP" else NOT_AN_IMAGE
    if found.pixels > max_pixels:
        return f"over preparation.image.max_pixels {max_pixels}"
    return FLOATING_POINT if found.mode == "F" else None


def decoding_fault(content: bytes) -> str | None:
    """Why a file without a `header_fault` cannot be decoded; a JPEG is read whole, its pixels at an eighth of the size.

    What no checksum covers, such as a flipped bit inside a JPEG, is not seen by any decoder.
    """
    try:
        _decoded(content, draft=True)
    except Exception:  # plugins raise whatever they stumble over
        return CORRUPT
    return None


def rgb(content: bytes) -> Image.Image:
    """Decode a file without a `header_fault`: upright, in mode RGB.

    As transformers does it: transparency is laid on white, all else is Pillow's own conversion. Only levels of 16 or
    more bits differ: they are scaled to 8 and not clipped.

    Raises:
        InputError: it is truncated or corrupt.
    """
    try:
        return _decoded(content)
    except Exception:  # plugins raise whatever they stumble over
        raise InputError("The image is truncated or corrupt: use a whole one.") from None


def fitted(
    image: Image.Image, resize: dict[str, int] | None, resample: int, crop: tuple[int, int] | None
) -> np.ndarray:
    """Resize, then crop as transformers does: levels (H, W, 3) in 0..255.

    Args:
        image: in mode RGB.
        resize: {"height", "width"} or {"shortest_edge"} and perhaps {"longest_edge"}, in pixels; None keeps the size.
        resample: Pillow's number of the filter.
        crop: (height, width) cut from the middle, or padded with black where the image is smaller; None keeps all.
    """
    levels = np.asarray(image if resize is None else _resized(image, resize, Image.Resampling(resample), crop))
    for axis, length in enumerate(crop or ()):
        levels = _middle(levels, axis, length)
    return levels


def available_cpus() -> int:
    """CPUs that this process may use, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _open(content: bytes) -> ImageFile.ImageFile:
    return Image.open(BytesIO(content), formats=FORMATS)


def _decoded(content: bytes, draft: bool = False) -> Image.Image:
    file = _open(content)
    if draft:
        file.draft(None, (1, 1))
    file.load()
    image = _upright(file)
    if image.mode == "I" or image.mode.startswith("I;16"):
        image = _eight_bits(image)
    elif "A" in image.getbands() or image.info.get("transparency") is not None:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """The picture as it is to be looked at; Pillow has turned a TIFF already."""
    try:
        turn = UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a photo whose metadata is broken is a photo still
        turn = None
    return image if turn is None else image.transpose(turn)


def _eight_bits(image: Image.Image) -> Image.Image:
    """The high byte, as Pillow itself keeps of 16-bit colours; the high one of 31 bits where a level needs over 16."""
    levels = np.maximum(np.asarray(image), 0)
    return Image.fromarray((levels >> (8 if levels.max() <= 0xFFFF else 23)).astype(np.uint8))


def _gif_pixels(content: bytes) -> int | None:
    """Pixels of a GIF's screen with its first frame; Pillow would fill a frame of any size when it opens the file."""
    try:
        width, height, flags = struct.unpack_from("<HHB", content, 6)
        at = 13 + ((6 << (flags & 7)) if flags & 128 else 0)
        while content[at] == GIF_EXTENSION:
            at += 2
            while content[at]:
                at += 1 + content[at]
            at += 1
        kind, left, top, frame_width, frame_height = struct.unpack_from("<B4H", content, at)
    except (IndexError, struct.error):
        return None
    return max(width, left + frame_width) * max(height, top + frame_height) if kind == GIF_FRAME else None


def _resized(
    image: Image.Image, resize: dict[str, int], resample: Image.Resampling, crop: tuple[int, int] | None
) -> Image.Image:
    height, width = _resized_size(image.height, image.width, resize)
    if crop is None or height * width <= STRIP_TIMES_CROP * math.prod(crop):
        return image.resize((width, height), resample)
    kept_height, kept_width = min(height, crop[0]), min(width, crop[1])
    top, left = (height - kept_height) // 2, (width - kept_width) // 2
    down, across = image.height / height, image.width / width
    box = (left * across, top * down, (left + kept_width) * across, (top + kept_height) * down)
    return image.resize((kept_width, kept_height), resample, box=box)


def _resized_size(height: int, width: int, resize: dict[str, int]) -> tuple[int, int]:
    if "height" in resize:
        return resize["height"], resize["width"]
    short, long = sorted((height, width))
    edge, most = resize["shortest_edge"], resize.get("longest_edge")
    exact = float(edge)
    if most and long / short * edge > most:
        exact = most * short / long
        edge = max(1, round(exact))
    other = long if edge == short else int(exact * long / short)
    return (edge, other) if height <= width else (other, edge)


def _middle(levels: np.ndarray, axis: int, length: int) -> np.ndarray:
    """One axis of (H, W, 3) cut to its middle or padded with black; an odd rest goes where transformers puts it."""
    side = levels.shape[axis]
    if side >= length:
        start = (side - length) // 2
        return levels[start : start + length] if axis == 0 else levels[:, start : start + length]
    before = math.ceil((length - side) / 2)
    padding = [(0, 0)] * levels.ndim
    padding[axis] = (before, length - side - before)
    return np.pad(levels, padding)
