"""A server that stops answers what it took and writes its log, whatever its store or a release under way says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from deploy import live
from deploy.predictions import read
from deploy.releases import Releases
from tasks.runtime import Runtime
from tests.following import Held, Two
from tests.serving import run


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Two:
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.005)
    return Two(tmp_path)


def test_a_server_that_stops_while_a_release_is_loaded_answers_what_it_took(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, forward = Held(monkeypatch, Runtime, "load"), Held(monkeypatch, Runtime, "run")

    async def test(client: httpx.AsyncClient, app: FastAPI) -> None:
        load.held = forward.held = True
        begun = asyncio.create_task(client.post("/predict", json={"inputs": ["good"]}))
        await forward.until_begun()
        two.promote(two.second)
        await load.until_begun()
        closing = asyncio.create_task(app.state.answering.close())
        await asyncio.sleep(0)
        load.go.set()
        forward.go.set()
        await closing
        assert (await begun).json()["version"] == two.first

    two.run(test)


def test_a_server_that_stops_while_a_release_takes_over_answers_what_the_old_one_took(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Held(monkeypatch, Runtime, "run")

    async def test(client: httpx.AsyncClient, app: FastAPI) -> None:
        begun, waits = await two.taken_by_the_first(client, forward)
        closing = asyncio.create_task(app.state.answering.close())
        await asyncio.sleep(0.01)
        assert not closing.done()
        forward.go.set()
        await closing
        assert [(await one).json()["version"] for one in (begun, waits)] == [two.first] * 2

    two.run(test)


def test_a_server_stops_and_writes_its_log_though_the_store_never_answers(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = Held(monkeypatch, Releases, "current")

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        current.held = True
        await current.until_begun()
        assert (await client.post("/predict", json={"inputs": ["good"]})).status_code == 200

    two.run(test)
    [(_, table)] = read(two.releases.folder / "predictions")
    assert table.num_rows == 1 and current.waiting
    current.go.set()


def test_a_server_stops_though_the_store_never_gives_its_release(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    path_of = Held(monkeypatch, Releases, "path_of")
    path_of.held = True

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        await path_of.until_begun()
        assert (await client.get("/readyz")).status_code == 503

    run(two.releases.folder, test, until_ready=False)
    assert path_of.waiting
    path_of.go.set()
