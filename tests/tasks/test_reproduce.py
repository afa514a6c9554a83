"""A phase through DVC and back, in a tiny project whose stages are small scripts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tasks import reproduce, staleness
from tasks.errors import BusyError, CrashError, GateError, InputError
from tasks.stage import one_writer
from tests.reproducing import fresh as fresh
from tests.reproducing import repeat
from tests.reproducing import template as template
from tests.toy import DVC_YAML


@pytest.fixture(scope="module")
def done(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same project after both phases ran."""
    root = Path(shutil.copytree(template, tmp_path_factory.mktemp("done") / "project"))
    assert repeat(root, "preparation").ran == ["preparation", "preparation_gate"]
    assert (root / "data/preparation/gate.txt").is_file()
    return root


@pytest.fixture
def ready(done: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(done, tmp_path / "project"))


def test_record_says_what_ran_and_what_was_fresh(fresh: Path) -> None:
    lines: list[str] = []
    first = reproduce.reproduce(fresh, "selection", lines.append)
    assert (first.ran, first.fresh) == (["selection"], [])
    assert set(first.seconds) == {"selection"}
    assert any("Running stage 'selection'" in line for line in lines)
    again = repeat(fresh, "selection")
    assert (again.ran, again.fresh, again.seconds) == ([], ["selection"], {})


def test_only_what_changed_runs(ready: Path) -> None:
    (ready / "setting.txt").write_text("2")
    record = repeat(ready, "preparation")
    assert (record.ran, record.fresh) == (["preparation_gate"], ["preparation"])


def test_rows_that_change_nothing_of_what_a_stage_leaves_run_nothing_behind_it(ready: Path) -> None:
    rows = ready / "data/raw/rows.csv"
    header, *lines = rows.read_text().splitlines(keepends=True)
    rows.write_text("".join([header, *lines, *lines[:8]]))
    assert repeat(ready, "selection").ran == ["selection"]
    assert repeat(ready, "preparation").fresh == ["preparation", "preparation_gate"]


def test_failure_comes_back_as_its_error(ready: Path) -> None:
    good = (ready / "data/selection/out.txt").read_text()
    with (ready / "data/raw/rows.csv").open("a") as file:
        file.write("one more,a,email\n")
    for mode, error, sentence in (
        ("refuse", InputError, "The rows are odd: mend them."),
        ("gate", GateError, "The gate said no."),
        ("crash", CrashError, "Stage selection broke with ValueError: a wrong shape"),
        ("die", CrashError, "Phase selection ended without an outcome"),  # those before it left one
    ):
        (ready / "mode.txt").write_text(f"selection {mode}")
        with pytest.raises(error, match=sentence) as found:
            repeat(ready, "selection")
        assert type(found.value) is error
        assert (ready / "data/selection/out.txt").read_text() == good
    (ready / "mode.txt").write_text("none none")
    assert repeat(ready, "selection").ran == ["selection"]


def test_gate_costs_no_second_run_of_what_came_before(ready: Path) -> None:
    (ready / "setting.txt").write_text("3")
    (ready / "mode.txt").write_text("preparation_gate gate")
    for _ in range(2):
        with pytest.raises(GateError):
            repeat(ready, "preparation")
    (ready / "mode.txt").write_text("none none")
    assert repeat(ready, "preparation").ran == ["preparation_gate"]


def test_threads_that_wait_sleep_unless_the_environment_says_otherwise(
    ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert reproduce._environment()["OMP_WAIT_POLICY"] == "ACTIVE"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    (ready / "mode.txt").write_text("selection policy")
    (ready / "data/raw/rows.csv").write_text("text,label,channel\nnew,a,email\n")
    lines: list[str] = []
    reproduce.reproduce(ready, "selection", lines.append)
    assert "threads wait PASSIVE" in "\n".join(lines)


def test_second_run_is_refused(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.stage.WAIT_SECONDS", 0.1)
    with one_writer(fresh / ".graft/run.lock"), pytest.raises(BusyError, match="Another run"):
        repeat(fresh, "selection")


def test_stale_names_the_changed_stage_and_its_followers(ready: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reproduce.stale(ready) == {}
    (ready / "data/raw/rows.csv").write_text("text,label,channel\nnew,a,email\n")
    stale = reproduce.stale(ready)
    assert list(stale) == ["selection", "preparation", "preparation_gate"]
    assert stale["selection"] == "changed: data/raw/rows.csv"
    assert stale["preparation"] == "follows selection"


def test_what_a_run_that_was_cut_off_did_not_come_to_is_named(ready: Path, template: Path) -> None:
    assert reproduce.unfinished(ready) == []
    assert reproduce.unfinished(template) == [], "nothing ran, or nothing is known of it"
    (ready / "data/raw/rows.csv").write_text("text,label,channel\nnew,a,email\n")
    assert reproduce.unfinished(ready) == [], "of one run is what stands here, though it is stale"
    repeat(ready, "selection")
    assert reproduce.unfinished(ready) == ["preparation", "preparation_gate"]
    repeat(ready, "preparation")
    assert reproduce.unfinished(ready) == []


def test_stale_names_a_changed_parameter(ready: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = (ready / "params.yaml").read_text()
    (ready / "params.yaml").write_text(params.replace("seed: 13", "seed: 14"))
    assert reproduce.stale(ready)["selection"] == "changed: params.yaml (project.seed)"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [("disk I/O error", "could not write its own state"), ("invalid stage", r"cannot read .* correct dvc\.yaml")],
)
def test_what_dvc_stumbles_over_is_told(ready: Path, monkeypatch: pytest.MonkeyPatch, said: str, sentence: str) -> None:
    def status(_: object) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr("dvc.repo.Repo.status", status)
    with pytest.raises(InputError, match=sentence):
        reproduce.stale(ready)


def test_everything_is_stale_before_the_first_run(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reproduce.stale(fresh) == dict.fromkeys(["selection", "preparation", "preparation_gate"], staleness.NEVER)


def test_broken_dvc_yaml_is_a_sentence(fresh: Path) -> None:
    (fresh / "dvc.yaml").write_text(DVC_YAML + "  extra: {nothing: here, cmd: python -m toy extra}\n")
    with pytest.raises(InputError, match=r"correct dvc\.yaml"):
        reproduce.stale(fresh)


@pytest.mark.parametrize("ask", [reproduce.stale, reproduce.unfinished])
def test_a_lock_with_the_conflicts_of_a_merge_is_told(ready: Path, ask: Any) -> None:
    lock = ready / "dvc.lock"
    lock.write_text(f"<<<<<<< HEAD\n{lock.read_text()}=======\n>>>>>>> graft/scheduled\n")
    with pytest.raises(InputError, match=r"dvc\.lock cannot be read: resolve the conflicts"):
        ask(ready)


def test_stages_of_a_phase(template: Path) -> None:
    assert reproduce.stages_of(template, "preparation") == ["preparation", "preparation_gate"]


def test_lineage(ready: Path) -> None:
    before = reproduce.lineage(ready)
    assert before["commit"] is None and len(before["lock_hash"]) == 64
    name = ["-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run(["git", "add", "params.yaml"], cwd=ready, check=True)
    subprocess.run(["git", *name, "commit", "-qm", "x", "--no-verify", "params.yaml"], cwd=ready, check=True)
    subprocess.run(["git", "reset", "-q", "--hard"], cwd=ready, check=True)
    after = reproduce.lineage(ready)
    assert len(after["commit"]) == 40 and after["dirty"] is False
    (ready / "params.yaml").write_text("x: 1")
    assert reproduce.lineage(ready)["dirty"] is True


def test_what_the_lock_names_is_told_from_what_lies_there(template: Path, ready: Path) -> None:
    out = "data/preparation/gate.txt"
    assert not reproduce.is_locked(template, out) and reproduce.is_locked(ready, out)
    (ready / out).write_text("of another commit")
    assert not reproduce.is_locked(ready, out)
