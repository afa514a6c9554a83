"""A real Prefect server with a real worker: up, schedules, alarms, kills, stop. In the order of a life."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from flows import background, deployments, scheduling
from flows.commands import app
from flows.overview import overview
from tasks.errors import InputError
from tests.standing import MARK, MONITOR, NAME, RETRAIN, ask, emit, graft, pid, runs, send, start_run, until
from tests.standing import first as first
from tests.standing import project as project
from tests.standing import url as url


def test_up_starts_both_and_plans_every_schedule(project: Path, first: dict[str, Any], url: str) -> None:
    assert (first["started"], first["crashed"]) == (["server", "worker"], [])
    assert [one["name"] for one in first["deployments"]] == [f"transfer-scheduled/{NAME}", RETRAIN, MONITOR]
    assert [one["schedules"] for one in first["deployments"]] == [
        ["0 3 * * 0 Etc/UTC"],
        ["0 2 * * * Etc/UTC"],
        ["*/15 * * * * Etc/UTC"],
    ]
    assert all(one["next"] for one in first["deployments"]), "the server plans runs with the libraries of the lock"
    for name in ("server", "worker"):
        assert os.getsid(pid(project, name)) == pid(project, name), "the terminal's end does not reach it"


def test_applying_again_leaves_one_of_each_and_takes_a_new_time_over(project: Path, url: str) -> None:
    def there() -> tuple[list[str], list[str]]:
        automations = [one["id"] for one in ask(url, "/automations/filter", limit=200)]
        return sorted(one["id"] for one in ask(url, "/deployments/filter", limit=200)), sorted(automations)

    before, file = there(), project / deployments.FILE
    assert list(map(len, before)) == [3, 2]
    scheduling.apply(project)
    assert there() == before, "a new automation would have forgotten its cool-down"
    file.write_text(file.read_text().replace("0 2 * * *", "30 4 * * *").replace("21600", "20000"))
    names = scheduling.apply(project)
    assert there() == before
    changed = next(one for one in overview(url, names) if one["name"] == RETRAIN)
    assert changed["schedules"] == ["30 4 * * * Etc/UTC"] and changed["next"].endswith("04:30 UTC")
    (automation,) = (a for a in ask(url, "/automations/filter", limit=9) if a["name"] in changed["automations"])
    assert automation["trigger"]["within"] == 20000


def test_what_is_paused_on_the_page_stays_paused(project: Path, url: str) -> None:
    deployment = send("GET", f"{url}/deployments/name/{MONITOR}").json()
    send("PATCH", f"{url}/deployments/{deployment['id']}", json={"paused": True})
    file = project / deployments.FILE
    file.write_text(file.read_text().replace("every 15 minutes", "often").replace("*/15 *", "*/20 *"))
    (monitor,) = overview(url, [name for name in scheduling.apply(project) if name == MONITOR])
    assert monitor["paused"] and monitor["next"] is None
    send("PATCH", f"{url}/deployments/{deployment['id']}", json={"paused": False})


def test_an_automation_that_left_the_file_leaves_the_server_and_a_foreign_one_stays(project: Path, url: str) -> None:
    file = project / deployments.FILE
    whole = file.read_text()
    (mark,) = (one for one in ask(url, "/automations/filter", limit=9) if one["name"] == "mark")
    foreign = {key: mark[key] for key in ("trigger", "actions")} | {"name": "foreign"}
    made = send("POST", f"{url}/automations/", json=foreign).json()
    file.write_text(whole.replace(MARK.rstrip(), ""))
    scheduling.apply(project)
    assert "mark" not in (names := {one["name"] for one in ask(url, "/automations/filter", limit=9)})
    assert "foreign" in names
    send("DELETE", f"{url}/automations/{made['id']}")
    file.write_text(whole)
    scheduling.apply(project)


def apply_file(url: str, root: Path, name: str, tree: dict[str, Any]) -> set[str]:
    """Which deployments this folder has on the server once this is its file."""
    (root / "deploy").mkdir(exist_ok=True)
    (root / deployments.FILE).write_text(yaml.safe_dump(tree))
    with scheduling.client_of(url) as client:
        deployments.apply(client, root, name)
    found = ask(url, "/deployments/filter", limit=200)
    return {f"{one['entrypoint']} {one['name']}" for one in found if one["parameters"]["project"] == str(root)}


def test_a_deployment_that_left_the_file_leaves_the_server_and_one_of_another_folder_stays(
    url: str, tmp_path: Path
) -> None:
    def automations() -> list[str]:
        found = ask(url, "/automations/filter", limit=200)
        return [one["name"] for one in found if "parcels" in one["name"] or "renamed" in one["name"]]

    roots = [tmp_path / "one", tmp_path / "two"]
    house = yaml.safe_load((background.HOUSE / deployments.FILE).read_text(encoding="utf-8"))
    tree = house | {"deployments": house["deployments"][1:]}
    flows = [one["entrypoint"] for one in tree["deployments"]]
    for root in roots:
        root.mkdir()
        assert apply_file(url, root, f"parcels-{root.name}", tree) == {f"{one} parcels-{root.name}" for one in flows}
    assert len(automations()) == 2
    assert apply_file(url, roots[0], "renamed", tree) == {f"{one} renamed" for one in flows}
    assert sorted(one.split()[2] for one in automations()) == ["parcels-two", "renamed"]
    left = tree | {"deployments": [one for one in tree["deployments"] if "retrain" not in one["entrypoint"]]}
    assert apply_file(url, roots[0], "renamed", left) == {f"{one} renamed" for one in flows if "retrain" not in one}
    assert [one.split()[2] for one in automations()] == ["parcels-two"], "no alarm starts what is not there"
    assert apply_file(url, roots[0], "renamed", {"deployments": []}) == set()
    assert len(ask(url, "/deployments/filter", deployments={"name": {"any_": ["parcels-two"]}})) == 2
    apply_file(url, roots[1], "parcels-two", {})


def test_a_key_that_left_the_file_counts_no_more_and_the_same_file_changes_nothing(url: str, tmp_path: Path) -> None:
    bare = {
        "name": "keys",
        "entrypoint": "flows.monitor.monitor",
        "parameters": {"project": str(tmp_path)},
        "tags": ["graft"],
    }
    keys = {
        "description": "often",
        "version": "7",
        "enforce_parameter_schema": False,
        "pull": [{"prefect.deployments.steps.set_working_directory": {"directory": "/"}}],
        "schedules": [{"cron": "0 1 * * *", "timezone": "Etc/UTC"}],
        "concurrency_limit": {"limit": 2, "collision_strategy": "CANCEL_NEW"},
        "work_pool": {"work_queue_name": "another", "job_variables": {"command": "true"}},
    }

    def applied(entry: dict[str, Any]) -> dict[str, Any]:
        apply_file(url, tmp_path, "parcels", {"deployments": [entry]})
        record: dict[str, Any] = send("GET", f"{url}/deployments/name/monitor/keys").json()
        return record

    first, before = applied(bare), applied(bare | keys)
    assert applied(bare | keys)["updated"] == before["updated"], "the same file changes nothing"
    while keys:
        key, _ = keys.popitem()
        now = applied(bare | keys)
        assert now["updated"] > before["updated"], f"{key} was removed"
        before = now
    ignored = {"updated", "status", "last_polled"}
    assert {one for one in first if first[one] != now[one]} <= ignored, "nothing is left of what the keys said"
    assert applied(bare)["updated"] == now["updated"], "the same file changes nothing"
    apply_file(url, tmp_path, "parcels", {})


def test_ten_alarms_start_one_retrain(project: Path, url: str) -> None:
    alarm, mark = ("graft.drift", f"graft.project.{NAME}"), ("mark", "mark")
    emit(url, ("graft.drift", "graft.project.another"), *[alarm] * 5)
    (run,) = until(lambda: [run for run in runs(url, RETRAIN) if run["state_type"] == "COMPLETED"])
    assert run["parameters"] == {"project": str(project)}
    scheduling.apply(project)  # as the retrain's own promotion does
    emit(url, *[alarm] * 5, mark)
    until(lambda: [run for run in runs(url, MONITOR) if run["state_type"] == "COMPLETED"])
    assert len(runs(url, RETRAIN)) == 1


def test_a_project_of_the_same_name_is_refused(project: Path, url: str, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path / "clone", ignore=shutil.ignore_patterns(".graft"))
    with scheduling.client_of(url) as client, pytest.raises(InputError, match=r"is the schedule of the project in"):
        deployments.apply(client, tmp_path / "clone", NAME)


def test_a_run_dies_with_its_worker_and_the_next_up_says_so(project: Path, url: str) -> None:
    (project / "slow").touch()
    run_id = start_run(url, RETRAIN)
    until((project / "beats of retrain").exists)
    family = background._descendants(pid(project, "worker"))
    os.kill(pid(project, "worker"), signal.SIGKILL)
    until(lambda: not any(map(background._stat, family)), 10)
    (project / "slow").unlink()
    assert send("GET", f"{url}/flow_runs/{run_id}").json()["state_type"] == "RUNNING", "the server cannot know"
    again = graft(project, "up")
    assert again["started"] == ["worker"]
    (sentence,) = again["crashed"]
    assert "of retrain was cut off" in sentence and "`graft retrain` completes it" in sentence
    state = send("GET", f"{url}/flow_runs/{run_id}").json()["state"]
    assert (state["type"], state["message"]) == ("CRASHED", scheduling.CUT_OFF)
    following = start_run(url, RETRAIN)
    until(lambda: send("GET", f"{url}/flow_runs/{following}").json()["state_type"] == "COMPLETED", 40)


def test_a_second_up_finds_everything_and_a_killed_server_is_started_again(project: Path, url: str) -> None:
    result = CliRunner().invoke(app, ["up", "--project", str(project)])
    assert result.exit_code == 0 and result.stdout.startswith("Everything was up already."), result.output
    assert url.removesuffix("/api") in result.stdout and RETRAIN in result.stdout and "graft.drift of" in result.stdout
    worker = pid(project, "worker")
    os.kill(pid(project, "server"), signal.SIGKILL)
    until(lambda: scheduling.server_of(project) is None)
    assert graft(project, "up")["started"] == ["server"]
    assert (scheduling.server_of(project), pid(project, "worker")) == (url, worker)


def test_schedule_shows_what_runs_when(project: Path, url: str) -> None:
    record = graft(project, "schedule")
    assert set(record) == {"url", "worker", "deployments"} and record["worker"] is True
    keys = {"name", "schedules", "paused", "next", "last", "last_state", "automations"}
    assert [set(one) for one in record["deployments"]] == [keys] * 3
    retrain = next(one for one in record["deployments"] if one["name"] == RETRAIN)
    assert retrain["last_state"] == "Completed" and retrain["last"] and retrain["next"]
    text = CliRunner().invoke(app, ["schedule", "--project", str(project)]).stdout
    assert "30 4 * * * Etc/UTC" in text and f"next {retrain['next']}" in text and "No worker" not in text


def test_a_second_retrain_waits_a_second_look_is_dropped_and_stop_ends_them_all(project: Path, url: str) -> None:
    (project / "slow").touch()
    (project / "beats of retrain").unlink(missing_ok=True)
    for name in (RETRAIN, MONITOR):
        start_run(url, name)
    until(lambda: (project / "beats of retrain").exists() and (project / "beats of monitor").exists())
    second = {name: start_run(url, name) for name in (RETRAIN, MONITOR)}
    states = {RETRAIN: "AwaitingConcurrencySlot", MONITOR: "Cancelled"}
    for name, run in second.items():
        until(lambda run=run, name=name: send("GET", f"{url}/flow_runs/{run}").json()["state_name"] == states[name])
    family = [pid(project, "server"), pid(project, "worker")]
    family += [child for one in family for child in background._descendants(one)]
    ended = graft(project, "stop")["ended"]
    assert "2 runs" in ended[0] and "server is ended" in ended[-1]
    assert [one for one in family if background._stat(one)] == []
    (project / "slow").unlink()
    assert CliRunner().invoke(app, ["stop", "--project", str(project)]).stdout == "Nothing was running.\n"
    refused = CliRunner().invoke(app, ["schedule", "--project", str(project)])
    assert refused.exit_code == 2 and "no Prefect server is configured" in refused.stderr


def test_a_configured_server_that_does_not_answer_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    result = CliRunner().invoke(app, ["up", "--project", str(project)])
    assert result.exit_code == 2 and "http://127.0.0.1:1/api does not answer" in result.stderr
