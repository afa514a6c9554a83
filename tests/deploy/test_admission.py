"""What is let in: bounded in number, bytes and time, and told when to come back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from deploy.admission import Late, deadline
from deploy.settings import MEGABYTE
from tasks.runtime import Runtime
from tests.serving import is_sentence, released, run


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return released(tmp_path_factory.mktemp("admission"))


class Slow:
    """A body that stops in the middle until it is told to go on."""

    def __init__(self, size: int = 0) -> None:
        self.size, self.begun, self.go = size, asyncio.Event(), asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"inputs": ["good"]' + b" " * self.size
        self.begun.set()
        await self.go.wait()
        yield b"}"


def posted(client: httpx.AsyncClient, body: Any) -> asyncio.Task[httpx.Response]:
    return asyncio.create_task(client.post("/predict", content=body))


@pytest.mark.parametrize(
    ("settings", "size", "told"),
    [
        ({"requests": 1}, 0, "The server holds 1 request that it has not answered,"),
        ({"bodies_mb": 1}, MEGABYTE - 20, "all requests are over 1 MB"),
    ],
)
def test_what_is_begun_is_bounded_and_leaves_room_when_it_ends(
    releases: Path, settings: dict[str, Any], size: int, told: str
) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        slow = Slow(size)
        begun = posted(client, slow)
        await slow.begun.wait()
        refused = await posted(client, b'{"inputs": ["good"]}')
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert told in refused.json()["detail"] and refused.json()["detail"].endswith(".")
        slow.go.set()
        assert (await begun).status_code == 200
        for _ in range(3):  # refusals give back what they took, too
            assert (await posted(client, b"no JSON")).status_code == 422
        assert (await posted(client, b'{"inputs": ["good"]}')).status_code == 200

    run(releases, test, **settings)


def test_a_body_that_does_not_come_in_time_is_given_up(releases: Path) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        refused = await posted(client, Slow())
        assert refused.status_code == 408
        assert refused.json()["detail"] == "The body was not there in 10 milliseconds: send it faster."
        assert (await posted(client, b'{"inputs": ["good"]}')).status_code == 200

    run(releases, test, body_seconds=0.01, requests=1)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, list[int]]]:
    """Forward passes wait for the event; the rows of each."""
    go, passes, method = threading.Event(), list[int](), Runtime.run

    def waits(self: Runtime, rows: Any) -> Any:
        passes.append(len(rows))
        assert go.wait(timeout=30)
        return method(self, rows)

    monkeypatch.setattr(Runtime, "run", waits)
    yield go, passes
    go.set()


def test_what_is_not_answered_in_time_is_told_and_leaves_the_queue(
    releases: Path, held: tuple[threading.Event, list[int]]
) -> None:
    go, passes = held

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        running = posted(client, b'{"inputs": ["good"]}')
        while not passes:
            await asyncio.sleep(0.001)
        waits = await posted(client, b'{"inputs": ["good", "bad"]}')
        for late in (waits, await running):
            assert late.status_code == 504 and late.headers["retry-after"] == "1"
            assert is_sentence(late.json()["detail"]) and "20 milliseconds" in late.json()["detail"]
        go.set()
        while (await posted(client, b'{"inputs": ["bad"]}')).status_code != 200:
            pass
        assert 2 not in passes, "nobody waits for what was given up"

    run(releases, test, deadline_ms=20)


def test_an_error_of_what_has_a_deadline_is_not_taken_for_it() -> None:
    async def fails() -> None:
        async with deadline(1000):
            raise ValueError

    async def is_late() -> None:
        async with deadline(0):
            await asyncio.Event().wait()

    with pytest.raises(ValueError):
        asyncio.run(fails())
    with pytest.raises(Late, match="There was no answer in 0 milliseconds: send fewer examples, or try again later\\."):
        asyncio.run(is_late())
