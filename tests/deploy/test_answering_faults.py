"""A running server whose alias names nothing, cannot be read, or names a damaged release answers on, and says so."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from deploy import live
from deploy.releases import Releases
from tests.following import Two, until_metric, until_served
from tests.following import two as two


def test_a_damaged_release_leaves_the_old_one_answering_until_it_is_restored(
    two: Two, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    card = two.releases.path_of(two.second) / "card.md"
    content = card.read_bytes()

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        two.promote(two.second)
        card.unlink()
        (two.releases.folder / "aliases/champion").write_text(two.second)
        await until_metric(client, 'graft_release_refused{alias="champion"} 1.0')
        answer = await client.post("/predict", json={"inputs": ["good"]})
        assert answer.status_code == 200 and answer.json()["version"] == two.first
        assert (await client.get("/readyz")).json() == {"version": two.first}
        two.promote(two.first)
        await until_metric(client, 'graft_release_refused{alias="champion"} 0.0')
        (two.releases.folder / "aliases/champion").write_text(two.second)
        await until_metric(client, 'graft_release_refused{alias="champion"} 1.0')
        monkeypatch.setattr(live, "RETRY_SECONDS", 0)  # the minute is over
        card.write_bytes(content)
        await until_served(client, two.second)
        await until_metric(client, 'graft_release_refused{alias="champion"} 0.0')

    two.promote(two.first)
    with caplog.at_level(logging.INFO):
        two.run(test)
    refused = [record.fields for record in caplog.records if record.getMessage() == "release refused"]  # type: ignore[attr-defined]
    assert [line["version"] for line in refused] == [two.second] * 2, "one line each time the alias came to name it"
    assert all("card.md" in line["reason"] and line["reason"].endswith(".") for line in refused)


@pytest.mark.parametrize("alias", [None, "no version", "0123456789ab"])
def test_an_alias_that_names_nothing_changes_nothing(two: Two, alias: str | None, monkeypatch: Any) -> None:
    path, looks = two.releases.folder / "aliases/champion", 0
    current = Releases.current

    def counted(self: Releases, name: str = "champion") -> str | None:
        nonlocal looks
        looks += 1
        return current(self, name)

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        path.unlink()
        if alias:
            path.write_text(alias)
        before = looks
        while looks < before + 3:
            await asyncio.sleep(0.001)
        assert (await client.post("/predict", json={"inputs": ["good"]})).json()["version"] == two.first
        path.write_text(two.second)
        await until_served(client, two.second)

    monkeypatch.setattr(Releases, "current", counted)
    two.run(test)


def no_version(folder: Path, _: pytest.MonkeyPatch) -> None:
    (folder / "aliases/champion").write_text("no version")


def empty(folder: Path, _: pytest.MonkeyPatch) -> None:
    (folder / "aliases/champion").write_text("")


def deleted(folder: Path, _: pytest.MonkeyPatch) -> None:
    (folder / "aliases/champion").unlink()


def folder_gone(folder: Path, _: pytest.MonkeyPatch) -> None:
    folder.rename(folder.with_name("elsewhere"))


def a_folder(folder: Path, _: pytest.MonkeyPatch) -> None:
    (folder / "aliases/champion").unlink()
    (folder / "aliases/champion").mkdir()


def broken_driver(_: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Releases, "current", lambda *_: {}["secret"])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (no_version, r".*/aliases/champion holds no version: delete it and promote a release\."),
        (empty, r".*/aliases/champion holds no version: delete it and promote a release\."),
        (deleted, r"Alias champion names no release now: promote one, or bring back the folder\."),
        (folder_gone, r"Alias champion names no release now: promote one, or bring back the folder\."),
        (a_folder, r".*/aliases/champion cannot be read \(Is a directory\): let the server's user read it\."),
        (broken_driver, r"Alias champion cannot be read \(KeyError\): let the server's user read it\."),
    ],
)
def test_an_alias_that_cannot_be_read_is_told_once_and_when_it_is_over(
    two: Two, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, damage: Any, reason: str
) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        await until_metric(client, 'graft_alias_unreadable{alias="champion"} 0.0')
        with monkeypatch.context() as patch:
            damage(two.releases.folder, patch)
            await until_metric(client, 'graft_alias_unreadable{alias="champion"} 1.0')
            assert (await client.post("/predict", json={"inputs": ["good"]})).json()["version"] == two.first
            assert 'graft_release_refused{alias="champion"} 0.0' in (await client.get("/metrics")).text
            await asyncio.sleep(3 * live.LOOK_SECONDS)
        mend(two)
        await until_metric(client, 'graft_alias_unreadable{alias="champion"} 0.0')

    with caplog.at_level(logging.INFO):
        two.run(test, log_folder="")
    told = [(record.getMessage(), record.fields) for record in caplog.records if "alias" in record.getMessage()]  # type: ignore[attr-defined]
    (begun, said), (over, after) = told
    assert (begun, over) == ("alias unreadable", "alias read again")
    assert after == {"alias": "champion", "version": two.first} and re.fullmatch(reason, said["reason"])


def mend(two: Two) -> None:
    folder = two.releases.folder
    if not folder.exists():
        folder.with_name("elsewhere").rename(folder)
    alias = folder / "aliases/champion"
    if alias.is_dir():
        alias.rmdir()
    alias.write_text(two.first)
