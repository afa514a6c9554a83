"""What the server tells its operators, and that it never tells the text of a request."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from deploy.releases import Releases
from deploy.service import create_app
from deploy.settings import Settings
from deploy.telemetry import JsonLines
from tasks.runtime import Runtime
from tests.serving import is_sentence, released, run


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return released(tmp_path_factory.mktemp("service"))


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(JsonLines().format(record)) for record in caplog.records if record.name == "graft.serve"]


def test_an_unforeseen_error_is_told_by_its_request_id_alone(
    releases: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError("secret")

    monkeypatch.setattr(Runtime, "run", broken)

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        answer = await client.post("/predict", json={"inputs": ["good"]}, headers={"x-request-id": "r-7"})
        assert answer.status_code == 500 and answer.headers["x-request-id"] == "r-7"
        assert is_sentence(answer.json()["detail"]) and "r-7" in answer.json()["detail"]
        assert "secret" not in answer.text
        assert (await client.get("/livez")).status_code == 200

    with caplog.at_level(logging.INFO):
        run(releases, test)
    [line] = [line for line in lines(caplog) if line.get("request_id") == "r-7"]
    assert (line["status"], line["error"]) == (500, "ValueError")
    assert any("broken" in frame for frame in line["trace"]), "the log says where"
    assert not any(
        "secret" in json.dumps(entry).replace('raise ValueError(\\"secret\\")', "") for entry in lines(caplog)
    )


@pytest.mark.parametrize("given", ["a", "A-z_09", "x" * 64])
def test_a_request_id_is_echoed(releases: Path, given: str) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        for answer in (await client.get("/livez"), await client.post("/predict", content=b"")):
            assert answer.status_code in (200, 422)
        answer = await client.get("/livez", headers={"x-request-id": given})
        assert answer.headers["x-request-id"] == given

    run(releases, test)


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 65, "ü", 'a","b', "a;b"])
def test_a_request_id_of_ours_replaces_none_and_a_bad_one(releases: Path, given: str | None) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        headers = [] if given is None else [(b"x-request-id", given.encode())]
        ids = [(await client.get("/livez", headers=headers)).headers["x-request-id"] for _ in range(2)]
        assert all(re.fullmatch("[0-9a-f]{32}", made) for made in ids) and ids[0] != ids[1]

    run(releases, test)


def test_one_line_per_request_without_its_text(releases: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        caplog.clear()
        await client.post("/predict", json={"inputs": ["good secret", "bad"]}, headers={"x-request-id": "one"})
        await client.post("/predict", json={"inputs": ["secret", ""]}, headers={"x-request-id": "two"})
        await client.get("/secret?text=secret", headers={"x-request-id": "three"})

    with caplog.at_level(logging.INFO):
        run(releases, test)
    found = {line["request_id"]: line for line in lines(caplog) if "request_id" in line}
    told = [(line["method"], line["route"], line["status"], line.get("rows")) for line in found.values()]
    assert list(found) == ["one", "two", "three"]
    assert told == [("POST", "/predict", 200, 2), ("POST", "/predict", 422, 2), ("GET", "other", 404, None)]
    assert found["one"]["version"] == Releases(releases).current() and found["one"]["milliseconds"] > 0
    assert "secret" not in json.dumps(lines(caplog)) and "\n" not in JsonLines().format(caplog.records[0])


def test_a_client_that_goes_away_is_no_error(releases: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def test(_: httpx.AsyncClient, app: FastAPI) -> None:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "headers": []}
        await app(scope, receive, send)
        assert sent == []

    with caplog.at_level(logging.INFO):
        run(releases, test)
    [line] = [line for line in lines(caplog) if line.get("route") == "/predict"]
    assert line["status"] == 499 and "error" not in line


def test_no_other_telemetry_sees_the_texts(releases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def remember(**settings: Any) -> FastAPI:
        given.update(settings)
        return FastAPI(**settings)

    monkeypatch.setattr("deploy.service.FastAPI", remember)
    create_app(Releases(releases), settings=Settings(threads=1))
    assert {"tracing", "metrics", "logs", "auto_configure"} <= given["telemetry"].keys()
    assert not any(given["telemetry"].values())


def test_metrics_count_what_happened(releases: Path) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        await client.post("/predict", json={"inputs": ["good", "bad", "bad"]})
        await client.post("/predict", json={"inputs": []})
        await client.get("/nowhere")
        text = (await client.get("/metrics")).text
        version = Releases(releases).current()
        for wanted in (
            'graft_requests_total{route="/predict",status="200"} 1.0',
            'graft_requests_total{route="/predict",status="422"} 1.0',
            'graft_requests_total{route="other",status="404"} 1.0',
            'graft_request_seconds_count{route="/predict"} 2.0',
            "graft_batch_rows_count 1.0",
            "graft_batch_rows_sum 3.0",
            f'graft_predictions_total{{label="good",version="{version}"}} 1.0',
            f'graft_predictions_total{{label="bad",version="{version}"}} 2.0',
            f'graft_answer_seconds_count{{version="{version}"}} 1.0',
            f'graft_bundle_info{{alias="champion",artefact="onnx",project="tiny",version="{version}"}} 1.0',
        ):
            assert wanted in text.splitlines()

    run(releases, test)


def test_two_applications_count_apart(releases: Path) -> None:
    first, second = (create_app(Releases(releases), settings=Settings(threads=1)) for _ in range(2))
    assert first.state.answering.metrics.registry is not second.state.answering.metrics.registry
