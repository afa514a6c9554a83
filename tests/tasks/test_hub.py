"""A hub on the loopback that knows a model, wants a token, breaks off, or says nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tasks import hub
from tasks.errors import InputError
from tasks.params import Candidate
from tasks.weights import resolve

COMMIT = "c" * 40
WEIGHTS = bytes(range(256)) * 4000
FILES = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": WEIGHTS, "modeling.py": b"code"}
WANTED = ["config.json", "model.safetensors", "tokenizer.json"]


class Hub(BaseHTTPRequestHandler):
    """owner/name is open, owner/private wants a token, owner/slow never answers; every request is remembered."""

    silent = threading.Event()
    asked: ClassVar[list[tuple[str, str, str | None]]] = []
    break_off = False

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        Hub.asked.append((self.command, self.path, self.headers.get("Range")))
        if "owner/slow" in self.path:
            self.silent.wait(20)
        if "owner/private" in self.path and self.headers.get("Authorization") != "Bearer open-sesame":
            self.answer(b"", 401, X_Error_Code="GatedRepo")
        elif "/tree/" in self.path:
            tree = [
                {"type": "file", "path": name, "size": len(content), "oid": name} for name, content in FILES.items()
            ]
            self.answer(json.dumps(tree).encode())
        elif self.path.startswith("/api/models/owner/") and "/revision/" + "d" * 40 not in self.path:
            files = [{"rfilename": name} for name in FILES]
            card = {"cardData": {"license": "mit"}, "downloads": 7, "lastModified": "2025-01-02T03:04:05.000Z"}
            self.answer(json.dumps({"id": "owner/name", "sha": COMMIT, "siblings": files} | card).encode())
        elif (name := self.path.rpartition("/")[2]) in FILES:
            self.file(name)
        else:
            self.answer(b"", 404, X_Error_Code="RevisionNotFound")

    def file(self, name: str) -> None:
        content = FILES[name]
        headers = {"ETag": f'"{name}"', "X_Repo_Commit": COMMIT}
        start = int((self.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.answer(content[start:], 206, **headers)
        elif self.command == "GET" and name == "model.safetensors" and Hub.break_off:
            Hub.break_off = False
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
        else:
            self.answer(content, **headers)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    # Read from the environment when the library was imported, perhaps by another test.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    Hub.silent.clear()
    Hub.asked.clear()
    Hub.break_off = False
    yield tmp_path / "cache"
    Hub.silent.set()
    server.shutdown()


def candidate(name: str, revision: str = COMMIT) -> Candidate:
    return Candidate(source=f"hub:{name}", revision=revision)


def refusal(name: str, root: Path, revision: str = COMMIT) -> str:
    with pytest.raises(InputError) as caught:
        resolve(candidate(name, revision), root)
    (sentence,) = caught.value.sentences
    return sentence


def test_the_pinned_revision_comes_without_code(tmp_path: Path) -> None:
    folder = resolve(candidate("owner/name"), tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == WANTED
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert {path for _, path, _ in Hub.asked if "resolve" in path} == {
        f"/owner/name/resolve/{COMMIT}/{name}" for name in WANTED
    }


def test_what_is_cached_is_not_asked_for_again(tmp_path: Path) -> None:
    folder = resolve(candidate("owner/name"), tmp_path)
    Hub.asked.clear()
    assert resolve(candidate("owner/name"), tmp_path) == folder and Hub.asked == []


@pytest.mark.parametrize("missing", WANTED)
def test_what_another_program_cached_in_part_is_completed(tmp_path: Path, missing: str) -> None:
    folder = resolve(candidate("owner/name"), tmp_path)
    (folder / missing).unlink()
    assert sorted(path.name for path in resolve(candidate("owner/name"), tmp_path).iterdir()) == WANTED


def test_a_download_that_breaks_off_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", len(WEIGHTS) // 4)
    Hub.break_off = True
    folder = resolve(candidate("owner/name"), tmp_path)
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    places = [place for _, path, place in Hub.asked if place and "safetensors" in path]
    assert places == [f"bytes={len(WEIGHTS) // 2}-"]


def test_a_token_opens_what_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal("owner/private", tmp_path) == (
        "hub:owner/private at cccccccccccc… is not open to us (401): set HF_TOKEN to a token that may read it, "
        "or check the name."
    )
    monkeypatch.setenv("HF_TOKEN", "open-sesame")
    assert (resolve(candidate("owner/private"), tmp_path) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_revision_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert refusal("owner/name", tmp_path, "d" * 40) == (
        "hub:owner/name at dddddddddddd… is not on the hub (404): check the name and the revision."
    )


def test_a_hub_that_says_nothing_costs_three_seconds(tmp_path: Path) -> None:
    started = time.monotonic()
    assert "the hub did not answer within 3 seconds" in refusal("owner/slow", tmp_path)
    assert time.monotonic() - started < 3.9


def test_a_hub_that_is_not_there_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    started = time.monotonic()
    assert "check the network and HF_ENDPOINT" in refusal("owner/name", tmp_path)
    assert time.monotonic() - started < 3.9


def test_offline_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in refusal("owner/name", tmp_path)
    assert Hub.asked == []


def test_a_data_set_is_told_as_its_source_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^hf://datasets/owner/gone is not on the hub"):
        hub.commit("owner/gone", kind="dataset")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match=r"^hf://datasets/owner/name may not be asked for, for HF_HUB_OFFLINE is set"):
        hub.commit("owner/name", kind="dataset")


def test_the_commit_of_the_main_branch() -> None:
    assert hub.commit("owner/name") == COMMIT


def test_what_the_hub_knows_of_a_revision() -> None:
    found = hub.facts("owner/name", COMMIT)
    assert found == {"commit": COMMIT, "licence": "mit", "downloads": 7, "last_change": "2025-01-02"}


def test_a_hub_that_does_not_tell_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub.facts("owner/private", COMMIT) is None
    assert hub.facts("owner/name", "d" * 40) is None
    Hub.asked.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub.facts("owner/name", COMMIT) is None
    assert Hub.asked == []
