"""Bundles in an object store: uploaded whole, checked when fetched, kept as copies, and served from them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from deploy import live
from deploy.objects import Objects
from deploy.releases import Releases
from deploy.store import KEPT
from tasks.artifacts import read_json
from tasks.errors import InputError
from tasks.runtime import check_bundle
from tests.bundles import flip_byte, tiny_bundle
from tests.releasing import CONTEXT, added, refused
from tests.serving import run
from tests.stores import Killed, Make, objects, overwrite
from tests.stores import make as make
from tests.stores import releases as releases


def test_a_copy_of_another_store_does_not_count_as_added(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    first, second = (Releases(tmp_path / "here", f"memory://{name}/{tmp_path.name}") for name in ("one", "two"))
    version = first.add(bundle)
    first.path_of(version)
    second.add(bundle)
    assert second.versions() == [version]


def test_without_its_manifest_a_release_does_not_count(
    releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    upload = Objects.upload

    def killed_at_manifest(self: Objects, path: Path, name: str) -> None:
        if path.name == "manifest.json":
            raise Killed
        upload(self, path, name)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Objects, "upload", killed_at_manifest)
        releases.add(bundle)
    assert releases.versions() == []
    with refused("There is no release"):
        releases.promote(check_bundle(bundle).version, "r", CONTEXT)
    version = releases.add(bundle)
    assert releases.versions() == [version]


def test_a_bundle_that_changes_while_it_is_uploaded_is_not_added(
    releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    monkeypatch.setattr(Objects, "upload", lambda self, path, name: flip_byte(bundle / "card.md", 3))
    with refused(r"sha256 of 'card\.md'"):
        releases.add(bundle)
    assert releases.versions() == []


@pytest.mark.parametrize("name", ["model.onnx", "card.md", "manifest.json"])
def test_what_was_damaged_there_is_not_promoted_and_mended_by_adding(make: Make, tmp_path: Path, name: str) -> None:
    releases = make()
    bundle = tiny_bundle(tmp_path / "bundle")
    version = releases.add(bundle)
    damaged = bytearray((bundle / name).read_bytes())
    damaged[-3] ^= 1
    overwrite(releases, f"{version}/{name}", bytes(damaged))
    for machine in ("new", "again"):
        with refused(f"Bundle {version}: "):
            make(machine).promote(version, "r", CONTEXT)
    assert releases.current() is None
    make("third").add(bundle)
    assert make("fourth").promote(version, "r", CONTEXT).changed


def test_a_file_that_is_missing_there_is_named(make: Make, tmp_path: Path) -> None:
    [version] = added(make(), tmp_path, 1)
    place = objects(make())
    place._system.rm(place._path(f"{version}/model.onnx"))
    with refused(rf"Bundle {version}: file 'model\.onnx' of its manifest is missing"):
        make("elsewhere").path_of(version)


def test_a_manifest_whose_files_lead_out_fetches_nothing(make: Make, tmp_path: Path) -> None:
    [version] = added(make(), tmp_path, 1)
    manifest = read_json(tmp_path / "bundle-0/manifest.json")
    manifest["files"] |= {"../../evil": "0" * 64}
    overwrite(make(), f"{version}/manifest.json", json.dumps(manifest).encode())
    with refused(r"'\.\./\.\./evil' leads out of the bundle"):
        make("elsewhere").path_of(version)
    assert [path.name for path in (tmp_path / "elsewhere/cache").iterdir()] == [".lock"]


def test_a_damaged_copy_is_fetched_again(releases: Releases, tmp_path: Path) -> None:
    [version] = added(releases, tmp_path, 1)
    releases.promote(version, "r", CONTEXT)
    flip_byte(releases.path_of() / "model.onnx", 9)
    check_bundle(releases.path_of(), version)


def test_what_a_killed_fetch_left_goes_with_the_next(
    releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [version] = added(releases, tmp_path, 1)
    cache, filled = tmp_path / "here/cache", []

    def cut_off(self: Objects, name: str, path: Path) -> None:
        filled.append(path.parents[1])
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Objects, "download", cut_off)
        releases.path_of(version)
    filled[0].mkdir()  # no code runs after a real kill, which leaves it
    (cache / ".snapshot").mkdir()
    releases.path_of(version)
    assert sorted(path.name for path in cache.iterdir() if path.is_dir()) == [".snapshot", version]


def test_a_copy_needs_no_store(releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [version] = added(releases, tmp_path, 1)
    path = releases.path_of(version)
    monkeypatch.setattr(Objects, "_told", None)
    assert releases.path_of(version) == path


def test_the_cache_keeps_what_was_used_last(releases: Releases, tmp_path: Path) -> None:
    versions = added(releases, tmp_path, KEPT + 2)
    for version in versions:
        releases.path_of(version)
    releases.path_of(versions[0])
    kept = {path.name for path in (tmp_path / "here/cache").iterdir()} - {".lock"}
    assert kept == {versions[0], *versions[-KEPT + 1 :]}


def test_a_cache_that_cannot_be_written_is_told(make: Make, tmp_path: Path) -> None:
    [version] = added(make(), tmp_path, 1)
    (tmp_path / "barred").write_text("a file")
    with refused("cannot be written .*let GRAFT_CACHE name a folder"):
        make("barred").path_of(version)


def test_a_server_follows_an_alias_there_and_answers_on_without_the_store(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.005)
    releases, served = make(), make("server")
    first, second, third = added(releases, tmp_path, 3)
    releases.promote(first, "r", CONTEXT)

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        async def answers(version: str) -> None:
            while (await client.post("/predict", json={"inputs": ["good"]})).json()["version"] != version:
                await asyncio.sleep(0.005)

        await answers(first)
        releases.promote(second, "r", CONTEXT)
        await answers(second)
        releases.promote(third, "r", CONTEXT)
        while 'graft_release_refused{alias="champion"} 1.0' not in (await client.get("/metrics")).text.splitlines():
            await asyncio.sleep(0.005)
        await answers(second)
        monkeypatch.setattr(Objects, "read", unreachable)
        await asyncio.sleep(0.02)
        await answers(second)

    damaged = bytearray((releases.path_of(third) / "model.onnx").read_bytes())  # here the copy stays whole
    damaged[9] ^= 1
    overwrite(releases, f"{third}/model.onnx", bytes(damaged))
    run(served, test)
    assert list((tmp_path / "server/predictions").glob("*.parquet")), "the log is written here"


def unreachable(*_: object) -> None:
    raise InputError("memory://models cannot be reached: check the network.")
