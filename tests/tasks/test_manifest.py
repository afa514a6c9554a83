"""A bundle is loaded only if every byte is the one that its manifest speaks of."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import InputError
from tasks.manifest import MAX_MANIFEST_BYTES, check_bundle, read_manifest
from tests.bundles import HEAD, LABELS, flip_byte, tiny_bundle, write_manifest

FILES = ["card.md", "drift.npz", "encoder/encoder.json", "encoder/tokenizer.json", "model.onnx"]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "bundle")


def refusal(bundle: Path, version: str | None = None) -> str:
    with pytest.raises(InputError) as caught:
        check_bundle(bundle, version)
    sentence = str(caught.value)
    assert sentence.startswith("Bundle bundle") and sentence.endswith("graft run`.") and "\n" not in sentence
    return sentence


def test_an_intact_bundle_says_what_it_is(bundle: Path) -> None:
    manifest = check_bundle(bundle)
    assert manifest.sha256 == hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
    assert manifest.version == manifest.sha256[:12]
    assert (manifest.labels, sorted(manifest.files)) == (tuple(LABELS), FILES)


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_anywhere_is_refused(bundle: Path, name: str) -> None:
    size = (bundle / name).stat().st_size
    for place in {0, 5, size // 3, size // 2, size - 1}:
        flip_byte(bundle / name, place)
        assert f"sha256 of '{name}'" in refusal(bundle)
        flip_byte(bundle / name, place)
    check_bundle(bundle)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused(bundle: Path, name: str, share: float) -> None:
    content = (bundle / name).read_bytes()
    (bundle / name).write_bytes(content[: int(share * len(content))])
    assert name in refusal(bundle)


def test_the_manifest_of_another_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    other = tiny_bundle(tmp_path / "other", head=2 * HEAD)
    shutil.copyfile(other / "manifest.json", bundle / "manifest.json")
    assert "the sha256 of 'model.onnx' is not the one in its manifest" in refusal(bundle)


def test_every_flipped_byte_of_the_manifest_is_refused_where_the_version_is_known(bundle: Path) -> None:
    path, version = bundle / "manifest.json", read_manifest(bundle).version
    for place in range(path.stat().st_size):
        flip_byte(path, place)
        refusal(bundle, version)
        flip_byte(path, place)
    assert check_bundle(bundle, version).version == version


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert f"'{name}' of its manifest is missing" in refusal(bundle)


def test_an_additional_file_is_refused(bundle: Path) -> None:
    (bundle / "encoder/more.json").write_text("{}")
    assert "'encoder/more.json' is not in its manifest" in refusal(bundle)


def test_a_link_is_refused_even_to_the_same_content(bundle: Path, tmp_path: Path) -> None:
    (bundle / "card.md").rename(tmp_path / "card.md")
    (bundle / "card.md").symlink_to(tmp_path / "card.md")
    assert "'card.md' is a link" in refusal(bundle)


def test_a_linked_folder_is_refused(bundle: Path, tmp_path: Path) -> None:
    (bundle / "encoder").rename(tmp_path / "encoder")
    (bundle / "encoder").symlink_to(tmp_path / "encoder")
    assert "'encoder' is a link" in refusal(bundle)


def test_a_linked_manifest_is_refused(bundle: Path, tmp_path: Path) -> None:
    (bundle / "manifest.json").rename(tmp_path / "manifest.json")
    (bundle / "manifest.json").symlink_to(tmp_path / "manifest.json")
    assert "manifest.json is a link" in refusal(bundle)


def test_a_pipe_is_refused_and_not_waited_for(bundle: Path) -> None:
    (bundle / "card.md").unlink()
    os.mkfifo(bundle / "card.md")
    assert "special file" in refusal(bundle)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "encoder/../../outside", "./card.md", "a\\b", ".", ""])
def test_a_name_that_leads_out_is_refused(bundle: Path, name: str) -> None:
    (bundle.parent / "outside").write_text("not yours")
    files = {**read_manifest(bundle).files, name: hashlib.sha256(b"not yours").hexdigest()}
    write_manifest(bundle, files=files)
    assert "leads out of the bundle" in refusal(bundle)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": 3}, "another format than 4"),
        ({"labels": "good"}, "labels in manifest.json is missing or no list"),
        ({"project": None}, "project in manifest.json is missing or no str"),
        ({"labels": []}, "labels must be different strings"),
        ({"labels": ["good", "good"]}, "labels must be different strings"),
        ({"labels": ["good", 1]}, "labels must be different strings"),
        ({"modality": "smell"}, "no rows for modality 'smell'"),
        ({"problem": "poetry"}, "problem 'poetry'"),
        ({"model": "other.onnx"}, "model is not one of the files"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"temperature": "1"}, "temperature in manifest.json is missing or no float"),
        ({"licence": 3}, "licence must be a text or null"),
        (
            {"inputs": {"input_ids": {"type": "tensor(int64)", "shape": [None, 2**27]}}},
            "'input_ids' has no type and no",
        ),
        ({"outputs": {"logits": {"type": "tensor(float)", "shape": [None, -1]}}}, "'logits' has no type and no shape"),
        ({"outputs": {"logits": {"shape": [None, 2]}}}, "'logits' has no type and no shape"),
        ({"files": {"model.onnx": "0"}}, "'model.onnx' has no sha256"),
        ({"files": {"model.onnx": None}}, "'model.onnx' has no sha256"),
    ],
)
def test_a_manifest_without_sense_is_refused(bundle: Path, change: dict[str, Any], reason: str) -> None:
    write_manifest(bundle, **change)
    assert reason in refusal(bundle)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_manifest_that_is_not_json_is_refused(bundle: Path, content: bytes) -> None:
    (bundle / "manifest.json").write_bytes(content)
    assert "manifest.json is not JSON" in refusal(bundle)


def test_a_manifest_that_is_a_list_is_refused(bundle: Path) -> None:
    (bundle / "manifest.json").write_text("[]")
    assert "another format" in refusal(bundle)


def test_a_manifest_over_the_limit_is_refused(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    write_manifest(bundle, made_from={"padding": "x" * (MAX_MANIFEST_BYTES - 10)}, files=manifest["files"])
    assert "over 1000000 bytes" in refusal(bundle)


def test_a_folder_without_a_manifest_is_no_bundle(bundle: Path) -> None:
    (bundle / "manifest.json").unlink()
    assert "manifest.json cannot be read (No such file" in refusal(bundle)


def test_a_file_that_cannot_be_read_is_told(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tasks.manifest.sha256_file", denied)
    assert "a file cannot be read (Permission denied)" in refusal(bundle)
