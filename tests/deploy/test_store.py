"""Releases in an object store: S3 as a real server speaks it, and a store of fsspec without conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from deploy.history import Record
from deploy.objects import Objects
from deploy.releases import Releases, releases_of
from deploy.store import Store
from tasks.runtime import check_bundle
from tests.bundles import tiny_bundle
from tests.releasing import CONTEXT, added, moves, refused
from tests.servers import bucket, free_port
from tests.stores import Killed, Make, made, objects, overwrite
from tests.stores import make as make
from tests.stores import releases as releases


@pytest.fixture(scope="module")
def models() -> Iterator[None]:
    with bucket("models"):
        yield


@pytest.fixture(params=["s3://models", "memory://models"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    if request.param.startswith("s3"):
        request.getfixturevalue("models")
    return made(request.param, tmp_path)


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


def killed_at(version: str) -> Callable[[Store, Record], None]:
    """Dies before the record of a move to this version is kept."""
    keep = Store._keep
    return lambda store, record: killed() if record["to"] == version else keep(store, record)


def killed(*_: object, **__: object) -> None:
    raise Killed
