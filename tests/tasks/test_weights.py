"""Weights are used only when their content is the pinned one, and never as pickle or code."""

from __future__ import annotations

import hashlib
from pathlib import Path

import huggingface_hub
import pytest

from tasks.errors import InputError
from tasks.params import Candidate
from tasks.weights import companions, licence, resolve, snapshot_files

WEIGHTS = b"not really tensors"
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
COMMIT = "c" * 40


def model_folder(folder: Path, without: str = "") -> Path:
    folder.mkdir(parents=True)
    for name, content in {"config.json": b"{}", "model.safetensors": WEIGHTS}.items():
        if name != without:
            (folder / name).write_bytes(content)
    return folder


def install(site: Path, name: str, files: list[str]) -> None:
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def refusal(source: str, root: Path, revision: str = SHA256) -> str:
    with pytest.raises(InputError) as caught:
        resolve(Candidate(source=source, revision=revision), root)
    (sentence,) = caught.value.sentences
    return sentence


def test_a_path_counts_from_the_project(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "models/one")
    assert resolve(Candidate(source="path:models/one", revision=SHA256), tmp_path) == folder


def test_a_package_is_found_where_its_weights_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model_folder(tmp_path / "graft_tiny/model")
    install(tmp_path, "graft-tiny", ["graft_tiny/__init__.py", "graft_tiny/model/model.safetensors"])
    monkeypatch.syspath_prepend(str(tmp_path))
    assert resolve(Candidate(source="package:graft-tiny", revision=SHA256), tmp_path) == folder


def test_another_content_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    model_folder(tmp_path / "m")
    sentence = refusal("path:m", tmp_path, "0" * 64)
    assert SHA256[:12] in sentence and "params.yaml pins 000000000000" in sentence and "restore the file" in sentence


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_without_config_or_safetensors_is_refused(tmp_path: Path, missing: str) -> None:
    model_folder(tmp_path / "m", without=missing)
    sentence = refusal("path:m", tmp_path)
    assert sentence.startswith(f"path:m holds no {missing}:") and "safe_serialization=True" in sentence


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert refusal("path:nowhere", tmp_path).startswith("There is no model folder nowhere: correct")


def test_a_missing_package_is_refused(tmp_path: Path) -> None:
    assert "graft-no-such is not installed: add it" in refusal("package:graft-no-such", tmp_path)


def test_a_package_without_a_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model_folder(tmp_path / "graft_bare", without="config.json")
    install(tmp_path, "graft-bare", ["graft_bare/model.safetensors"])
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "carries no folder with config.json and model.safetensors" in refusal("package:graft-bare", tmp_path)


def test_offline_a_hub_model_that_is_not_cached_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    sentence = refusal("hub:owner/name", tmp_path, COMMIT)
    assert sentence == (
        "hub:owner/name at cccccccccccc… is not in the local hub cache and HF_HUB_OFFLINE is set: "
        "unset it or use a path."
    )


def test_a_cached_hub_model_needs_no_network_and_takes_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model_folder(tmp_path / "cached")
    (folder / "tokenizer.json").touch()
    asked: list[dict[str, object]] = []

    def snapshot_download(name: str, **options: object) -> str:
        asked.append({"name": name} | options)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert resolve(Candidate(source="hub:owner/name", revision=COMMIT), tmp_path) == folder
    (options,) = asked
    assert (options["revision"], options["local_files_only"]) == (COMMIT, True)
    assert options["allow_patterns"] == ["*.json", "*.txt", "*.safetensors", "*.model", "README.md"]


def test_a_snapshot_leaves_out_pickle_code_and_folders(tmp_path: Path) -> None:
    kept = ["config.json", "model.safetensors", "spiece.model", "vocab.txt"]
    for name in [*kept, "pytorch_model.bin", "model.pt", "weights.pkl", "modeling.py", "model.onnx", "README.md"]:
        (tmp_path / name).touch()
    (tmp_path / "sub.json").mkdir()
    assert [path.name for path in snapshot_files(tmp_path)] == kept


MODEL = Candidate(source="path:m", revision=SHA256)


@pytest.mark.parametrize(
    ("card", "named"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n", "apache-2.0"),
        ("---\r\nlicense: mit\r\n---\r\n", "mit"),
        ("# A model\n\n---\nlicense: mit\n---\n", None),
        ("---\nlicense: [mit, gpl]\n---\n", None),
        ("---\nlicense: {\n---\n", None),
        ("---\n- license\n---\n", None),
        ("", None),
    ],
)
def test_the_licence_stands_in_front_of_the_card(tmp_path: Path, card: str, named: str | None) -> None:
    folder = model_folder(tmp_path / "m")
    (folder / "README.md").write_bytes(card.encode())
    assert licence(MODEL, folder) == named


def test_a_folder_without_a_card_names_no_licence(tmp_path: Path) -> None:
    assert licence(MODEL, model_folder(tmp_path / "m")) is None


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ("License-Expression: MIT\n", "MIT"),
        ("License: BSD\n", "BSD"),
        ("License: " + "Permission " * 20, None),
        ("", None),
    ],
)
def test_a_package_names_its_licence_where_its_card_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, named: str | None
) -> None:
    folder = model_folder(tmp_path / "graft_free/model")
    install(tmp_path, "graft-free", ["graft_free/model/model.safetensors"])
    with (tmp_path / "graft_free-1.0.dist-info/METADATA").open("a") as file:
        file.write(lines)
    monkeypatch.syspath_prepend(str(tmp_path))
    package = Candidate(source="package:graft-free", revision=SHA256)
    assert licence(package, folder) == named
    (folder / "README.md").write_text("---\nlicense: openrail\n---\n")
    assert licence(package, folder) == "openrail"


def test_a_changed_card_makes_selection_stale(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    before = companions(MODEL, tmp_path)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    assert companions(MODEL, tmp_path) != before
