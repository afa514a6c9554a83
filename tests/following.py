"""Two releases that answer otherwise, waits until a server has followed its alias, and methods that are held."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy import live
from deploy.releases import Releases
from tests.bundles import HEAD, tiny_bundle
from tests.serving import run

OPPOSITE = {"good": "bad", "bad": "good"}


class Two:
    """Releases of which the champion is `first`."""

    def __init__(self, folder: Path) -> None:
        self.releases = Releases(folder / "releases")
        self.first = self.releases.add(tiny_bundle(folder / "first"))
        self.second = self.releases.add(tiny_bundle(folder / "second", head=HEAD[::-1]))
        self.promote(self.first)

    def promote(self, version: str) -> None:
        self.releases.promote(version, "test", {})

    def run(self, test: Any, **settings: Any) -> None:
        run(self.releases.folder, test, **settings)

    def answer(self, version: str, word: str) -> str:
        return word if version == self.first else OPPOSITE[word]

    async def taken_by_the_first(self, client: httpx.AsyncClient, forward: Held) -> list[asyncio.Task[httpx.Response]]:
        """A request that `forward` holds and one that waits behind it, both older than the move to `second`."""
        forward.held = True
        running = asyncio.create_task(client.post("/predict", json={"inputs": ["good"]}))
        await forward.until_begun()
        waits = asyncio.create_task(client.post("/predict", json={"inputs": ["bad"]}))
        await until_metric(client, 'graft_queue_rows{alias="champion"} 1.0')
        self.promote(self.second)
        await until_served(client, self.second)
        return [running, waits]


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Two:
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.005)
    return Two(tmp_path)


async def until_served(client: httpx.AsyncClient, version: str) -> None:
    while (await client.get("/readyz")).json() != {"version": version}:
        await asyncio.sleep(0.005)


async def until_metric(client: httpx.AsyncClient, line: str) -> None:
    while line not in (await client.get("/metrics")).text.splitlines():
        await asyncio.sleep(0.005)


class Held:
    """Replaces a method by one that waits for `go` where `held` is true."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        self.held, self.waiting, self.begun, self.go = False, 0, threading.Event(), threading.Event()
        method = getattr(owner, name)

        def waits(*args: Any, **kwargs: Any) -> Any:
            if self.held:
                self.waiting += 1
                self.begun.set()
                went = self.go.wait(timeout=30)
                self.waiting -= 1
                assert went
            return method(*args, **kwargs)

        monkeypatch.setattr(owner, name, waits)

    async def until_begun(self) -> None:
        while not self.begun.is_set():
            await asyncio.sleep(0.001)
