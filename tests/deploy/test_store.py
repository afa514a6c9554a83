"""Releases in an object store: S3 as a real server speaks it, and a store of fsspec without conditions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import httpx
import pytest
from fastapi import FastAPI

from deploy import live
from deploy.history import Record
from deploy.objects import Objects
from deploy.releases import Releases, releases_of
from deploy.store import KEPT, Store
from tasks.artifacts import read_json
from tasks.errors import InputError
from tasks.runtime import check_bundle
from tests.bundles import flip_byte, tiny_bundle
from tests.releasing import CONTEXT, added, moves, refused
from tests.servers import bucket, free_port
from tests.serving import run

Make = Callable[..., Releases]


class Killed(BaseException):
    """Stands for a signal that no code can catch."""


@pytest.fixture(scope="module")
def models() -> Iterator[None]:
    with bucket("models"):
        yield


def made(url: str, tmp_path: Path) -> Make:
    """Releases at a place of this test, seen from one machine or another."""
    return lambda machine="here": Releases(tmp_path / machine, f"{url}/{tmp_path.name}")


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return made("memory://models", tmp_path)


@pytest.fixture(params=["s3://models", "memory://models"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    if request.param.startswith("s3"):
        request.getfixturevalue("models")
    return made(request.param, tmp_path)


@pytest.fixture
def releases(make: Make) -> Releases:
    return make()


def objects(releases: Releases) -> Objects:
    assert isinstance(releases._target, Store)
    return releases._target._objects


def overwrite(releases: Releases, name: str, content: bytes) -> None:
    objects(releases)._system.pipe_file(objects(releases)._path(name), content)


def test_a_release_goes_there_and_comes_back_on_another_machine(either: Make, tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    version = either().add(bundle)
    either().promote(version, "the first", CONTEXT)
    elsewhere = either("elsewhere")
    assert elsewhere.current() == version and elsewhere.versions() == [version]
    path = elsewhere.path_of()
    assert path == tmp_path / "elsewhere/cache" / version and check_bundle(path) == check_bundle(bundle)
    [record] = elsewhere.history()
    assert (record["from"], record["to"], record["why"], record["context"]) == (None, version, "the first", CONTEXT)
    assert "number" not in record


def test_a_copy_of_another_store_does_not_count_as_added(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    first, second = (Releases(tmp_path / "here", f"memory://{name}/{tmp_path.name}") for name in ("one", "two"))
    version = first.add(bundle)
    first.path_of(version)
    second.add(bundle)
    assert second.versions() == [version]


def test_moves_are_told_in_their_order_and_rolled_back(releases: Releases, tmp_path: Path) -> None:
    a, b = added(releases, tmp_path, 2)
    for version in (a, b, a):
        releases.promote(version, "r", CONTEXT)
    releases.promote(b, "r", CONTEXT, alias="other")
    assert [releases.rollback("r", CONTEXT).version for _ in range(2)] == [b, a]
    line = [(record["from"], record["to"]) for record in releases.history() if record["alias"] == "champion"]
    assert line == [(None, a), (a, b), (b, a), (a, b), (b, a)]
    assert (releases.current(), releases.current("other")) == (a, b)
    assert len(objects(releases).names("history/champion")) == 5, "one object a move"
    assert not releases.promote(a, "again", CONTEXT).changed and len(releases.history()) == 6


def test_a_promotion_ends_the_trial_of_the_challenger(either: Make, tmp_path: Path) -> None:
    releases, elsewhere = either(), either("elsewhere")
    a, b = added(releases, tmp_path, 2)
    releases.promote(a, "r", CONTEXT)
    releases.promote(b, "r", CONTEXT, alias="challenger")
    assert releases.promote(b, "r", CONTEXT).trial and elsewhere.current("challenger") is None
    with refused("Alias challenger names no release"):
        elsewhere.path_of("challenger")
    assert elsewhere.promote(a, "again", CONTEXT, alias="challenger").before is None
    assert [(record["from"], record["to"]) for record in elsewhere.history() if record["alias"] == "challenger"] == [
        (None, b), (b, None), (None, a)
    ]  # fmt: skip
    assert objects(releases).names("history/challenger") == [f"0000000{number}.json" for number in (1, 2, 3)]
    assert elsewhere.rollback("r", CONTEXT).trial and releases.current("challenger") is None


def test_nothing_is_there_before_the_first_promotion(releases: Releases) -> None:
    assert (releases.current(), releases.history(), releases.versions()) == (None, [], [])
    with refused(r"Alias champion names no release in \w+://models/.*graft run --promote"):
        releases.path_of()


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


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(
    either: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = either()
    a, b, c = added(releases, tmp_path, 3)
    releases.promote(a, "r", CONTEXT)
    tag = Objects.tag

    def moved_meanwhile(self: Objects, name: str) -> str | None:
        found = tag(self, name)
        if name == "aliases/champion":
            monkeypatch.undo()
            either("elsewhere").promote(b, "first", CONTEXT)
        return found

    monkeypatch.setattr(Objects, "tag", moved_meanwhile)
    with refused(f"Another moved champion from {a} to {b} meanwhile, so that this promote to {c} was not made"):
        releases.promote(c, "second", CONTEXT)
    assert releases.current() == b and moves(releases) == [(None, a), (a, b)]


def test_a_move_is_refused_where_another_came_first(
    releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c = added(releases, tmp_path, 3)
    for version in (a, b):
        releases.promote(version, "r", CONTEXT)
    move = Store.move

    def second(self: Store, record: dict[str, Any]) -> bool:
        monkeypatch.undo()
        releases.promote(c, "first", CONTEXT)
        return move(self, record)

    monkeypatch.setattr(Store, "move", second)
    with refused(f"Another moved champion from {b} to {c} meanwhile, so that this rollback to {a} was not made"):
        releases.rollback("r", CONTEXT)
    assert releases.current() == c and moves(releases) == [(None, a), (a, b), (b, c)]


@pytest.mark.usefixtures("models")
def test_s3_refuses_what_comes_between_reading_and_writing(tmp_path: Path) -> None:
    place = Objects(f"s3://models/{tmp_path.name}", "GRAFT_RELEASES")
    assert place.put("alias", b"1", None) and not place.put("alias", b"2", None)
    tag = place.tag("alias")
    assert place.put("alias", b"3", tag) and not place.put("alias", b"4", tag) and place.read("alias") == b"3"
    assert place.put("alias", b"3", tag), "ours, whose answer got lost"
    place._system.rm(place._path("alias"))
    assert not place.put("alias", b"5", tag) and place.read("alias") is None


def test_killed_between_alias_and_history(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    releases = make()
    a, b = added(releases, tmp_path, 2)
    releases.promote(a, "r", CONTEXT)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Store, "_keep", killed_at(b))
        releases._target.settle = lambda: None  # type: ignore[method-assign]
        releases.promote(b, "cut off", CONTEXT)
    releases = make()
    assert releases.current() == b and moves(releases) == [(None, a), (a, b)], "read, it is told as it is"
    assert len(objects(releases).names("history/champion")) == 1
    releases.rollback("next call", CONTEXT)
    assert moves(releases) == [(None, a), (a, b), (b, a)]
    assert [record["why"] for record in releases.history()] == ["r", "cut off", "next call"]
    assert len(objects(releases).names("history/champion")) == 3


def test_a_move_keeps_the_record_of_a_killed_one_before_it(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = make()
    a, b, c = added(releases, tmp_path, 3)
    releases.promote(a, "r", CONTEXT)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Store, "_keep", killed_at(b))
        releases.promote(b, "cut off", CONTEXT)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "settle", lambda _: None)  # done before the other moved
        releases.promote(c, "r", CONTEXT)
    assert moves(releases) == [(None, a), (a, b), (b, c)]


def test_an_alias_that_was_deleted_goes_on_with_its_history(releases: Releases, tmp_path: Path) -> None:
    a, b = added(releases, tmp_path, 2)
    releases.promote(a, "r", CONTEXT, alias="challenger")
    objects(releases)._system.rm(objects(releases)._path("aliases/challenger"))
    assert releases.current("challenger") is None
    releases.promote(b, "r", CONTEXT, alias="challenger")
    assert moves(releases) == [(None, a), (None, b)]
    assert objects(releases).names("history/challenger") == ["00000001.json", "00000002.json"]


def test_what_is_no_record_is_told(releases: Releases, tmp_path: Path) -> None:
    [version] = added(releases, tmp_path, 1)
    releases.promote(version, "r", CONTEXT)
    overwrite(releases, "history/champion/00000001.json", b"{}")
    with refused(r"history/champion/00000001\.json is no record: restore"):
        releases.history()
    overwrite(releases, "aliases/champion", b"nonsense")
    with refused("aliases/champion holds no version: delete it"):
        releases.current()


def test_a_cache_that_cannot_be_written_is_told(make: Make, tmp_path: Path) -> None:
    [version] = added(make(), tmp_path, 1)
    (tmp_path / "barred").write_text("a file")
    with refused("cannot be written .*let GRAFT_CACHE name a folder"):
        make("barred").path_of(version)


@pytest.mark.usefixtures("models")
def test_what_keeps_us_from_a_store_is_one_sentence_without_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = Releases(tmp_path, "s3://nobody/releases")
    with refused("There is nothing at s3://nobody/releases: correct GRAFT_RELEASES"):
        releases.add(tiny_bundle(tmp_path / "bundle"))
    with refused("GRAFT_RELEASES needs a Python package for abfs://: pip install 'adlfs'"):
        Releases(tmp_path, "abfs://models/x").current()
    with refused("GRAFT_RELEASES holds a password or a key") as caught:
        Releases(tmp_path, "sftp://ada:hunter2@host/releases").current()
    assert "hunter2" not in str(caught.value)
    with refused("GRAFT_RELEASES names the environment variable NOT_SET"):
        Releases(tmp_path, "sftp://ada:${NOT_SET}@host/releases").current()
    monkeypatch.setattr("tasks.sources.patience.time.sleep", lambda seconds: None)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with refused("s3://models/x cannot be reached") as caught:
        Releases(tmp_path, "s3://models/x").current()
    assert "hunter2" not in str(caught.value)


def test_a_lost_connection_is_not_taken_for_an_alias_that_is_gone(
    releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object, **__: object) -> Any:
        raise FileNotFoundError("aliases/champion") from ConnectionResetError()

    monkeypatch.setattr("tasks.sources.patience.time.sleep", lambda seconds: None)
    monkeypatch.setattr(type(objects(releases)._system), "cat_file", lost)
    with refused("cannot be reached"):
        releases.current()


def test_the_environment_says_where_releases_lie(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    version = releases_of(tmp_path, {}).add(bundle)
    assert (tmp_path / "releases" / version).is_dir()
    for named in (str(tmp_path / "other"), "other", f"file://{tmp_path}/other"):
        releases_of(tmp_path, {"GRAFT_RELEASES": named}).add(bundle)
        assert [path.name for path in (tmp_path / "other").glob("?" * 12)] == [version]
    environment = {"GRAFT_RELEASES": f"memory://{tmp_path.name}", "GRAFT_CACHE": str(tmp_path / "cache")}
    far = releases_of(tmp_path, environment)
    far.add(bundle)
    assert far.path_of(version) == tmp_path / "cache" / version and far.folder == tmp_path / "releases"
    assert fsspec.filesystem("memory").exists(f"/{tmp_path.name}/{version}/manifest.json")


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


def killed_at(version: str) -> Callable[[Store, Record], None]:
    """Dies before the record of a move to this version is kept."""
    keep = Store._keep
    return lambda store, record: killed() if record["to"] == version else keep(store, record)


def killed(*_: object, **__: object) -> None:
    raise Killed


def unreachable(*_: object) -> None:
    raise InputError("memory://models cannot be reached: check the network.")
