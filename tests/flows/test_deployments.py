"""`deploy/prefect.yaml`: whose file counts, how it is filled in, what is refused; no server is needed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml

from flows import deployments
from flows.background import HOUSE
from flows.deployments import FILE, file_of, read
from tasks.errors import InputError

ENTRY = "deployments:\n  - name: mine\n    entrypoint: flows.transfer.transfer\n"


def own(root: Path, text: str) -> Path:
    (root / "deploy").mkdir(exist_ok=True)
    (root / FILE).write_text(text)
    return root


def test_the_house_schedules_transfer_retrain_and_monitor(tmp_path: Path) -> None:
    found = {entry["entrypoint"]: entry for entry in read(tmp_path, "parcels")}
    assert list(found) == ["flows.scheduled.transfer_on_branch", "flows.retrain.retrain", "flows.monitor.monitor"]
    for entry in found.values():
        assert entry["name"] == "parcels", "projects on one server are told apart by it"
        assert entry["parameters"] == {deployments.FOLDER: str(tmp_path)}
        assert entry["work_pool"]["name"] == deployments.POOL and entry["work_pool"]["work_queue_name"] == "parcels"
        assert entry["concurrency_limit"]["limit"] == 1, "one run of a project at a time"
        assert [set(one) for one in entry["schedules"]] == [{"cron", "timezone"}]
    assert "$" not in str(found), "all variables are filled in"
    (trigger,) = found["flows.retrain.retrain"]["triggers"]
    assert trigger["expect"] == ["graft.drift"] and trigger["within"] == 6 * 3600
    assert trigger["match"] == {"prefect.resource.id": "graft.project.parcels"}


@pytest.mark.parametrize(
    "entrypoint", [e["entrypoint"] for e in yaml.safe_load((HOUSE / FILE).read_text(encoding="utf-8"))["deployments"]]
)
def test_entrypoints_of_the_house_are_flows(entrypoint: str) -> None:
    module, _, function = entrypoint.rpartition(".")
    from prefect.flows import Flow

    assert isinstance(getattr(importlib.import_module(module), function), Flow)


def test_a_run_is_started_by_a_module_that_is_there() -> None:
    (command,) = {e["work_pool"]["job_variables"]["command"] for e in read(HOUSE, "parcels")}
    assert importlib.util.find_spec(command.removeprefix("python -m "))


def test_a_projects_own_file_wins(tmp_path: Path) -> None:
    assert file_of(tmp_path) == HOUSE / FILE
    own(tmp_path, ENTRY)
    assert file_of(tmp_path) == tmp_path / FILE
    assert [entry["name"] for entry in read(tmp_path, "parcels")] == ["mine"]
    own(tmp_path, "")
    assert read(tmp_path, "parcels") == [], "a file may schedule nothing"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("deployments: [", "is no YAML"),
        (f"build:\n  - x: {{}}\n{ENTRY}", "has build, which Graft does not apply"),
        (f"{ENTRY}    schedule: {{cron: '* * * * *'}}\n", "has schedule, which Graft does not apply"),
        (f"{ENTRY}    work_pool: {{image: x}}\n", "has image, which Graft does not apply"),
        ("deployments:\n  - name: mine\n", "has no entrypoint"),
        (f"{ENTRY}    concurrency_limit: {{collision_strategy: ENQUEUE}}\n", "has no limit in its concurrency_limit"),
        ("deployments: [monitor]\n", "'monitor' stands where key and value belong"),
        (f"{ENTRY}    schedules: ['0 3 * * *']\n", "'0 3 * * *' stands where key and value belong"),
        (f"{ENTRY}    schedules: {{cron: '0 3 * * *'}}\n", "schedules is no list: write it as one."),
        (f"{ENTRY}    triggers: 5\n", "triggers is no list: write it as one."),
        ("deployments: 5\n", "deployments is no list: write it as one."),
        (f"{ENTRY}    7: 5\n", "has 7, which Graft does not apply"),
        (f"{ENTRY}    triggers: [graft.drift]\n", "'graft.drift' stands where key and value belong"),
        (f"{ENTRY}    parameters: [project]\n", "stands where key and value belong"),
        (ENTRY.replace("mine", "'{{ $HOME }}'"), "names $HOME"),
    ],
)
def test_what_cannot_be_applied_is_refused_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        read(own(tmp_path, text), "parcels")
    (sentence,) = error.value.sentences
    assert said in sentence and str(tmp_path / FILE) in sentence


def test_another_encoding_is_refused_in_a_sentence(tmp_path: Path) -> None:
    own(tmp_path, ENTRY)
    (tmp_path / FILE).write_bytes(
        f"{ENTRY}    description: t\N{LATIN SMALL LETTER A WITH DIAERESIS}glich\n".encode("latin-1")
    )
    with pytest.raises(InputError, match="is no YAML in UTF-8"):
        read(tmp_path, "parcels")
