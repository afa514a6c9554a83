"""A release tells by its bundle which examples it learned from, texts and files."""

from __future__ import annotations

from pathlib import Path

from tasks.bulk.learned import learned_from
from tasks.modalities.image import source as images
from tasks.modalities.image.settings import Settings
from tasks.modalities.text.source import identity
from tasks.runtime import Runtime
from tests.bundles import tiny_bundle


def test_texts_and_files_are_known_as_training_knew_them(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"any bytes")
    [photo] = images.inspect(["photo.png"], tmp_path, Settings.model_construct(max_pixels=100))
    learned = [identity("good text"), identity("other"), photo.id]
    folder = tiny_bundle(tmp_path / "bundle", learned=learned)
    seen = learned_from(folder, Runtime.load(folder, 1))
    assert seen is not None
    asked = ["Good  text", "new", None, b"any bytes", b"others", "other"]
    assert seen(asked) == [True, False, False, True, False, True]


def test_a_bundle_that_does_not_say_so_tells_nothing(tmp_path: Path) -> None:
    folder = tiny_bundle(tmp_path / "bundle")
    assert learned_from(folder, Runtime.load(folder, 1)) is None
