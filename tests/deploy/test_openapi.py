"""What /openapi.json says is what the server does: told by schemathesis, which makes requests of it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from deploy.keys import Keys
from deploy.openapi import WHEN
from deploy.releases import Releases
from deploy.service import create_app
from deploy.settings import Settings
from tests.bundles import tiny_image_bundle
from tests.serving import released, run

KEY = "a key of more than 16"


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return released(tmp_path_factory.mktemp("openapi"))


def predict_of(schema: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = schema["paths"]["/predict"]["post"]
    return operation


def inputs_of(schema: dict[str, Any]) -> dict[str, Any]:
    inputs: dict[str, Any] = predict_of(schema)["requestBody"]["content"]["application/json"]["schema"]["properties"][
        "inputs"
    ]
    return inputs


def test_it_tells_every_status_and_the_limits_of_the_release(releases: Path) -> None:
    async def test(client: httpx.AsyncClient, app: FastAPI) -> None:
        schema = (await client.get("/openapi.json")).json()
        assert {*predict_of(schema)["responses"]} == {"200", *map(str, WHEN)}
        assert "Retry-After" in predict_of(schema)["responses"]["429"]["headers"]
        text = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"\S"}
        assert inputs_of(schema)["items"] == text
        assert (inputs_of(schema)["minItems"], inputs_of(schema)["maxItems"]) == (1, 64)
        assert "security" not in predict_of(schema)

    run(releases, test)


def test_the_documentation_tells_every_status_that_is_no_answer() -> None:
    page = (Path(__file__).parents[2] / "docs/deployment.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d{3}(?:, \d{3})*) \|", page, flags=re.MULTILINE)
    told = [int(status) for row in rows for status in row.split(", ")]
    assert sorted(told) == sorted({*WHEN, 404, 405}), "each in one row"


def test_before_a_release_is_there_it_tells_what_is_common_to_all(releases: Path) -> None:
    schema = create_app(Releases(releases), settings=Settings(threads=1), keys=Keys([KEY])).openapi()
    assert inputs_of(schema)["items"] == {"type": "string"}
    assert predict_of(schema)["security"] == [{"key": []}] == schema["paths"]["/metrics"]["get"]["security"]
    assert "security" not in schema["paths"]["/readyz"]["get"]


def test_a_release_of_files_takes_a_form_too(tmp_path: Path) -> None:
    releases = Releases(tmp_path / "releases")
    releases.promote(releases.add(tiny_image_bundle(tmp_path / "bundle")), "test", {})

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        schema = (await client.get("/openapi.json")).json()
        assert {*predict_of(schema)["requestBody"]["content"]} == {"application/json", "multipart/form-data"}
        assert inputs_of(schema)["items"]["contentEncoding"] == "base64"

    run(releases.folder, test)


@contextmanager
def listening(releases: Path) -> Iterator[str]:
    """Address of a server in a thread of this process."""
    app = create_app(Releases(releases), settings=Settings(threads=1))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not (server.started and app.state.loading.done()):
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
def test_it_is_true(releases: Path, mode: str) -> None:
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: pip install -e '.[dev]'")
    from hypothesis import HealthCheck, Phase, given
    from hypothesis import settings as examples

    asked: set[str] = set()
    with listening(releases) as address:
        schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
        for operation in [result.ok() for result in schema.get_all_operations()]:
            if mode == "NEGATIVE" and operation.path != "/predict":
                continue  # nothing can be wrong with a request that carries nothing

            @examples(
                max_examples=40, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode[mode]))
            def holds(case: Any) -> None:
                case.call_and_validate()

            holds()
            asked.add(operation.path)
    assert asked >= ({"/predict"} if mode == "NEGATIVE" else {"/predict", "/livez", "/readyz", "/metrics"})
