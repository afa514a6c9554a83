"""The server as a process: what it imports, how it starts, listens, stops, and how it ends when it cannot start."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn

from deploy import service
from deploy.predictions import read
from deploy.releases import Releases
from deploy.service import _listen, _Server, create_app
from deploy.settings import Settings
from tasks.errors import InputError
from tests.bundles import tiny_bundle
from tests.serving import released


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return released(tmp_path_factory.mktemp("service"))


def test_importing_it_loads_no_training_code() -> None:
    heavy = ["torch", "transformers", "prefect", "dvc", "datasets", "sklearn", "pandas"]
    code = f"import sys, deploy.service; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@asynccontextmanager
async def served(*program: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *(program or ("-m", "deploy.service")), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "GRAFT_THREADS": "1", "GRAFT_LISTEN_PORT": "0", **environment},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line_with(process: asyncio.subprocess.Process, message: str) -> dict[str, Any]:
    """The first line of the log with this message."""
    assert process.stdout
    while text := await process.stdout.readline():
        line: dict[str, Any] = json.loads(text)
        if line["message"] == message:
            return line
    raise AssertionError(f"the server ended without saying {message!r}")


def test_a_request_that_has_begun_is_finished_when_the_server_is_stopped(releases: Path) -> None:
    async def test() -> None:
        async with served(GRAFT_RELEASES=str(releases)) as process:
            port = (await line_with(process, "start"))["address"].rpartition(":")[2]
            assert (await line_with(process, "ready"))["version"] == Releases(releases).current()
            reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
            body = b'{"inputs": ["good"]}'
            head = ["POST /predict HTTP/1.1", "Host: t", "Connection: close", f"Content-Length: {len(body)}"]
            writer.write("\r\n".join([*head, "Expect: 100-continue", "", ""]).encode())
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100"), "the server wants the body"
            process.send_signal(signal.SIGTERM)
            await line_with(process, "Shutting down")
            writer.write(body)
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 200") and b'"prediction":"good"' in answer
            writer.close()
            assert await process.wait() == 0

    asyncio.run(asyncio.wait_for(test(), timeout=60))


# After it was asked twice for the release to load, the store says nothing more.
SILENT_STORE = """
import itertools, sys, threading
from deploy.releases import Releases
from deploy.service import main
current, asked = Releases.current, itertools.count()
def silent(*names):
    if next(asked) < 2:
        return current(*names)
    print('{"message": "asked"}', flush=True)
    threading.Event().wait()
Releases.current = silent
sys.exit(main())
"""
# Its files are never read to their end.
SILENT_FILES = """
import sys, threading
from deploy.service import main
from tasks.runtime import Runtime
def silent(*given):
    print('{"message": "asked"}', flush=True)
    threading.Event().wait()
Runtime.load = silent
sys.exit(main())
"""


def test_a_process_ends_though_its_store_never_answers(releases: Path, tmp_path: Path) -> None:
    async def test() -> None:
        place = {"GRAFT_RELEASES": str(releases), "GRAFT_LOG_FOLDER": str(tmp_path), "GRAFT_LOG_SECONDS": "3600"}
        async with served("-c", SILENT_STORE, **place) as process:
            address = (await line_with(process, "start"))["address"]
            await line_with(process, "asked")
            async with httpx.AsyncClient(base_url=f"http://{address}") as client:
                assert (await client.post("/predict", json={"inputs": ["good"]})).status_code == 200
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0

    asyncio.run(asyncio.wait_for(test(), timeout=60))
    assert [table.num_rows for _, table in read(tmp_path)] == [1]


def test_a_process_ends_though_its_release_is_never_read(releases: Path) -> None:
    async def test() -> None:
        async with served("-c", SILENT_FILES, GRAFT_RELEASES=str(releases)) as process:
            await line_with(process, "asked")
            process.send_signal(signal.SIGTERM)
            await process.wait()

    asyncio.run(asyncio.wait_for(test(), timeout=60))


def test_a_signal_makes_it_unready_before_it_stops_listening(releases: Path) -> None:
    app = create_app(Releases(releases), settings=Settings(threads=1))
    server = _Server(uvicorn.Config(app, log_config=None), app.state.answering)
    server.handle_exit(signal.SIGTERM, None)
    assert app.state.answering.draining and server.should_exit and not server.force_exit
    server.handle_exit(signal.SIGINT, None)
    assert server.force_exit, "a second Ctrl-C does not wait"


def test_a_server_that_drains_goes_on_until_load_balancers_have_seen_it(
    releases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(service, "time", SimpleNamespace(monotonic=lambda: now))
    app = create_app(Releases(releases), settings=Settings(threads=1))
    server = _Server(uvicorn.Config(app, log_config=None), app.state.answering, drain_seconds=5)

    server.config.load()

    async def stops() -> bool:
        return await server.on_tick(1)

    assert not asyncio.run(stops())
    server.handle_exit(signal.SIGTERM, None)
    assert app.state.answering.draining, "not ready any more"
    assert not asyncio.run(stops())
    now = 105.0
    assert asyncio.run(stops())
    server.handle_exit(signal.SIGTERM, None)
    assert server.should_exit, "a second signal does not wait"


def test_a_server_without_its_release_ends_with_a_sentence(tmp_path: Path) -> None:
    async def test() -> None:
        async with served(GRAFT_RELEASES=str(tmp_path / "none")) as process:
            _, told = await process.communicate()
            assert process.returncode == 2
            assert told.decode().startswith("Alias champion names no release") and told.count(b"\n") == 1

    asyncio.run(asyncio.wait_for(test(), timeout=60))


def test_a_server_with_a_damaged_release_ends_with_a_sentence(tmp_path: Path) -> None:
    releases = Releases(tmp_path / "releases")
    releases.promote(version := releases.add(tiny_bundle(tmp_path / "bundle")), "r", {})
    (releases.path_of(version) / "card.md").unlink()

    async def test() -> None:
        async with served(GRAFT_RELEASES=str(releases.folder)) as process:
            _, told = await process.communicate()
            assert process.returncode == 2 and b"card.md" in told and told.count(b"\n") == 1

    asyncio.run(asyncio.wait_for(test(), timeout=60))


def test_a_server_whose_keys_are_misspelt_ends_with_a_sentence(releases: Path) -> None:
    async def test() -> None:
        async with served(GRAFT_RELEASES=str(releases), GRAFT_API_KEY="k" * 32) as process:
            _, told = await process.communicate()
            assert process.returncode == 2 and told.count(b"\n") == 1
            assert told.decode().startswith("GRAFT_API_KEY is no setting") and "kkk" not in told.decode()

    asyncio.run(asyncio.wait_for(test(), timeout=60))


def test_a_misspelt_setting_is_a_warning_of_its_own(releases: Path) -> None:
    async def test() -> None:
        async with served(GRAFT_RELEASES=str(releases), GRAFT_PORT="9000", GRAFT_QUEUE_ROW="9") as process:
            line = await line_with(process, "settings ignored")
            assert (line["level"], line["names"]) == ("warning", ["GRAFT_PORT", "GRAFT_QUEUE_ROW"])
            assert line["reason"] == "No setting of the server is called so: correct the name, or unset it."

    asyncio.run(asyncio.wait_for(test(), timeout=60))


def test_a_killed_server_leaves_a_log_that_can_be_read_and_no_text_in_its_lines(tmp_path: Path) -> None:
    releases = released(tmp_path)
    log, asked, answered = releases / "predictions", 0, 0

    def names() -> list[str]:
        return [name for _, table in read(log) for name in table.column("request_id").to_pylist()]

    async def ask(client: httpx.AsyncClient) -> None:
        nonlocal asked, answered
        with contextlib.suppress(httpx.TransportError):
            while True:
                asked += 1
                answer = await client.post(
                    "/predict", json={"inputs": ["good secret"]}, headers={"x-request-id": f"r-{asked}"}
                )
                assert answer.status_code == 200
                answered += 1

    async def test() -> None:
        async with served(GRAFT_RELEASES=str(releases), GRAFT_LOG_SECONDS="0.01") as process:
            address = (await line_with(process, "start"))["address"]
            await line_with(process, "ready")
            reading = asyncio.create_task(process.communicate())
            async with httpx.AsyncClient(base_url=f"http://{address}") as client:
                asking = [asyncio.create_task(ask(client)) for _ in range(4)]
                while len(names()) < 100:
                    await asyncio.sleep(0.005)
                process.kill()
                await asyncio.gather(*asking)
            lines, _ = await reading
            assert b"r-1" in lines and b"secret" not in lines

    asyncio.run(asyncio.wait_for(test(), timeout=60))
    found = names()
    assert 100 <= len(found) == len(set(found)) <= answered + 4
    assert set(found) <= {f"r-{number}" for number in range(1, asked + 1)}
    assert b"secret" not in b"".join(path.read_bytes() for path in log.iterdir())


def test_a_port_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InputError, match="cannot be opened"):
        _listen("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize("host", ["nohost.invalid", "203.0.113.7", "ä" * 70])
def test_of_a_host_that_is_not_here_the_port_is_not_blamed(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def bind(_: socket.socket, address: tuple[str, int]) -> None:
        told = {
            "ä" * 70: TypeError("encoding of hostname failed"),
            "203.0.113.7": OSError(errno.EADDRNOTAVAIL, "Cannot assign"),
        }
        raise told.get(address[0], socket.gaierror(-2, "Name or service not known"))

    monkeypatch.setattr(service.socket, "socket", type("Deaf", (socket.socket,), {"bind": bind}))
    with pytest.raises(InputError) as caught:
        _listen(host, 8000)
    assert str(caught.value).startswith(f"Host {host} is no address of this machine (")
    assert "): set GRAFT_LISTEN_HOST to one, as 127.0.0.1 for this machine alone" in str(caught.value)


def test_answers_do_not_wait_for_an_acknowledgement() -> None:
    with _listen("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP, "else asyncio leaves Nagle's algorithm on: 40 ms an answer"
