"""Whatever is sent is answered or refused in a sentence that quotes nothing of it, and leaves nothing behind."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from tests.fuzz import MARK, Request, requests
from tests.serving import is_sentence, released, run

COUNT = 2_000


async def asked(app: FastAPI, request: Request) -> tuple[int, bytes]:
    """Status and body; straight to the application, since a client would refuse to send some of these."""
    sent: list[Any] = []
    headers = [(b"content-type", request.kind.encode("latin-1"))]
    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers}
    scope |= {"query_string": request.query.encode(), "http_version": "1.1", "scheme": "http", "state": {}}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": request.body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


def test_2000_bodies(tmp_path: Path) -> None:
    statuses: Counter[int] = Counter()

    async def test(_: httpx.AsyncClient, app: FastAPI) -> None:
        for request in requests(seed=0, count=COUNT):
            status, body = await asked(app, request)
            statuses[status] += 1
            assert MARK.encode() not in body, request
            if status == 200:
                predictions = json.loads(body)["predictions"]
                assert len(predictions) == len(json.loads(request.body)["inputs"])
            else:
                assert is_sentence(json.loads(body)["detail"]), (request, body)

    run(released(tmp_path), test, log_folder="")
    assert set(statuses) == {200, 422}, statuses
    assert min(statuses.values()) > COUNT / 50, "some of them can be answered"
