"""The server over its HTTP surface, on the tiny bundle of tests/bundles.py: "good" answers good, "bad" bad."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from deploy.releases import Releases
from deploy.service import ROUTES
from deploy.settings import MEGABYTE
from tasks.runtime import Runtime
from tests.bundles import flip_byte, tiny_bundle
from tests.serving import is_sentence, released, run

SURE = 1 / (1 + math.exp(-4))


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return released(tmp_path_factory.mktemp("service"))


def test_predictions_come_with_the_version_that_made_them(releases: Path) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        answer = await client.post("/predict", json={"inputs": ["good", "bad bad", "good bad"]})
        assert answer.status_code == 200
        version, predictions = answer.json()["version"], answer.json()["predictions"]
        assert version == Releases(releases).current()
        assert [p["prediction"] for p in predictions] == ["good", "bad", "good"]
        assert [p["probability"] for p in predictions] == pytest.approx([SURE, SURE, 0.5])
        assert answer.json().keys() == {"version", "predictions"}

    run(releases, test)


@pytest.mark.parametrize(("count", "labels"), [(1, ["bad"]), (2, ["bad", "good"]), (9, ["bad", "good"])])
def test_more_labels_come_on_request_the_most_probable_first(releases: Path, count: int, labels: list[str]) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        answer = await client.post(f"/predict?top_k={count}", json={"inputs": ["bad"]})
        [prediction] = answer.json()["predictions"]
        assert [one["prediction"] for one in prediction["top"]] == labels
        assert [one["probability"] for one in prediction["top"]] == pytest.approx([SURE, 1 - SURE][: len(labels)])
        assert prediction["prediction"] == "bad" and prediction["probability"] == prediction["top"][0]["probability"]

    run(releases, test)


def test_all_of_a_great_many_labels_come_and_an_answer_of_too_many_is_refused(tmp_path: Path) -> None:
    labels = [f"label {i}" for i in range(1200)]
    releases = Releases(tmp_path / "releases")
    head = np.outer([1.0, 0.0], np.linspace(0, 1, 1200)).astype(np.float32)
    releases.promote(releases.add(tiny_bundle(tmp_path / "bundle", head, labels=labels)), "test", {})

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        answer = await client.post("/predict?top_k=1200", json={"inputs": ["good"]})
        top = answer.json()["predictions"][0]["top"]
        assert [one["prediction"] for one in top] == labels[::-1]
        assert sum(one["probability"] for one in top) == pytest.approx(1)
        most = await client.post("/predict?top_k=1000", json={"inputs": ["good"] * 64})
        refused = await client.post("/predict?top_k=10000", json={"inputs": ["good"] * 64})
        assert (most.status_code, refused.status_code) == (200, 422)
        assert "top_k asks for 10000 of each of 64 inputs" in refused.json()["detail"]
        assert is_sentence(refused.json()["detail"])

    run(releases.folder, test)


@pytest.mark.parametrize("query", ["topk=2", "top_k=2&secret=1", "Top_K=2", "secret"])
def test_a_parameter_that_there_is_not_is_told(releases: Path, query: str) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        answer = await client.post(f"/predict?{query}", json={"inputs": ["bad"]})
        assert answer.status_code == 422 and "another parameter than top_k" in answer.json()["detail"]
        assert is_sentence(answer.json()["detail"]) and "secret" not in answer.text

    run(releases, test)


@pytest.mark.parametrize("count", ["0", "10001", "secret", "1.5", ""])
def test_a_number_of_labels_that_is_none_is_told(releases: Path, count: str) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        answer = await client.post(f"/predict?top_k={count}", json={"inputs": ["bad"]})
        assert answer.status_code == 422 and "top_k is no whole number from 1 to 10000" in answer.json()["detail"]
        assert is_sentence(answer.json()["detail"]) and "secret" not in answer.text

    run(releases, test)


def test_the_version_itself_can_be_served(releases: Path) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        assert (await client.get("/readyz")).json() == {"version": Releases(releases).current()}

    run(releases, test, alias=Releases(releases).current() or "")


def test_many_clients_at_once_get_their_own_answers(releases: Path) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        words = ["good", "bad"] * 20
        answers = await asyncio.gather(*[client.post("/predict", json={"inputs": [word]}) for word in words])
        assert [answer.json()["predictions"][0]["prediction"] for answer in answers] == words

    run(releases, test)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"secret", "it is not JSON"),
        (b"", "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"[" * 10_000, "it is not JSON"),
        (b'{"inputs": ["secret \\ud800"]}', "it is not JSON"),
        (b'["secret"]', "it has another form"),
        (b'{"inputs": "secret"}', "it has another form"),
        (b'{"text": "secret"}', "inputs is missing"),
        (b'{"inputs": ["x"], "secret": 1}', "it has another key than inputs"),
        (b'{"inputs": ["x", 3]}', "one of inputs is not a string"),
        (b'{"inputs": ["x", null]}', "one of inputs is not a string"),
        (b'{"inputs": []}', "inputs is empty"),
        (json.dumps({"inputs": ["secret"] * 65}).encode(), "inputs holds more than 64 examples"),
        (b'{"inputs": ["x", " "]}', "Example 2 is empty"),
        (json.dumps({"inputs": ["secret" * 40]}).encode(), "has 240 characters, over the limit of 200"),
    ],
)
def test_an_unusable_body_is_told_in_a_sentence_and_never_echoed(releases: Path, body: bytes, reason: str) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        answer = await client.post("/predict", content=body)
        assert answer.status_code == 422 and answer.json().keys() == {"detail"}
        assert is_sentence(answer.json()["detail"]) and reason in answer.json()["detail"]
        assert "secret" not in answer.text

    run(releases, test)


def test_64_texts_of_any_script_are_answered(releases: Path) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        answer = await client.post("/predict", json={"inputs": ["好 🎉 good" * 20] * 64})
        assert len(answer.json()["predictions"]) == 64

    run(releases, test)


def test_a_body_over_the_limit_is_refused_while_it_is_read(releases: Path) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while sent < 50 * MEGABYTE:
                sent += 100_000
                yield b" " * 100_000

        answer = await client.post("/predict", content=endless())
        assert answer.status_code == 413 and is_sentence(answer.json()["detail"])
        assert sent <= 2 * MEGABYTE
        fits = b'{"inputs": ["good"]}'.ljust(MEGABYTE)
        assert (await client.post("/predict", content=fits)).status_code == 200

    run(releases, test, body_mb=1)


def test_other_paths_and_methods_are_told_what_there_is(releases: Path) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        for answer, status in ((await client.get("/secret"), 404), (await client.get("/predict"), 405)):
            assert answer.status_code == status and is_sentence(answer.json()["detail"])
            assert all(route in answer.json()["detail"] for route in ROUTES) and "secret" not in answer.text

    run(releases, test)


class HeldBack:
    """Replaces a method by one that waits for `go`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        self.go, self.begun, method = threading.Event(), threading.Event(), getattr(owner, name)

        def held_back(*args: Any, **kwargs: Any) -> Any:
            self.begun.set()
            assert self.go.wait(timeout=30)
            return method(*args, **kwargs)

        monkeypatch.setattr(owner, name, held_back)


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldBack]:
    held = HeldBack(monkeypatch, Runtime, "load")
    yield held
    held.go.set()


@pytest.fixture
def forward(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldBack]:
    held = HeldBack(monkeypatch, Runtime, "run")
    yield held
    held.go.set()


def test_it_lives_before_it_is_ready(releases: Path, loading: HeldBack) -> None:
    async def test(client: httpx.AsyncClient, app: FastAPI) -> None:
        assert (await client.get("/livez")).status_code == 200
        for answer in (await client.get("/readyz"), await client.post("/predict", json={"inputs": ["good"]})):
            assert answer.status_code == 503 and "still loading" in answer.json()["detail"]
            assert answer.headers["retry-after"] == "1"
        loading.go.set()
        await app.state.loading
        assert (await client.get("/readyz")).status_code == 200

    run(releases, test, until_ready=False)


def test_draining_is_not_ready_but_answers_what_still_comes(releases: Path) -> None:
    async def test(client: httpx.AsyncClient, app: FastAPI) -> None:
        app.state.answering.draining = True
        answer = await client.get("/readyz")
        assert answer.status_code == 503 and "stopping" in answer.json()["detail"]
        assert (await client.get("/livez")).status_code == 200
        still = await client.post("/predict", json={"inputs": ["good"]})
        assert still.status_code == 200 and still.headers["connection"] == "close", "the next goes to another server"
        await app.state.answering.close()
        assert (await client.post("/predict", json={"inputs": ["good"]})).status_code == 503

    run(releases, test)


def test_a_full_queue_answers_429_and_recovers(releases: Path, forward: HeldBack) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        def predict(rows: int) -> asyncio.Task[httpx.Response]:
            return asyncio.create_task(client.post("/predict", json={"inputs": ["good"] * rows}))

        running = predict(1)
        while not forward.begun.is_set():
            await asyncio.sleep(0.001)
        waits = predict(64)
        while 'graft_queue_rows{alias="champion"} 64.0' not in (await client.get("/metrics")).text:
            await asyncio.sleep(0.001)
        refused = await predict(1)
        assert refused.status_code == 429 and refused.headers["retry-after"] == "1"
        assert is_sentence(refused.json()["detail"])
        forward.go.set()
        assert [(await task).status_code for task in (running, waits)] == [200, 200]
        assert (await predict(1)).status_code == 200

    run(releases, test, queue_rows=64)


def test_a_pass_keeps_to_its_tokens(releases: Path) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        answer = await client.post("/predict", json={"inputs": ["good", "bad " * 8, "good", "bad " * 7]})
        assert [p["prediction"] for p in answer.json()["predictions"]] == ["good", "bad", "good", "bad"]
        metrics = (await client.get("/metrics")).text.splitlines()
        assert {"graft_batch_rows_count 2.0", "graft_batch_rows_sum 4.0"} <= {*metrics}

    run(releases, test, batch_tokens=16)


def test_a_release_that_cannot_be_loaded_is_never_ready(tmp_path: Path) -> None:
    releases = Releases(tmp_path / "releases")
    version = releases.add(tiny_bundle(tmp_path / "bundle"))
    releases.promote(version, "r", {})
    manifest = releases.path_of(version) / "manifest.json"
    manifest.chmod(0o644)
    flip_byte(manifest, manifest.read_bytes().index(b"tiny"))

    async def test(client: httpx.AsyncClient, app: FastAPI) -> None:
        await app.state.loading
        answer = await client.get("/readyz")
        assert answer.status_code == 503 and f"not of {version}" in answer.json()["detail"]

    run(releases.folder, test)
