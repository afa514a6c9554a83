"""Files that rows name: what each is, which cannot be used, and how one comes over the wire."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.errors import InputError
from tasks.modalities.image import source
from tasks.modalities.image.settings import Settings

SETTINGS = Settings(max_pixels=10_000)
NOT_AN_IMAGE = "not an image (JPEG, PNG, WEBP, BMP, GIF, TIFF)"


def file(width: int, height: int, colour: int = 0, format_: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (colour % 256, colour // 256, 7)).save(buffer, format_)
    return buffer.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "images").mkdir(parents=True)
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8))
    noise.save(folder / "images/photo.jpg")
    (folder / "images/cut.jpg").write_bytes((folder / "images/photo.jpg").read_bytes()[:-400])
    (folder / "images/plain.png").write_bytes(file(30, 20))
    (folder / "images/copy.png").write_bytes(file(30, 20))
    (folder / "images/large.png").write_bytes(file(101, 100))
    (folder / "images/notes.txt").write_text("no image")
    (folder / "images/empty.png").write_bytes(b"")
    (tmp_path / "outside.png").write_bytes(file(5, 5))
    return folder


def test_each_file_has_its_record_in_order(root: Path) -> None:
    cells = ["photo.jpg", "plain.png", "cut.jpg", "large.png", "notes.txt", "empty.png", "none.png", "copy.png"]
    found = list(source.inspect([f"images/{cell}" for cell in cells], root, SETTINGS))
    assert [(record.size, record.fault) for record in found] == [
        (80 * 60, None),
        (30 * 20, None),
        (80 * 60, "corrupt or truncated image"),
        (101 * 100, "over preparation.image.max_pixels 10000"),
        (0, NOT_AN_IMAGE),
        (0, NOT_AN_IMAGE),
        (0, "no such file"),
        (30 * 20, None),
    ]
    for cell, record in zip(cells, found, strict=True):
        path = root / "images" / cell
        assert len(record.id) == 32
        assert not path.is_file() or record.id == hashlib.sha256(path.read_bytes()).hexdigest()[:32]
    assert found[1].id == found[7].id and len({record.id for record in found}) == 7


def test_the_order_is_kept_whatever_each_takes(root: Path) -> None:
    sizes = [(300 if place % 7 == 0 else 3, place + 1) for place in range(90)]
    for place, (width, height) in enumerate(sizes):
        (root / f"{place}.png").write_bytes(file(width, height, place))
    settings = Settings(max_pixels=2**20)
    found = list(source.inspect([f"{place}.png" for place in range(90)], root, settings))
    assert [record.size for record in found] == [width * height for width, height in sizes]
    assert not any(record.fault for record in found)


class Counted(Sequence[str]):
    """Cells that know how far they were read."""

    def __init__(self, cells: list[str]) -> None:
        self.cells, self.read = cells, 0

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, place):  # type: ignore[no-untyped-def]
        return self.cells[place]

    def __iter__(self) -> Iterator[str]:
        for cell in self.cells:
            self.read += 1
            yield cell


def test_no_more_files_are_begun_than_the_threads_need(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "available_cpus", lambda: 3)
    cells = Counted(["images/plain.png"] * 2_000)
    records = source.inspect(cells, root, SETTINGS)
    for answered in range(1, 50):
        assert next(records).fault is None
        assert cells.read <= answered + 3 * source.LOOK_AHEAD
    records.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "cell",
    [
        "../outside.png",
        "images/../../outside.png",
        "..",
        "images/../..",
        "./../outside.png",
        "/etc/hostname",
        "//x.png",
    ],
)
def test_a_path_never_leads_out(cell: str, root: Path) -> None:
    (record,) = source.inspect([cell], root, SETTINGS)
    assert (record.size, record.fault) == (0, "path leads out of the project")
    with pytest.raises(OSError, match="leads out"):
        source.read(cell, root)


def test_dots_behind_a_link_lead_nowhere_else(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere/deep").mkdir(parents=True)
    (tmp_path / "elsewhere/secret.png").write_bytes(file(4, 4))
    (root / "linked").symlink_to(tmp_path / "elsewhere/deep")
    (record,) = source.inspect(["linked/../secret.png"], root, SETTINGS)
    assert record.fault == "no such file"


def test_what_the_user_linked_into_the_project_is_read(root: Path, tmp_path: Path) -> None:
    (root / "linked.png").symlink_to(tmp_path / "outside.png")
    (root / "here").symlink_to(root / "images")
    linked, below = source.inspect(["linked.png", "here/../here/plain.png"], root, SETTINGS)
    assert (linked.size, linked.fault) == (25, None) and (below.size, below.fault) == (600, None)


def test_what_is_no_file_is_none(root: Path) -> None:
    os.mkfifo(root / "pipe.png")
    cells = ["", ".", "images", "pipe.png", "images/plain.png/x", "a\0b", "/dev/null/x"]
    found = list(source.inspect(cells, root, SETTINGS))
    assert [record.fault for record in found] == [*["no such file"] * 6, "path leads out of the project"]


def test_what_the_system_refuses_is_said(root: Path) -> None:
    (record,) = source.inspect(["x" * 300], root, SETTINGS)
    assert record.fault == "file cannot be read (File name too long)"


def test_a_huge_file_is_not_read(root: Path) -> None:
    with (root / "huge.png").open("wb") as sparse:
        sparse.write(file(3, 3))
        sparse.truncate(source.MAX_FILE_BYTES + 1)
    (record,) = source.inspect(["huge.png"], root, SETTINGS)
    assert (record.size, record.fault) == (0, "file over 64 MB")
    with pytest.raises(OSError, match="over 64 MB"):
        source.read("huge.png", root)


def test_reading_gives_the_bytes(root: Path) -> None:
    assert source.read("images/./plain.png", root) == file(30, 20)
    with pytest.raises(OSError, match="no such file"):
        source.read("images/none.png", root)
    assert (source.UNIT, source.FILES, source.DEFAULT_MODEL) == ("pixels", True, None)


@pytest.mark.parametrize(
    "prefix", ["", "data:image/png;base64,", "data:image/svg+xml;base64,", "DATA:image/JPEG;Base64,"]
)
def test_an_image_comes_in_base64(prefix: str) -> None:
    content = file(6, 7)
    assert source.received(prefix + base64.b64encode(content).decode()) == content


@pytest.mark.parametrize(
    "value",
    [
        "", "data:image/png;base64,", "c2VjcmV0IQ", "c2Vj cmV0IQ==", "c2VjcmV0IQ==\n", "c2VjcmV0IQ===", "-_-_",
        "data:text/plain;base64,c2VjcmV0IQ==", "data:image/png,c2VjcmV0IQ==", " c2VjcmV0IQ==", "sécrét==", "c2Vjc=V0",
    ],
)  # fmt: skip
def test_anything_else_is_refused_and_never_echoed(value: str) -> None:
    with pytest.raises(InputError) as found:
        source.received(value)
    (sentence,) = found.value.sentences
    assert sentence == "An image is not in base64: send the bytes of its file in base64, on one line."
    assert found.value.__context__ is None  # it would hold what was sent
