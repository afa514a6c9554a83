"""Keys: without one nobody is let in, and none is ever told."""

from __future__ import annotations

import asyncio
import hmac
import logging
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from fastapi import Request

from deploy import keys
from deploy.keys import Keys
from deploy.releases import Releases
from deploy.service import create_app
from deploy.settings import Settings, ignored_names
from deploy.telemetry import JsonLines
from tasks.errors import InputError
from tests.serving import is_sentence, released

FIRST, SECOND = "first-" + "k" * 16, "second-ü-" + "k" * 16


def statuses(folder: Path, headers: dict[str, bytes], path: str = "/predict") -> httpx.Response:
    async def test() -> httpx.Response:
        app = create_app(Releases(released(folder)), settings=Settings(threads=1), keys=Keys([FIRST, SECOND]))
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://t") as c:
            await app.state.loading
            method = "POST" if path == "/predict" else "GET"
            return await c.request(method, path, headers=headers, content=b'{"inputs": ["good"]}')

    return asyncio.run(asyncio.wait_for(test(), timeout=60))


@pytest.mark.parametrize("key", [f"Bearer {FIRST}", f"bearer  {SECOND}"])
def test_a_key_lets_in(tmp_path: Path, key: str) -> None:
    assert statuses(tmp_path, {"authorization": key.encode()}).status_code == 200


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", FIRST, f"Basic {FIRST}", f"Bearer {FIRST[:-1]}", f"Bearer {FIRST}x", "Bearer ÿ"],
)
def test_anything_else_does_not_and_is_never_logged(
    tmp_path: Path, header: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    given = {} if header is None else {"authorization": header.encode()}
    with caplog.at_level(logging.INFO):
        answer = statuses(tmp_path, given)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert is_sentence(answer.json()["detail"])
    logged = "".join(JsonLines().format(record) for record in caplog.records)
    assert '"status": 401' in logged and "kkkk" not in logged + answer.text


@pytest.mark.parametrize("header", [b"", b"Bearer ", FIRST.encode(), f"Basic {FIRST}".encode()])
def test_who_brings_no_key_is_told_how(tmp_path: Path, header: bytes) -> None:
    told = "This server asks for a key: send it in the header Authorization, after Bearer and a space."
    assert statuses(tmp_path, {"authorization": header}).json() == {"detail": told}


@pytest.mark.parametrize("key", [FIRST[:-1], "another"])
def test_who_brings_a_wrong_key_is_told_so(tmp_path: Path, key: str) -> None:
    told = "This server does not know the key in the header Authorization: send one that it was given."
    assert statuses(tmp_path, {"authorization": f"Bearer {key}".encode()}).json() == {"detail": told}


def test_health_needs_none_and_metrics_do(tmp_path: Path) -> None:
    found = [
        statuses(tmp_path / path[1:], {}, path).status_code
        for path in ("/livez", "/readyz", "/openapi.json", "/metrics")
    ]
    assert found == [200, 200, 200, 401]


def test_every_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def counted(given: bytes, digest: bytes) -> bool:
        compared.append((len(given), len(digest)))
        return hmac.compare_digest(given, digest)

    monkeypatch.setattr(keys, "hmac", SimpleNamespace(compare_digest=counted))
    scope = {"type": "http", "headers": [(b"authorization", f"Bearer {FIRST}".encode())]}
    Keys([FIRST, SECOND]).check(Request(scope))
    assert compared == [(32, 32)] * 2, "digests, so that not even the length of a key shows"


def test_keys_come_from_the_environment_and_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"\n {SECOND} \n\n")
    assert not Keys.from_environment({}).wanted
    both = {"GRAFT_API_KEYS": f"{FIRST}, ", "GRAFT_API_KEYS_FILE": str(file)}
    assert Keys.from_environment(both)._digests == Keys([FIRST, SECOND])._digests
    assert ignored_names(both) == []
    assert FIRST not in repr(vars(Keys.from_environment(both)))


@pytest.mark.parametrize("name", ["GRAFT_API_KEYS", "GRAFT_API_KEYS_FILE"])
@pytest.mark.parametrize("value", ["", " , "])
def test_a_variable_without_a_value_opens_no_server(name: str, value: str) -> None:
    with pytest.raises(InputError, match=f"{name} is set but empty"):
        Keys.from_environment({name: value})


@pytest.mark.parametrize("name", ["GRAFT_API_KEY", "GRAFT_API_KEY_FILE", "GRAFT_APIKEYS", "GRAFT_API", "GRAFT_KEYS"])
@pytest.mark.parametrize("also", [{}, {"GRAFT_API_KEYS": FIRST}])
def test_a_misspelt_variable_of_keys_opens_no_server(name: str, also: dict[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        Keys.from_environment({name: SECOND, **also})
    assert str(caught.value) == (
        f"{name} is no setting, and without keys the server would let all in: call it GRAFT_API_KEYS or "
        "GRAFT_API_KEYS_FILE, or unset it."
    )


@pytest.mark.parametrize(
    "name",
    ["GRAFT_API_SERVICE_HOST", "GRAFT_API_SERVICE_PORT_HTTP", "GRAFT_API_PORT", "GRAFT_API_PORT_80_TCP_ADDR"],
)
def test_what_kubernetes_sets_for_a_service_is_no_key(name: str) -> None:
    assert not Keys.from_environment({name: "tcp://10.0.0.1:80"}).wanted


@pytest.mark.parametrize("content", [None, b"", b"\n \n", b"\xff" * 20, b"short"])
def test_a_file_that_gives_no_key_lets_nobody_start(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        Keys.from_environment({"GRAFT_API_KEYS_FILE": str(file)})
    assert is_sentence(str(caught.value).replace("GRAFT", "A", 1)) and "short" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "which cannot be read (No such file or directory): name a file with a key in each line that the"),
        (b"\xff" * 20, "which cannot be read (it is not UTF-8): name a file with a key in each line that the"),
        (b" \n", "which has no key: write one into each line, or unset it."),
    ],
)
def test_a_refusal_names_the_file_of_keys(tmp_path: Path, content: bytes | None, why: str) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        Keys.from_environment({"GRAFT_API_KEYS_FILE": str(file)})
    assert str(caught.value).startswith(f"GRAFT_API_KEYS_FILE names {file}, {why}")
