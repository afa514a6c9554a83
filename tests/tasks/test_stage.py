"""The edge of every stage: exit codes and outcomes, outputs whole or untouched, one writer, no orphan."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks import environment, stage
from tasks.artifacts import read_json
from tasks.errors import BusyError, GateError, InputError, refused_write
from tasks.stage import Stage, one_writer, outs, read_dvc_yaml, run
from tests.forked import alive
from tests.toy import within

HOUSE = Path(__file__).resolve().parents[2]
DVC_YAML = """
stages:
  adaptation:
    cmd: python -m toy
    outs:
      - data/adaptation/answer.txt:
          persist: true
      - data/adaptation/model:
          persist: true
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(HOUSE / "params.yaml", tmp_path)
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    for folder in (".git", ".dvc"):
        (tmp_path / folder).mkdir()
    (tmp_path / ".dvc/config").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment, "_version_faults", lambda pins: [])
    monkeypatch.setattr(stage, "die_with_parent", lambda: None)
    monkeypatch.setattr(stage, "fix_randomness", lambda params: None)
    monkeypatch.setattr(stage, "WAIT_SECONDS", 0.2)
    return tmp_path


def ended(main: Callable[[Stage], None]) -> int:
    with pytest.raises(SystemExit) as end:
        run("adaptation", main)
    assert isinstance(end.value.code, int)
    return end.value.code


def outcome(project: Path) -> tuple[str, list[str]]:
    record = read_json(project / ".graft/outcome/adaptation.json")
    assert record["seconds"] >= 0
    return record["state"], record["sentences"]


def writes(text: str) -> Callable[[Stage], None]:
    def main(s: Stage) -> None:
        s.out("data/adaptation/answer.txt").write_text(text)
        s.out("data/adaptation/model/weights").write_text(text)

    return main


def made(project: Path) -> list[str]:
    return [(project / "data/adaptation" / name).read_text() for name in ("answer.txt", "model/weights")]


def raises(error: BaseException) -> Callable[[Stage], None]:
    def main(s: Stage) -> None:
        writes("half")(s)
        raise error

    return main


CASES = [
    (InputError(["No data here: put it there.", "And no model."]), 2, "refused", "No data here: put it there."),
    (GateError("The gate said no."), 1, "gate", "The gate said no."),
    (KeyboardInterrupt(), 130, "interrupted", "run it again"),
    (ValueError("a shape\nand more"), 1, "crash", "broke with ValueError: a shape"),
    (AssertionError(), 1, "crash", "broke with AssertionError"),
    (OSError(errno.EFBIG, "File too large", "/x/weights"), 2, "refused", "Writing weights was refused"),
    (
        OSError(errno.ENOSPC, "No space left on device"),
        2,
        "refused",
        "Writing an output of stage adaptation was refused",
    ),
    (OSError(errno.EACCES, "Permission denied", "/x/rows.csv"), 2, "refused", "Access to rows.csv was refused"),
    (RuntimeError("I/O error: File too large (os error 27)"), 2, "refused", "free or allow the space"),
    (OSError(errno.ENOENT, "No such file", "/x/y"), 1, "crash", "broke with FileNotFoundError"),
]


@pytest.mark.parametrize(("error", "code", "state", "words"), CASES, ids=lambda case: type(case).__name__)
def test_failure_has_its_code_and_outcome_and_leaves_the_last_good_outputs(
    project: Path, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, state: str, words: str
) -> None:
    assert ended(writes("good")) == 0
    assert ended(raises(error)) == code
    assert not (project / ".graft/staging/adaptation").exists(), "it would go on filling the disk"
    found, sentences = outcome(project)
    assert found == state and words in sentences[0]
    assert words in capsys.readouterr().err
    assert made(project) == ["good", "good"]


def test_all_sentences_are_kept(project: Path) -> None:
    ended(raises(InputError(["One.", "Two."])))
    assert outcome(project) == ("refused", ["One.", "Two."])


def test_success_replaces_outputs_and_leaves_no_staging(project: Path) -> None:
    assert ended(writes("one")) == 0
    assert ended(writes("two")) == 0
    assert outcome(project) == ("done", [])
    assert made(project) == ["two", "two"]
    assert not (project / ".graft/staging/adaptation").exists()
    record = read_json(project / "data/adaptation/run.json")["adaptation"]
    assert {"ended", "seconds", "peak_memory_mb", "machine", "host"} == set(record)


def test_what_a_killed_run_goes_on_from_leaves_once_the_outputs_stand(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = project / ".graft/resume/adaptation/hash"
    state.mkdir(parents=True)
    with monkeypatch.context() as patched:
        patched.setattr(stage, "replace", lambda new, target: exec("raise ValueError"))
        assert ended(writes("new")) == 1
    assert state.is_dir()
    assert ended(writes("new")) == 0
    assert not (project / ".graft/resume/adaptation").exists()


def test_leftovers_of_a_killed_run_do_not_reach_the_outputs(project: Path) -> None:
    left = project / ".graft/staging/adaptation/data/adaptation/model"
    left.mkdir(parents=True)
    (left / "old").write_text("half")
    assert ended(writes("new")) == 0
    assert sorted(path.name for path in (project / "data/adaptation/model").iterdir()) == ["weights"]


def test_an_unfit_environment_is_refused_before_anything_is_spent(project: Path) -> None:
    (project / ".dvc/config").unlink()
    assert ended(raises(AssertionError("the stage ran"))) == 2
    state, (sentence,) = outcome(project)
    assert state == "refused" and "dvc init" in sentence


def test_readings_go_to_the_run_record_alone(project: Path) -> None:
    def main(s: Stage) -> None:
        s.readings["room"] = 3
        writes("new")(s)

    assert ended(main) == 0
    assert read_json(project / "data/adaptation/run.json")["adaptation"]["room"] == 3


def test_what_a_kill_during_the_swap_left_is_cleared(project: Path) -> None:
    (project / "data/adaptation/.model.x1y2").mkdir(parents=True)
    assert ended(writes("new")) == 0
    assert sorted(path.name for path in (project / "data/adaptation").iterdir()) == ["answer.txt", "model", "run.json"]


def test_broken_params_are_refused(project: Path) -> None:
    (project / "params.yaml").write_text("project: {}")
    assert ended(writes("x")) == 2
    state, sentences = outcome(project)
    assert state == "refused" and any("data is missing" in sentence for sentence in sentences)


def test_second_writer_is_refused_while_the_first_holds_the_lock(project: Path) -> None:
    with one_writer(project / ".graft/stage.lock"):
        with pytest.raises(BusyError, match="Another run"), one_writer(project / ".graft/stage.lock"):
            pass
        assert ended(writes("x")) == 2
    assert outcome(project)[0] == "refused"
    assert ended(writes("x")) == 0


def test_lock_is_free_after_a_failure(project: Path) -> None:
    with pytest.raises(ValueError), one_writer(project / "lock"):
        raise ValueError
    with one_writer(project / "lock"):
        pass


def test_other_errors_are_no_refused_write() -> None:
    assert refused_write(ValueError("no such row")) is None
    assert refused_write(FileNotFoundError(errno.ENOENT, "No such file")) is None


def test_outputs_of_a_stage_include_metrics_and_plots() -> None:
    entry = {"outs": ["a", {"b": {"persist": True}}], "metrics": [{"c": {}}], "plots": ["d"]}
    assert outs(entry) == ["a", "b", "c", "d"]


def test_folder_without_dvc_yaml(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no dvc\.yaml"):
        read_dvc_yaml(tmp_path)


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\nstages:\n", "", "stages:\n", "- a\n", "stages: [a]\n"])
def test_a_dvc_yaml_that_says_no_stages_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "dvc.yaml").write_text(text)
    with pytest.raises(InputError, match=r"dvc\.yaml cannot be read: resolve the conflicts"):
        read_dvc_yaml(tmp_path)


REFUSED = """
import resource, sys
import numpy as np
import pyarrow as pa
from safetensors.numpy import save_file
from tasks import artifacts, environment, stage

writers = {
    "text": lambda path: artifacts.write_text(path, "x" * 100_000),
    "bytes": lambda path: path.write_bytes(bytes(100_000)),
    "safetensors": lambda path: save_file({"a": np.zeros(100_000)}, path),
    "arrow": lambda path: artifacts.write_table(path, pa.table({"a": range(100_000)})),
}

def main(s):
    s.out("data/adaptation/answer.txt").write_text("new")
    writers[sys.argv[1]](s.out("data/adaptation/model/weights"))

environment._version_faults = lambda pins: []
stage.fix_randomness = lambda params: None
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
stage.run("adaptation", main)
"""


@pytest.mark.parametrize("writer", ["text", "bytes", "safetensors", "arrow"])
def test_write_that_the_system_refuses_half_way_leaves_the_last_good_outputs(project: Path, writer: str) -> None:
    assert ended(writes("good")) == 0
    done = subprocess.run(
        [sys.executable, "-c", REFUSED, writer], cwd=project, env=os.environ | {"PYTHONPATH": str(HOUSE)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    state, (sentence,) = outcome(project)
    assert (done.returncode, state) == (2, "refused"), done.stderr
    assert "was refused" in sentence and "File too large" in sentence and sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert made(project) == ["good", "good"]


PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""
CHILD = (
    "import time; from tasks.stage import die_with_parent; die_with_parent(); print('up', flush=True); time.sleep(60)"
)


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_child_dies_with_a_killed_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, CHILD], cwd=HOUSE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        assert alive(child)
        parent.kill()
        parent.wait(timeout=10)
        assert within(10, lambda: not alive(child))
    finally:
        parent.stdout.close()
        if alive(child):
            os.kill(child, signal.SIGKILL)
