"""A phase through DVC and back, in a tiny project whose stages are small scripts."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tasks import reproduce, staleness
from tasks.errors import BusyError, CrashError, GateError, InputError, InterruptError
from tasks.stage import one_writer
from tests.toy import DVC_YAML, within, write_dvc_config, write_toy

HOUSE = Path(__file__).resolve().parents[2]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG and /proc are Linux's")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which nothing has run."""
    root = write_toy(tmp_path_factory.mktemp("template") / "project")
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=root, check=True, capture_output=True, timeout=60)
    write_dvc_config(root)
    return root


@pytest.fixture(scope="module")
def done(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same project after both phases ran."""
    root = Path(shutil.copytree(template, tmp_path_factory.mktemp("done") / "project"))
    assert repeat(root, "preparation").ran == ["preparation", "preparation_gate"]
    assert (root / "data/preparation/gate.txt").is_file()
    return root


@pytest.fixture
def fresh(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "project"))


@pytest.fixture
def ready(done: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(done, tmp_path / "project"))


def repeat(root: Path, phase: str) -> reproduce.Record:
    return reproduce.reproduce(root, phase, lambda line: None)


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


def living(root: Path) -> set[int]:
    """Processes that work in this project; one that ended and waits to be collected has no folder."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if entry.readlink() == root:
                found.add(int(entry.parent.name))
        except OSError:  # it ended meanwhile
            continue
    return found


def end(root: Path) -> None:
    """Leave nothing behind, whatever the test found."""
    for pid in living(root):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@LINUX
def test_interruption_ends_dvc_the_stage_and_what_the_stage_started(fresh: Path) -> None:
    (fresh / "mode.txt").write_text("selection help")
    seen: set[int] = set()

    def interrupt(line: str) -> None:
        if line.startswith("asleep"):
            seen.update(living(fresh))
            raise KeyboardInterrupt

    try:
        with pytest.raises((InterruptError, KeyboardInterrupt), match="nothing is half written") as found:
            reproduce.reproduce(fresh, "selection", interrupt)
        assert type(found.value) is InterruptError
        assert len(seen) >= 3, "dvc, the stage and its helper were running"
        assert within(10, lambda: living(fresh) == set())
    finally:
        end(fresh)
    assert not (fresh / "data/selection/out.txt").exists()


CALLER = """
import sys
from pathlib import Path
from tasks.reproduce import reproduce
reproduce(Path(sys.argv[1]), "selection", lambda line: print(line, flush=True))
"""


@LINUX
def test_dvc_and_the_stage_die_with_a_killed_caller_and_a_rerun_completes(fresh: Path) -> None:
    (fresh / "mode.txt").write_text("selection sleep")
    # DVC then runs stages by /bin/sh, which may stay as their parent.
    bare = {name: value for name, value in os.environ.items() if name != "SHELL"}
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, str(fresh)], cwd=HOUSE, env=bare, stdout=subprocess.PIPE, text=True
    )
    try:
        assert caller.stdout is not None
        pid = next(int(match[1]) for line in caller.stdout if (match := re.match(r"asleep (\d+)", line)))
        pids = living(fresh)
        assert pid in pids and len(pids) >= 2, "dvc and the stage were running"
        caller.kill()
        caller.wait(timeout=10)
        assert within(10, lambda: living(fresh) == set()), "an orphan would go on writing"
    finally:
        caller.kill()
        caller.communicate(timeout=10)
        end(fresh)
    (fresh / "mode.txt").write_text("none none")
    assert repeat(fresh, "selection").ran == ["selection"]
    assert (fresh / "data/selection/out.txt").is_file()


def held_by(root: Path, pid: int) -> None:
    holder = {"pid": pid, "cmd": "dvc repro selection"}
    path = root / ".dvc/tmp/rwlock"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"write": {str(root / "data/selection/out.txt"): holder}, "read": {}}))


@LINUX
def test_a_lock_of_a_process_that_is_not_dvc_holds_nothing(fresh: Path) -> None:
    # The number of a killed run's dvc, given to another process since.
    other = subprocess.Popen(["sleep", "60"])
    try:
        held_by(fresh, other.pid)
        assert repeat(fresh, "selection").ran == ["selection"]
    finally:
        other.kill()
        other.wait()


@LINUX
def test_a_lock_of_a_zombie_holds_nothing(fresh: Path) -> None:
    zombie = subprocess.Popen([sys.executable, "-c", "", "dvc"])
    try:
        assert within(10, lambda: " Z " in Path(f"/proc/{zombie.pid}/stat").read_text())
        held_by(fresh, zombie.pid)
        assert repeat(fresh, "selection").ran == ["selection"]
    finally:
        zombie.wait()


@LINUX
def test_a_living_dvc_holds_the_project(fresh: Path) -> None:
    living_dvc = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "dvc"])
    try:
        held_by(fresh, living_dvc.pid)
        with pytest.raises(BusyError, match="A run or another DVC command"):
            repeat(fresh, "selection")
    finally:
        living_dvc.kill()
        living_dvc.wait()
