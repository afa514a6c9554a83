"""A project whose flows do nothing, kept up by a server and a worker, and what the server is asked."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from flows import background, deployments, scheduling, standing
from flows.commands import app
from tasks.artifacts import read_json
from tests.factories import REPO

NAME = "support-tickets"
RETRAIN, MONITOR = f"retrain/{NAME}", f"monitor/{NAME}"
STUBS = """
import time
from pathlib import Path
from prefect import flow

def work(folder: Path, name: str) -> None:
    while (folder / "slow").exists():
        with (folder / f"beats of {name}").open("a") as file:
            file.write("beat\\n")
        time.sleep(0.05)

@flow(name="retrain")
def retrain(project: str) -> None:
    work(Path(project), "retrain")

@flow(name="monitor")
def monitor(project: str) -> None:
    work(Path(project), "monitor")

@flow(name="transfer-scheduled")
def transfer_on_branch(project: str) -> None:
    pass
"""
# After the alarms of a test: once this has started its run, all events before it were looked at.
MARK = """
    triggers:
      - name: mark
        match: {prefect.resource.id: mark}
        expect: [mark]
        threshold: 1
        within: 0
"""


def until(met: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """With the house's own schedules, of flows that do nothing; up, and down again whatever happens."""
    root = tmp_path_factory.mktemp("project")
    shutil.copy(REPO / "params.yaml", root)
    (root / "stub_flows.py").write_text(STUBS)
    text = (background.HOUSE / deployments.FILE).read_text(encoding="utf-8")
    for module in ("scheduled", "retrain", "monitor"):
        text = text.replace(f"entrypoint: flows.{module}.", "entrypoint: stub_flows.")
    (root / "deploy").mkdir()
    (root / deployments.FILE).write_text(text.rstrip() + MARK)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            patch.delenv(name)
        patch.setenv("PREFECT_HOME", str(root / "another home"))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")])))
        patch.syspath_prepend(str(root))
        patch.setattr(standing, "PROMPT", {"PREFECT_WORKER_QUERY_SECONDS": "1"})
        try:
            yield root
        finally:
            standing.stop(root)
            sys.modules.pop("stub_flows", None)


@pytest.fixture(scope="module")
def first(project: Path) -> dict[str, Any]:
    """What the first `graft up` said."""
    return graft(project, "up")


@pytest.fixture
def url(project: Path, first: dict[str, Any]) -> str:
    found = scheduling.server_of(project)
    assert found == first["url"], "a server that is started again keeps its address"
    return found


def graft(root: Path, *arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*arguments, "--json", "--project", str(root)])
    assert result.exit_code == 0, result.output
    record: dict[str, Any] = json.loads(result.stdout)
    return record


def pid(root: Path, name: str) -> int:
    return int(read_json(scheduling.state_of(root) / f"{name}.json")["pid"])


def send(method: str, address: str, json: Any = None) -> httpx.Response:
    """Again and again while the server's database is locked, as Prefect's client does it."""
    answer: httpx.Response = until(
        lambda: (got := httpx.request(method, address, json=json)).status_code != 503 and got, 20
    )
    return answer.raise_for_status()


def ask(url: str, path: str, **body: Any) -> Any:
    return send("POST", f"{url}{path}", body).json()


def runs(url: str, full_name: str) -> list[dict[str, Any]]:
    """Runs that no schedule planned, oldest first."""
    flow, name = full_name.split("/")
    found: list[dict[str, Any]] = ask(
        url,
        "/flow_runs/filter",
        flows={"name": {"any_": [flow]}},
        deployments={"name": {"any_": [name]}},
        sort="START_TIME_ASC",
        limit=200,
    )
    return [run for run in found if not run["auto_scheduled"]]


def emit(url: str, *events: tuple[str, str]) -> None:
    from prefect.events import Event, Resource

    made = [Event(event=event, resource=Resource({"prefect.resource.id": resource})) for event, resource in events]
    sent = [one.model_dump(mode="json") for one in made]
    send("POST", f"{url}/events", json=sent)


def start_run(url: str, full_name: str) -> str:
    deployment = send("GET", f"{url}/deployments/name/{full_name}").json()
    return str(ask(url, f"/deployments/{deployment['id']}/create_flow_run")["id"])
