"""A server on a real socket, and clients that speak to it byte by byte: what the tests of connections share."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from deploy.releases import Releases
from deploy.service import _listen, _server, create_app
from deploy.settings import Settings
from tasks.runtime import Runtime
from tests.serving import released

LIVE = b"GET /livez HTTP/1.1\r\nHost: t\r\n\r\n"
Held = tuple[threading.Event, threading.Semaphore]
BODY = b'{"inputs": ["good"]}'
ASK = b"POST /predict HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


class Client:
    """A connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def status(self, sent: bytes = b"") -> int:
        """Of the answer to what is sent, which is read whole."""
        self.writer.write(sent)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
        await self.reader.readexactly(int(length))
        return int(head.split(b" ")[1])

    async def until_closed(self, trickle: bytes = b"") -> None:
        """Send the same again and again, and wait until the server ends the connection."""
        while not self.reader.at_eof():
            try:
                async with asyncio.timeout(0.005):
                    await self.reader.read(1000)
            except TimeoutError:
                self.writer.write(trickle)
            except ConnectionError:
                return


class Server:
    """A server with its tasks in this process."""

    def __init__(self, address: tuple[str, int], app: Any, server: uvicorn.Server) -> None:
        self.address, self.app, self.uvicorn = address, app, server
        self.connections: set[Any] = server.server_state.connections  # type: ignore[assignment]

    async def client(self) -> Client:
        return Client(*await asyncio.open_connection(*self.address))

    async def client_that_reads_nothing(self) -> socket.socket:
        """It has asked for more than its socket and the server's take, and for less than asyncio lets wait."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, self.address)
        await loop.sock_sendall(client, LIVE.replace(b"/livez", b"/openapi.json") * 5)
        return client

    def ended(self, reason: str) -> float:
        """Connections of this reason, as the metrics count them."""
        counted = self.app.state.answering.metrics.registry
        return float(counted.get_sample_value("graft_connections_ended_total", {"reason": reason}) or 0)


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return released(tmp_path_factory.mktemp("connections"))


@contextlib.asynccontextmanager
async def serving(releases: Path, settings: Settings) -> AsyncIterator[Server]:
    app = create_app(Releases(releases), settings=settings)
    server, listening = _server(app, settings), _listen("127.0.0.1", 0)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # what a client does not take shows at once
    running = asyncio.create_task(server.serve([listening]))
    while not (server.started and app.state.loading.done()):
        assert not running.done(), "it does not start"
        await asyncio.sleep(0.005)
    try:
        yield Server(listening.getsockname()[:2], app, server)
    finally:
        server.should_exit = True
        await running


def run(releases: Path, test: Callable[[Server], Awaitable[None]], **settings: Any) -> None:
    async def whole() -> None:
        given = Settings(**{"threads": 1, "stop_seconds": 1, "log_folder": "", **settings})
        async with serving(releases, given) as server:
            await asyncio.wait_for(test(server), timeout=20)

    asyncio.run(whole())


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Semaphore]]:
    """Forward passes wait for the event; the semaphore is released by each that has begun."""
    go, begun, method = threading.Event(), threading.Semaphore(0), Runtime.run

    def waits(self: Runtime, rows: Any) -> Any:
        begun.release()
        assert go.wait(timeout=30)
        return method(self, rows)

    monkeypatch.setattr(Runtime, "run", waits)
    yield go, begun
    go.set()
