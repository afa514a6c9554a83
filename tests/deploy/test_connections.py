"""Clients that are slow or silent, on real sockets: none holds a connection for ever, and each is told what ends it."""

from __future__ import annotations

import asyncio
import logging
import resource
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse

from deploy.connections import MOST_HEAD_BYTES
from deploy.service import OTHER_FILES, _connections
from deploy.settings import MEGABYTE, Settings
from tests.sockets import ASK, BODY, LIVE, Held, Server, run, serving
from tests.sockets import held as held
from tests.sockets import releases as releases


@pytest.mark.parametrize(
    ("before", "trickle"),
    [
        (b"", b""),
        (b"", b"\r\n"),
        (b"GET /livez HTTP/1.1\r\nx-a: ", b"a"),
        (b"GET /livez HTTP/1.1\r\n", b"x-a: a\r\n"),
        (LIVE + b"GET /livez HTTP/1.1\r\nx-a: ", b"a"),
        (b"POST /livez HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n", b"a"),
    ],
    ids=["silent", "empty lines", "a header", "headers", "after an answer", "a body that nobody reads"],
)
def test_a_connection_without_a_request_is_closed(releases: Path, before: bytes, trickle: bytes) -> None:
    async def test(server: Server) -> None:
        client = await server.client()
        client.writer.write(before)
        await client.until_closed(trickle)
        assert server.ended("headers") == 1
        assert await (await server.client()).status(LIVE) == 200

    run(releases, test, header_seconds=0.05)


def test_a_body_that_trickles_is_answered_and_its_connection_closed(releases: Path) -> None:
    async def test(server: Server) -> None:
        client = await server.client()
        assert await client.status(ASK[:-1]) == 408
        client.writer.write(b" ")
        await client.until_closed()

    run(releases, test, body_seconds=0.02, header_seconds=0.05)


def test_a_request_whose_headers_are_there_has_its_time(releases: Path, held: Held) -> None:
    async def test(server: Server) -> None:
        asks, silent = await server.client(), await server.client()
        asks.writer.write(ASK)
        await silent.until_closed()
        held[0].set()
        assert await asks.status() == 200, "the time for headers is over, and was none of this request"
        assert await asks.status(ASK) == 200

    run(releases, test, header_seconds=0.05)


def test_of_too_many_connections_the_one_goes_that_has_waited_longest(releases: Path) -> None:
    async def test(server: Server) -> None:
        first, second = await server.client(), await server.client()
        assert await first.status(LIVE) == 200, "so that the second has waited longest"
        third = await server.client()
        await second.until_closed()
        assert await third.status(LIVE) == 200 and await first.status(LIVE) == 200
        assert server.ended("full") == 1

    run(releases, test, connections=2)


def test_an_answer_on_its_way_is_not_cut_off_for_room(releases: Path) -> None:
    async def test(server: Server) -> None:
        server.app.add_route("/large", lambda request: PlainTextResponse("a" * 8 * MEGABYTE))
        slow = await server.client()
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
        slow.writer.write(LIVE.replace(b"/livez", b"/large"))
        while not any(one.transport.get_write_buffer_size() for one in server.connections):
            await asyncio.sleep(0.005)
        await (await server.client()).until_closed()
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert await slow.status() == 200

    run(releases, test, connections=1)


def test_a_connection_may_be_silent_as_long_as_is_set(releases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(server: Server) -> None:
        assert server.uvicorn.config.timeout_keep_alive > 7.5, "else uvicorn ends it, uncounted"

    run(releases, test, header_seconds=7.5)


def test_one_more_than_all_that_are_answered_is_closed_at_once(releases: Path, held: Held) -> None:
    go, begun = held

    async def test(server: Server) -> None:
        busy = [await server.client() for _ in range(2)]
        for client in busy:
            client.writer.write(ASK)
            assert await asyncio.to_thread(begun.acquire, timeout=20)
        await (await server.client()).until_closed()
        go.set()
        assert [await client.status() for client in busy] == [200, 200]
        assert await (await server.client()).status(LIVE) == 200, "those that were answered wait"
        assert server.ended("full") == 2

    run(releases, test, connections=2, threads=2)


def test_a_client_that_takes_no_answer_is_left(releases: Path) -> None:
    async def test(server: Server) -> None:
        with await server.client_that_reads_nothing():
            while server.connections or not server.ended("answer"):
                await asyncio.sleep(0.005)

    run(releases, test, body_seconds=0.05)


def test_a_client_that_takes_its_answer_late_is_not(releases: Path) -> None:
    async def test(server: Server) -> None:
        with await server.client_that_reads_nothing() as client:
            while not any(one._untaken for one in server.connections):
                await asyncio.sleep(0.001)
            [connection] = server.connections
            while not connection._untaken.cancelled():
                await asyncio.get_running_loop().sock_recv(client, 1000)
            assert [connection] == [*server.connections] and server.ended("answer") == 0

    run(releases, test)


def test_headers_are_bounded_and_bodies_are_no_headers(releases: Path) -> None:
    async def test(server: Server) -> None:
        client = await server.client()
        assert await client.status(LIVE) == 200
        client.writer.write(b"GET /livez HTTP/1.1\r\nx-a: ")
        assert await client.status(b"a" * MOST_HEAD_BYTES) == 400
        await client.until_closed()
        client = await server.client()
        large = b"POST /predict HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n"
        body = BODY.ljust(MEGABYTE)
        assert len(body) > MOST_HEAD_BYTES
        for _ in range(3):
            assert await client.status(large % len(body) + body) == 200
        assert await client.status(large % (len(body) + 1) + body + b" ") == 413
        assert await client.status(LIVE) == 200

    run(releases, test, body_mb=1)


def test_a_connection_becomes_no_other_that_has_no_bounds(releases: Path) -> None:
    async def test(server: Server) -> None:
        asked = LIVE[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        asked += b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        assert await (await server.client()).status(asked) == 200

    run(releases, test)


def test_a_request_that_is_not_done_when_the_time_to_stop_is_over_is_told(
    releases: Path, held: Held, caplog: pytest.LogCaptureFixture
) -> None:
    go, begun = held

    async def whole() -> None:
        async with serving(releases, Settings(threads=1, stop_seconds=1, log_folder="")) as server:
            client = await server.client()
            client.writer.write(ASK)
            assert await asyncio.to_thread(begun.acquire, timeout=20)
            server.uvicorn.config.timeout_graceful_shutdown = 0
            server.uvicorn.should_exit = True
            assert await asyncio.wait_for(client.status(), timeout=20) == 503
            go.set()

    with caplog.at_level(logging.INFO):
        asyncio.run(whole())
    [line] = [record.fields for record in caplog.records if record.getMessage() == "request"]  # type: ignore[attr-defined]
    assert (line["route"], line["status"]) == ("/predict", 503)
    assert "Exception in ASGI application" not in caplog.text


def test_connections_are_as_many_as_files_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [100, 1000]

    def limited(_: int, new: tuple[int, int]) -> None:
        limits[0] = new[0]

    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", limited)
    assert (_connections(10), _connections(2000), limits[0]) == (10, 1000 - OTHER_FILES, 1000)
    limits[:] = [resource.RLIM_INFINITY] * 2
    assert _connections(2000) == 2000

    def refused(_: int, new: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    limits[:] = [100, resource.RLIM_INFINITY]
    monkeypatch.setattr(resource, "setrlimit", refused)
    assert _connections(2000) == 1
