"""A source is pinned by what it holds now, and a hub that does not answer costs three seconds at most."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tasks import hub as hubs
from tasks.errors import InputError
from tasks.project.candidates import pin

WEIGHTS = b"not really tensors"
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
COMMIT = "c" * 40


class Hub(BaseHTTPRequestHandler):
    """Knows owner/name, and never answers for owner/slow."""

    silent = threading.Event()

    def do_GET(self) -> None:
        if self.path.startswith("/api/models/owner/slow"):
            self.silent.wait(10)
        known = self.path == "/api/models/owner/name"
        body = json.dumps({"id": "owner/name", "sha": COMMIT} if known else {"error": "not found"}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(body)))
        if not known:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    # Read from the environment when the library was imported, perhaps by another test.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    Hub.silent.clear()
    yield
    Hub.silent.set()
    server.shutdown()


def model_folder(folder: Path, without: str = "") -> Path:
    folder.mkdir(parents=True)
    for name, content in {"config.json": b"{}", "model.safetensors": WEIGHTS}.items():
        if name != without:
            (folder / name).write_bytes(content)
    return folder


def refusal(source: str, base: Path) -> str:
    with pytest.raises(InputError) as caught:
        pin(source, base)
    (sentence,) = caught.value.sentences
    return sentence


def test_a_folder_is_pinned_by_its_weights(tmp_path: Path) -> None:
    model_folder(tmp_path / "models/one")
    for source in ("path:models/one", f"path:{tmp_path}/models/one"):
        assert pin(source, tmp_path).model_dump() == {"source": source, "revision": SHA256}


def test_a_package_is_pinned_by_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model_folder(tmp_path / "graft_pinned/model")
    info = tmp_path / "graft_pinned-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: graft-pinned\nVersion: 1.0\n")
    (info / "RECORD").write_text("graft_pinned/model/model.safetensors,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert pin("package:graft-pinned", tmp_path).revision == SHA256


@pytest.mark.parametrize("source", ["bert", "file:model", "path:", ":model", ""])
def test_another_kind_of_source_is_refused(tmp_path: Path, source: str) -> None:
    assert refusal(source, tmp_path) == (
        f"--model {source} is no source of a model: write package:NAME, path:FOLDER or hub:OWNER/NAME."
    )


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_that_is_no_model_is_refused(tmp_path: Path, missing: str) -> None:
    model_folder(tmp_path / "m", without=missing)
    assert f"path:m holds no {missing}:" in refusal("path:m", tmp_path)
    assert refusal("path:gone", tmp_path) == "There is no model folder gone: correct --model."


def test_a_package_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "graft-no-such is not installed" in refusal("package:graft-no-such", tmp_path)


def test_the_hub_is_asked_for_the_commit(tmp_path: Path, hub: None) -> None:
    assert pin("hub:owner/name", tmp_path).model_dump() == {"source": "hub:owner/name", "revision": COMMIT}


@pytest.mark.parametrize("name", ["owner/gone", "a/b/c"])
def test_what_the_hub_does_not_know_is_refused(tmp_path: Path, hub: None, name: str) -> None:
    assert refusal(f"hub:{name}", tmp_path).startswith(f"hub:{name} ")


def test_a_silent_hub_is_given_up(tmp_path: Path, hub: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hubs.SECONDS <= 3
    monkeypatch.setattr(hubs, "SECONDS", 0.3)
    pin("hub:owner/name", tmp_path)  # the library is imported
    begun = time.monotonic()
    assert "hub:owner/slow could not be had: the hub did not answer within" in refusal("hub:owner/slow", tmp_path)
    assert time.monotonic() - begun < 2


def test_offline_the_cache_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert refusal("hub:owner/name", tmp_path) == (
        "hub:owner/name is not in the local hub cache and HF_HUB_OFFLINE is set: unset it or use a path."
    )
    repo = tmp_path / "models--owner--name"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs/main").write_text(COMMIT)
    model_folder(repo / f"snapshots/{COMMIT}")
    assert pin("hub:owner/name", tmp_path).revision == COMMIT
