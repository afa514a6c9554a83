"""Releases are immutable and added whole, an alias names one of them, and what is wrong is refused."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from deploy.releases import Releases
from tasks.runtime import check_bundle
from tests.bundles import flip_byte, tiny_bundle, write_manifest
from tests.releasing import CONTEXT, added, refused
from tests.releasing import releases as releases


def test_a_release_is_the_bundle_named_by_its_manifest_and_read_only(releases: Releases, tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    version = releases.add(bundle)
    path = releases.path_of(version)
    assert version == check_bundle(bundle).version == path.name and check_bundle(path) == check_bundle(bundle)
    modes = {stat.S_IMODE(file.stat().st_mode) for file in path.rglob("*") if file.is_file()}
    assert modes == {0o444}
    assert releases.versions() == [version]


def test_adding_again_changes_nothing(releases: Releases, tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    before = releases.path_of(releases.add(bundle)).stat()
    after = releases.path_of(releases.add(bundle)).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_adding_again_restores_a_damaged_release(releases: Releases, tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    path = releases.path_of(releases.add(bundle))
    (path / "model.onnx").unlink()
    releases.add(bundle)
    assert check_bundle(path) == check_bundle(bundle)


def test_what_a_killed_copy_left_goes_with_the_next_change(releases: Releases, tmp_path: Path) -> None:
    half_made, foreign = (releases.folder / name for name in (".0123456789ab.x1y2", ".snapshot"))
    for folder in (half_made, foreign):
        (folder / "encoder").mkdir(parents=True)
    version = releases.add(tiny_bundle(tmp_path / "bundle"))
    assert releases.path_of(version).is_dir() and foreign.is_dir() and not half_made.exists()


def test_a_damaged_bundle_is_not_added(releases: Releases, tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    flip_byte(bundle / "model.onnx", 9)
    with refused(r"sha256 of 'model\.onnx'"):
        releases.add(bundle)
    assert releases.versions() == []


def test_a_bundle_that_changes_while_it_is_copied_is_not_added(
    releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    copy = "deploy.folder.shutil.copyfile"

    def change_first(source: Path, target: Path) -> None:
        monkeypatch.undo()
        write_manifest(bundle, project="other")
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr(copy, change_first)
    with refused("changed while it was copied"):
        releases.add(bundle)
    assert releases.versions() == []


def test_nothing_is_released_before_the_first_promotion(releases: Releases, tmp_path: Path) -> None:
    assert (releases.current(), releases.history(), releases.versions()) == (None, [], [])
    with refused(r"Alias champion names no release .*graft run --promote"):
        releases.path_of("champion")
    [version] = added(releases, tmp_path, 1)
    with refused(f"choose one of {version}"):
        releases.path_of("champion")


def test_an_alias_is_readable_for_the_user_of_a_server(releases: Releases, tmp_path: Path) -> None:
    releases.promote(added(releases, tmp_path, 1)[0], "r", CONTEXT)
    assert stat.S_IMODE((releases.folder / "aliases/champion").stat().st_mode) == 0o644


def test_an_unknown_version_is_refused(releases: Releases, tmp_path: Path) -> None:
    [version] = added(releases, tmp_path, 1)
    with refused(f"There is no release 0123456789ab in .*choose one of {version}"):
        releases.promote("0123456789ab", "r", CONTEXT)
    assert releases.current() is None and releases.history() == []


@pytest.mark.parametrize("name", ["../champion", "a/b", "", "Champion", ".lock", "abcdef012345", "x" * 33])
def test_a_name_that_can_be_no_alias_is_refused(releases: Releases, tmp_path: Path, name: str) -> None:
    [version] = added(releases, tmp_path, 1)
    with refused("neither a version nor an alias"):
        releases.promote(version, "r", CONTEXT, alias=name)


@pytest.mark.parametrize(("name", "part"), [("manifest.json", b"p0"), ("model.onnx", b"e"), ("card.md", b"A")])
def test_a_damaged_release_is_not_promoted(releases: Releases, tmp_path: Path, name: str, part: bytes) -> None:
    [version] = added(releases, tmp_path, 1)
    file = releases.path_of(version) / name
    file.chmod(0o644)
    flip_byte(file, file.read_bytes().index(part))
    with refused(f"Bundle {version}"):
        releases.promote(version, "r", CONTEXT)
    assert releases.current() is None


def test_a_move_without_a_reason_is_refused(releases: Releases, tmp_path: Path) -> None:
    with refused("reason is empty"):
        releases.promote(added(releases, tmp_path, 1)[0], " ", CONTEXT)
    assert releases.current() is None


def test_a_context_that_is_no_json_changes_nothing(releases: Releases, tmp_path: Path) -> None:
    [version] = added(releases, tmp_path, 1)
    with pytest.raises(TypeError):
        releases.promote(version, "r", {"path": Path()})
    assert releases.current() is None and releases.history() == []


def test_an_alias_file_that_holds_no_version_is_told(releases: Releases, tmp_path: Path) -> None:
    releases.promote(added(releases, tmp_path, 1)[0], "r", CONTEXT)
    (releases.folder / "aliases/champion").write_bytes(b"\xff")
    with refused("holds no version: delete it"):
        releases.current()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "releases").write_text("a file")
    with refused("releases cannot be written"):
        Releases(tmp_path / "releases").add(tiny_bundle(tmp_path / "bundle"))
