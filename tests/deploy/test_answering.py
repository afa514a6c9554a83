"""A running server follows its alias: no request is lost, and each answer is that of the version it names.

The other release answers "good" with bad and "bad" with good, so that an answer shows who gave it.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from deploy import live
from deploy.predictions import read
from deploy.releases import Releases
from tasks.runtime import Runtime
from tests.bundles import tiny_image_bundle
from tests.following import Held, Two, until_metric, until_served
from tests.following import two as two
from tests.serving import run


def test_requests_that_come_together_have_a_pass_and_a_thread_each(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, together = threading.Semaphore(0), threading.Barrier(2, timeout=10)
    forward, load, threads = Runtime.run, Runtime.load, list[int]()

    def both(self: Runtime, rows: list[Any]) -> Any:
        begun.release()
        together.wait()  # breaks unless two passes run at once
        return forward(self, rows)

    def told(folder: Path, number: int, version: str | None = None) -> Runtime:
        threads.append(number)
        return load(folder, number, version)

    monkeypatch.setattr(Runtime, "run", both)
    monkeypatch.setattr(Runtime, "load", told)

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        first = asyncio.create_task(client.post("/predict", json={"inputs": ["good"]}))
        assert await asyncio.to_thread(begun.acquire, timeout=20)
        second = await client.post("/predict", json={"inputs": ["good"]})
        assert (await first).status_code == second.status_code == 200 and threads == [1]

    two.run(test, threads=2)


def test_moves_under_load_lose_no_request(two: Two) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        served: list[str] = []
        stop = asyncio.Event()

        async def ask(word: str) -> None:
            while not stop.is_set():
                answer = await client.post("/predict", json={"inputs": [word] * 3})
                assert answer.status_code == 200, answer.text
                version = answer.json()["version"]
                assert {p["prediction"] for p in answer.json()["predictions"]} == {two.answer(version, word)}
                served.append(version)

        clients = [asyncio.create_task(ask(word)) for word in ("good", "bad") * 4]
        for version in (two.second, two.first) * 3:
            await asyncio.to_thread(two.promote, version)
            await until_served(client, version)
            asked = len(served)
            while len(served) < asked + 16:
                await asyncio.sleep(0.001)
        stop.set()
        await asyncio.gather(*clients)
        assert {*served} == {two.first, two.second}

    two.run(test)


def test_a_request_in_the_forward_pass_is_answered_by_the_release_that_took_it(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Held(monkeypatch, Runtime, "run")

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        running, waits = await two.taken_by_the_first(client, forward)
        forward.held = False
        new = await client.post("/predict", json={"inputs": ["good"]})
        forward.go.set()
        answers = [(await running).json(), (await waits).json(), new.json()]
        assert [answer["version"] for answer in answers] == [two.first, two.first, two.second]
        assert [answer["predictions"][0]["prediction"] for answer in answers] == ["good", "bad", "bad"]

    two.run(test)


def test_a_request_that_was_encoded_for_a_release_that_is_gone_goes_to_the_new_one(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = Held(monkeypatch, Runtime, "encode")

    async def test(client: httpx.AsyncClient, app: FastAPI) -> None:
        batcher = app.state.answering._champion._loaded[1]
        encode.held = True
        texts = ["good " * 30] * 10
        assert sum(map(len, texts)) > live.ENCODED_AT_ONCE
        held = asyncio.create_task(client.post("/predict", json={"inputs": texts}))
        await encode.until_begun()
        two.promote(two.second)
        await until_served(client, two.second)
        while not batcher._worker.done():
            await asyncio.sleep(0.001)
        encode.held = False
        encode.go.set()
        answer = await held
        assert answer.status_code == 200 and answer.json()["version"] == two.second
        assert {p["prediction"] for p in answer.json()["predictions"]} == {"bad"}

    two.run(test)


def test_metrics_log_and_memory_know_the_new_release_alone(two: Two) -> None:
    async def test(client: httpx.AsyncClient, app: FastAPI) -> None:
        await client.post("/predict", json={"inputs": ["good"]})
        old = [weakref.ref(part) for part in app.state.answering._champion._loaded]
        two.promote(two.second)
        await until_served(client, two.second)
        while any(part() for part in old):
            await asyncio.sleep(0.001)
        await client.post("/predict", json={"inputs": ["good"]})
        bundles = [line for line in (await client.get("/metrics")).text.splitlines() if "graft_bundle_info{" in line]
        assert len(bundles) == 1 and f'version="{two.second}"' in bundles[0]

    two.run(test)
    rows = [row for _, table in read(two.releases.folder / "predictions") for row in table.to_pylist()]
    assert {row["version"]: row["prediction"] for row in rows} == {two.first: "good", two.second: "bad"}


@pytest.mark.parametrize("library", ["glibc", "another"])
def test_memory_goes_back_to_the_system_where_that_can_be_asked(
    two: Two, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    calls: list[int] = []
    offered = SimpleNamespace(malloc_trim=calls.append) if library == "glibc" else object()
    monkeypatch.setattr(live, "ctypes", SimpleNamespace(CDLL=lambda _: offered))

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        for version in (two.second, two.first):
            two.promote(version)
            await until_served(client, version)
        while library == "glibc" and len(calls) < 2:
            await asyncio.sleep(0.001)

    two.run(test)
    assert calls == ([0, 0] if library == "glibc" else [])


def test_a_server_of_a_version_never_moves(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Any] = []
    monkeypatch.setattr(Releases, "current", lambda *name: looked.append(name))

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        assert (await client.get("/readyz")).json() == {"version": two.second}

    two.run(test, alias=two.second)
    assert looked == [], "a follower looks at once"


@pytest.mark.parametrize(("told", "kept"), [(0, [None, None]), (1, ["good", "bad good"])])
def test_answers_are_logged_and_texts_only_when_told(two: Two, told: int, kept: list[str | None]) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        await client.post("/predict", json={"inputs": ["good", "bad good"]}, headers={"x-request-id": "r-1"})
        await client.post("/predict", json={"inputs": ["secret", ""]})

    two.run(test, log_inputs=told)
    [(_, table)] = read(two.releases.folder / "predictions")
    rows = table.to_pylist()
    assert [row["input"] for row in rows] == kept, "and a refused request is not answered, so not logged"
    assert [(row["request_id"], row["row"], row["version"]) for row in rows] == [
        ("r-1", place, two.first) for place in (0, 1)
    ]
    assert [row["prediction"] for row in rows] == ["good", "good"]
    assert [row["projection"] for row in rows] == [[1.0, 0.0], [0.5, 0.5]]
    assert rows[1]["probability"] == 0.5


def test_files_are_never_logged(tmp_path: Path) -> None:
    releases = Releases(tmp_path / "releases")
    releases.promote(releases.add(tiny_image_bundle(tmp_path / "bundle")), "test", {})
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        assert (await client.post("/predict", json={"inputs": [pixel]})).status_code == 200

    run(releases.folder, test, log_inputs=1)
    [(_, table)] = read(releases.folder / "predictions")
    [row] = table.to_pylist()
    assert (row["prediction"], row["input"], row["projection"]) == ("dark", None, None)


def test_the_log_can_be_elsewhere_or_off_and_is_no_release(two: Two, tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        assert (await client.post("/predict", json={"inputs": ["good"]})).status_code == 200

    two.run(test, log_folder="")
    assert not (two.releases.folder / "predictions").exists()
    two.run(test, log_folder=str(tmp_path / "elsewhere"))
    assert not (two.releases.folder / "predictions").exists() and len(list(read(tmp_path / "elsewhere"))) == 1
    two.run(test)
    assert len(list(read(two.releases.folder / "predictions"))) == 1
    assert two.releases.versions() == sorted([two.first, two.second])


def test_a_log_that_cannot_be_written_costs_no_request(two: Two) -> None:
    (two.releases.folder / "predictions").write_text("in the way")

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        await until_metric(client, "graft_log_refused_writes_total 0.0")
        assert (await client.post("/predict", json={"inputs": ["good"]})).status_code == 200
        while "graft_log_refused_writes_total 0.0" in (await client.get("/metrics")).text:
            assert (await client.post("/predict", json={"inputs": ["good"]})).status_code == 200

    two.run(test, log_seconds=0.01)
