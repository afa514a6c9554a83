"""What clients send to a release that answers files: forms and base64, within limits."""

from __future__ import annotations

import asyncio
import base64
import threading
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image

from deploy.question import MAX_INPUTS
from deploy.releases import Releases
from tests.bundles import tiny_image_bundle
from tests.serving import is_sentence, released, run


def png(level: int, side: int = 8) -> bytes:
    file = BytesIO()
    Image.new("L", (side, side), level).save(file, "PNG")
    return file.getvalue()


BRIGHT, DARK = png(250), png(5)


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("question")
    made = Releases(folder / "releases")
    made.promote(made.add(tiny_image_bundle(folder / "bundle")), "test", {})
    return made.folder


def form(*files: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("file", ("secret.png", file)) for file in files]


def b64(*files: bytes) -> dict[str, list[str]]:
    return {"inputs": [base64.b64encode(file).decode() for file in files]}


@pytest.mark.parametrize("sent", [{"files": form(BRIGHT, DARK)}, {"json": b64(BRIGHT, DARK)}], ids=["form", "base64"])
def test_files_are_answered_in_their_order(releases: Path, sent: dict[str, Any]) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        answer = await client.post("/predict", **sent)
        assert answer.status_code == 200, answer.text
        assert [one["prediction"] for one in answer.json()["predictions"]] == ["bright", "dark"]

    run(releases, test)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({"files": form(BRIGHT, b"secret")}, "Example 2 is not an image"),
        ({"files": form(BRIGHT[:-20])}, "Example 1 is a truncated or corrupt image"),
        ({"files": form(png(0, 101))}, "Example 1 has more than 10000 pixels"),
        ({"files": form(*[DARK] * (MAX_INPUTS + 1))}, "The form cannot be used"),
        ({"data": {"secret": "1"}, "files": form(DARK)}, "The form cannot be used"),
        (
            {"content": b"--x--", "headers": {"content-type": "multipart/form-data; boundary=x"}},
            "The form holds no file",
        ),
        ({"content": b"secret", "headers": {"content-type": "multipart/form-data"}}, "The form cannot be used"),
        ({"json": {"inputs": ["secret!"]}}, "base64"),
        ({"json": {"inputs": []}}, "files in base64, or a form"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_sentence(releases: Path, sent: dict[str, Any], reason: str) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        answer = await client.post("/predict", **sent)
        assert answer.status_code == 422, answer.text
        assert is_sentence(answer.json()["detail"]) and reason in answer.json()["detail"]
        assert "secret" not in answer.text

    run(releases, test)


def test_a_form_over_the_limit_is_refused(releases: Path) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        assert (await client.post("/predict", files=form(DARK.ljust(1_000_000)))).status_code == 413
        assert (await client.post("/predict", files=form(DARK.ljust(900_000)))).status_code == 200

    run(releases, test, body_mb=1)


def test_a_release_that_answers_texts_takes_no_files(tmp_path: Path) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        answer = await client.post("/predict", files=form(DARK))
        assert answer.status_code == 422 and "This release answers texts" in answer.json()["detail"]

    run(released(tmp_path), test)


def test_rows_that_wait_for_their_encoding_count_as_waiting(releases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(client: httpx.AsyncClient, app: FastAPI) -> None:
        runtime = app.state.answering.runtime()
        go_on, encode = threading.Event(), runtime.encode

        def slow(examples: list[bytes]) -> Any:
            assert go_on.wait(20)
            return encode(examples)

        monkeypatch.setattr(runtime, "encode", slow)
        first = asyncio.create_task(client.post("/predict", files=form(*[DARK] * MAX_INPUTS)))
        while not app.state.answering._champion._encoding:
            await asyncio.sleep(0.01)
        assert (await client.post("/predict", files=form(DARK))).status_code == 429
        assert (await client.get("/livez")).status_code == 200
        go_on.set()
        assert (await first).status_code == 200
        assert (await client.post("/predict", files=form(DARK))).status_code == 200

    run(releases, test, queue_rows=64)
