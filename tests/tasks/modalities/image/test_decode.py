"""Bytes of image files: what is refused from the header, what only decoding reveals, and what the pixels become."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers.image_transforms import convert_to_rgb

from tasks.errors import InputError
from tasks.modalities.image import decode
from tests.memory import forget_peak, peak_kib

LIMIT = 50_000_000
RANDOM = np.random.default_rng(7)
COLOURS = np.kron(RANDOM.integers(0, 256, (9, 13, 3), dtype=np.uint8), np.ones((8, 8, 1), dtype=np.uint8))
SAVED: dict[str, dict[str, Any]] = {
    "JPEG": {}, "PNG": {}, "WEBP": {"lossless": True}, "BMP": {}, "GIF": {}, "TIFF": {"compression": "tiff_lzw"},
}  # fmt: skip


def written(image: Image.Image, format_: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces a size and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    start = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", start) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def gif_with_frame(width: int, height: int) -> bytes:
    """A screen of 10 x 10 whose first frame is larger and to be cleared, which Pillow does on opening."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 10, 10, 0x80, 0, 0) + bytes(6)
    control = b"\x21\xf9\x04" + bytes([2 << 2, 0, 0, 0, 0])
    return screen + control + b"\x2c" + struct.pack("<4HB", 0, 0, width, height, 0) + b"\x02\x00\x3b"


def webp_canvas(side: int) -> bytes:
    content = bytearray(written(Image.new("RGB", (16, 16)), "WEBP", lossless=True))
    bits = int.from_bytes(content[21:25], "little") >> 28 << 28
    content[21:25] = (bits | side - 1 | (side - 1) << 14).to_bytes(4, "little")
    return bytes(content)


def tiff_of_one_tile(side: int) -> bytes:
    """A picture of 16 x 16 cut from one tile."""
    tags = {256: 16, 257: 16, 258: 8, 259: 1, 262: 1, 277: 1, 322: side, 323: side, 324: 200, 325: 256}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return (b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)).ljust(200, b"\0") + bytes(256)


@pytest.mark.parametrize("format_", decode.FORMATS)
def test_a_whole_file_of_each_format_has_no_fault(format_: str) -> None:
    content = written(Image.fromarray(COLOURS), format_, **SAVED[format_])
    found = decode.header(content)
    assert found is not None and found.pixels == 104 * 72
    assert decode.header_fault(content, 104 * 72) is None and decode.decoding_fault(content) is None
    assert decode.rgb(content).mode == "RGB" and decode.rgb(content).size == (104, 72)
    assert decode.header_fault(content, 104 * 72 - 1) == f"over preparation.image.max_pixels {104 * 72 - 1}"


@pytest.mark.parametrize("format_", sorted(set(SAVED) - {"JPEG", "GIF"}))
def test_lossless_formats_give_back_the_very_pixels(format_: str) -> None:
    np.testing.assert_array_equal(decode.rgb(written(Image.fromarray(COLOURS), format_, **SAVED[format_])), COLOURS)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"a text", b"BMW is no bitmap", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7",
        written(Image.new("RGB", (4, 4)), "PPM"), written(Image.new("RGB", (4, 4)), "ICO"),
    ],
)  # fmt: skip
def test_what_is_no_image_of_a_known_format_is_told_from_its_start(content: bytes) -> None:
    assert decode.header(content) is None
    assert decode.header_fault(content, LIMIT) == "not an image (JPEG, PNG, WEBP, BMP, GIF, TIFF)"


@pytest.mark.parametrize(
    "content",
    [
        b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"GIF89a" + bytes(40), b"II*\0", b"RIFF\0\0\0\0WEBPVP8 ",
        png_header(0, 5),
    ],
)  # fmt: skip
def test_what_only_begins_like_an_image_is_corrupt(content: bytes) -> None:
    assert decode.header_fault(content, LIMIT) == "corrupt or truncated image"


@pytest.mark.parametrize(
    "content",
    [
        png_header(10_000, 10_000), png_header(16_000, 16_000), png_header(60_000, 60_000),
        gif_with_frame(13_000, 13_000), gif_with_frame(65_535, 65_535), webp_canvas(16_383), tiff_of_one_tile(30_000),
    ],
    ids=["png", "png over Pillow's limit", "png over twice that", "gif", "largest gif", "webp", "tile of a tiff"],
)  # fmt: skip
def test_a_bomb_is_refused_without_its_memory_and_without_a_warning(content: bytes) -> None:
    decode.header_fault(png_header(1, 1), LIMIT)  # Pillow loads its plugins once
    forget_peak()
    before = peak_kib()
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        assert decode.header_fault(content, LIMIT) == f"over preparation.image.max_pixels {LIMIT}"
    assert peak_kib() - before < 20_000
    assert not shown


def test_the_tile_of_a_common_tiff_is_no_bomb() -> None:
    assert decode.header_fault(tiff_of_one_tile(256), 16 * 16) is None


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("format_", decode.FORMATS)
def test_a_truncated_file_is_found(format_: str, share: float) -> None:
    whole = written(Image.fromarray(COLOURS), format_, **SAVED[format_])
    content = whole[: int(len(whole) * share)]
    fault = decode.header_fault(content, LIMIT) or decode.decoding_fault(content)
    assert fault == "corrupt or truncated image"
    with pytest.raises(InputError, match="truncated or corrupt"):
        decode.rgb(content)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "optimize": True}])
def test_the_draft_of_a_jpeg_misses_nothing_that_decoding_finds(options: dict[str, Any]) -> None:
    whole = written(Image.fromarray(COLOURS), "JPEG", **options)
    start = whole.index(b"\xff\xda")

    def decodes(content: bytes) -> bool:
        try:
            return bool(decode.rgb(content))
        except InputError:
            return False

    for cut in [*range(start, len(whole), 97), *range(len(whole) - 20, len(whole) + 1)]:
        assert (decode.decoding_fault(whole[:cut]) is None) == decodes(whole[:cut]), f"cut at {cut} of {len(whole)}"
    assert decodes(whole) and not decodes(whole[:-3])


def test_corrupt_data_of_a_png_is_found() -> None:
    content = bytearray(written(Image.fromarray(COLOURS), "PNG"))
    content[len(content) // 2] ^= 0xFF
    assert decode.decoding_fault(bytes(content)) == "corrupt or truncated image"


# How the upright picture is stored under each orientation, by the table of the EXIF standard (JEITA CP-3451, 4.6.4 A):
# where the 0th row and the 0th column of the stored picture are seen.
STORED = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: upright.transpose(1, 0, 2),
    6: np.rot90,
    7: lambda upright: np.rot90(upright, 2).transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("format_", ["PNG", "WEBP", "TIFF", "JPEG"])
@pytest.mark.parametrize("orientation", STORED)
def test_an_image_stands_upright(orientation: int, format_: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](COLOURS)))
    options = {"quality": 95, "subsampling": 0} if format_ == "JPEG" else SAVED[format_]
    found = np.asarray(decode.rgb(written(stored, format_, exif=exif.tobytes(), **options)))
    assert found.shape == COLOURS.shape
    tolerance = 40 if format_ == "JPEG" else 0
    assert np.abs(found.astype(int) - COLOURS).max() <= tolerance


def test_broken_metadata_spoils_no_picture() -> None:
    content = written(Image.fromarray(COLOURS), "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert decode.decoding_fault(content) is None
    np.testing.assert_array_equal(decode.rgb(content), COLOURS)


def palette(transparency: bytes | int | None) -> Image.Image:
    image = Image.fromarray(COLOURS).quantize(16)
    if transparency is not None:
        image.info["transparency"] = transparency
    return image


OPACITY = np.tile(np.linspace(0, 255, 104).astype(np.uint8), (72, 1))[..., None]
KINDS = {
    "grey": (Image.fromarray(COLOURS).convert("L"), "PNG"),
    "one bit": (Image.fromarray(COLOURS).convert("1"), "PNG"),
    "palette": (palette(None), "PNG"),
    "palette with a transparent colour": (palette(3), "GIF"),
    "palette with opacities": (palette(bytes(range(0, 256, 16))), "PNG"),
    "rgba": (Image.fromarray(np.concatenate([COLOURS, OPACITY], axis=2)), "PNG"),
    "rgba webp": (Image.fromarray(np.concatenate([COLOURS, OPACITY], axis=2)), "WEBP"),
    "grey with opacity": (Image.fromarray(np.concatenate([COLOURS[..., :1], OPACITY], axis=2)), "PNG"),
    "cmyk": (Image.fromarray(COLOURS).convert("CMYK"), "JPEG"),
    "cmyk tiff": (Image.fromarray(COLOURS).convert("CMYK"), "TIFF"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_mode_becomes_rgb_as_transformers_does_it(kind: str) -> None:
    image, format_ = KINDS[kind]
    content = written(image, format_)
    opened = Image.open(io.BytesIO(content))
    assert decode.header_fault(content, LIMIT) is None and decode.decoding_fault(content) is None
    np.testing.assert_array_equal(decode.rgb(content), convert_to_rgb(opened, return_numpy=True))
    if "A" not in opened.getbands() and opened.info.get("transparency") is None:
        np.testing.assert_array_equal(decode.rgb(content), np.asarray(opened.convert("RGB")))


def test_what_is_transparent_is_white_whatever_colour_hides_there() -> None:
    hidden = Image.new("RGBA", (5, 4), (200, 0, 0, 0))
    assert np.asarray(decode.rgb(written(hidden, "PNG"))).min() == 255


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    levels = np.linspace(0, 65_535, 256).astype(np.uint16).reshape(16, 16)
    for format_ in ("PNG", "TIFF"):
        content = written(Image.fromarray(levels), format_)
        assert Image.open(io.BytesIO(content)).mode.startswith("I")
        assert decode.decoding_fault(content) is None
        expected = np.repeat((levels >> 8).astype(np.uint8)[..., None], 3, axis=2)
        np.testing.assert_array_equal(decode.rgb(content), expected)
        assert (np.asarray(decode.rgb(content)).min(), np.asarray(decode.rgb(content)).max()) == (0, 255)


def test_sixteen_bits_of_the_other_byte_order_are_the_same() -> None:
    levels = np.linspace(0, 65_535, 256).astype(np.uint16).reshape(16, 16)
    tags = {256: 16, 257: 16, 258: 16, 259: 1, 262: 1, 273: 200, 274: 6, 277: 1, 278: 16, 279: 512}
    entries = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = (b"MM\0*" + struct.pack(">IH", 8, len(tags)) + entries + bytes(4)).ljust(200, b"\0")
    content = head + levels.astype(">u2").tobytes()
    assert Image.open(io.BytesIO(content)).mode == "I;16B"
    expected = np.rot90((levels >> 8).astype(np.uint8), -1)
    np.testing.assert_array_equal(np.asarray(decode.rgb(content))[..., 0], expected)


@pytest.mark.parametrize(("top", "shift"), [(65_535, 8), (2**31 - 1, 23)])
def test_wider_integers_are_scaled_by_what_they_need(top: int, shift: int) -> None:
    levels = np.linspace(0, top, 256).astype(np.int32).reshape(16, 16)
    content = written(Image.fromarray(levels), "TIFF")
    assert Image.open(io.BytesIO(content)).mode == "I"
    np.testing.assert_array_equal(np.asarray(decode.rgb(content))[..., 1], levels >> shift)


def test_floating_point_numbers_have_no_known_white() -> None:
    content = written(Image.fromarray(np.ones((4, 4), dtype=np.float32)), "TIFF")
    assert decode.header_fault(content, LIMIT) == "image of floating-point numbers"


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (6, 5), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    for format_, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})):
        content = written(frames[0], format_, save_all=True, append_images=frames[1:], **options)
        assert Image.open(io.BytesIO(content)).n_frames == 2  # type: ignore[attr-defined]
        assert decode.header_fault(content, 30) is None and decode.decoding_fault(content) is None
        assert decode.rgb(content).getpixel((2, 2)) == (255, 0, 0)
