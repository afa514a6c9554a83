"""Standing servers that end at once, serve a project of another name, or are ill when they are to stop."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows import background, deployments, scheduling, standing
from flows.commands import app
from tasks.artifacts import read_json, write_json
from tasks.errors import CrashError
from tests.factories import REPO
from tests.standing import NAME


def test_what_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    background.start(tmp_path, "server", ["no-such-command"], os.environ)
    with pytest.raises(CrashError, match="ended at once") as error:
        standing._await(tmp_path, "server", "The Prefect server", lambda: False)
    assert f"{tmp_path}/server.log" in error.value.sentences[0]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """State of a project whose worker and server are processes that only sleep."""
    for name in ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect home"))
    shutil.copy(REPO / "params.yaml", tmp_path)
    folder = scheduling.state_of(tmp_path)
    processes = {name: subprocess.Popen(["sleep", "600"]) for name in ("server", "worker")}
    for name, process in processes.items():
        facts = {"url": "http://127.0.0.1:1/api"} | ({"project": NAME} if name == "worker" else {})
        write_json(folder / f"{name}.json", {"pid": process.pid, "began": background._began(process.pid)} | facts)
    yield folder
    for process in processes.values():
        process.kill()
        process.wait()


def test_a_project_that_is_renamed_gets_a_worker_of_its_new_name(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked: list[tuple[str, ...]] = []
    started: list[str] = []
    monkeypatch.setattr(scheduling, "client_of", lambda url: nullcontext())
    monkeypatch.setattr(deployments, "apply", lambda client, root, name: [f"monitor/{name}"])
    monkeypatch.setattr(scheduling, "mark_crashed", lambda client, *names: marked.append(names))
    monkeypatch.setattr(standing, "_start_worker", lambda folder, client, url, name: started.append(name))
    assert standing.up(tmp_path).started == []
    params = tmp_path / "params.yaml"
    params.write_text(params.read_text().replace(f"name: {NAME}", "name: renamed"))
    assert standing.up(tmp_path).started == ["worker"] and started == ["renamed"]
    assert background.alive(folder, "worker") is None, "it waits at the queue of the old name"
    assert marked == [(NAME, standing.worker_name(NAME))], "the runs that went with it were of the old name"


class Answer(BaseHTTPRequestHandler):
    """What the server of a test says to everything."""

    status, body = 500, b""

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.mark.parametrize(("status", "body"), [(500, b""), (200, b'[{"id": 1}]'), (None, b"")])
def test_stop_ends_both_when_the_server_is_ill_and_params_yaml_broken(
    tmp_path: Path, folder: Path, status: int | None, body: bytes
) -> None:
    (tmp_path / "params.yaml").write_text("project: [")
    server = HTTPServer(("127.0.0.1", 0), type("Answer", (Answer,), {"status": status, "body": body}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/api" if status else "http://127.0.0.1:1/api"
    write_json(folder / "server.json", read_json(folder / "server.json") | {"url": url})
    result = CliRunner().invoke(app, ["stop", "--project", str(tmp_path)])
    server.shutdown()
    server.server_close()
    assert result.exit_code == 0, result.output
    worker, marking, own = result.stdout.splitlines()
    assert worker == "The worker is ended." and own == "The Prefect server is ended; its database stays."
    assert "are not marked as crashed" in marking and "`graft up`" in marking
    assert background.alive(folder, "server") is None and background.alive(folder, "worker") is None
