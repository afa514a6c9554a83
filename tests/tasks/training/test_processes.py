"""A training shared by processes is the training of one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks import stage
from tasks.artifacts import read_json
from tasks.errors import CrashError, InputError
from tasks.training import processes
from tests.factories import params
from tests.projects import REPO, write_project
from tests.sharing import KINDS, shared
from tests.tasks.training.test_loop import one_thread as one_thread


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the leader and its follower found."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "tests.sharing", "2", str(folder)]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert read_json(folder / "end.json") == {"rank": 0, "world": 1}, "the leader alone goes on"
    return [read_json(folder / f"{rank}.json") for rank in range(2)]


@pytest.mark.parametrize("kind", ["full", "top"])
def test_two_processes_learn_what_one_does(two: list[dict[str, Any]], tmp_path: Path, kind: str) -> None:
    alone, (leader, follower) = shared(kind, tmp_path), (one[kind] for one in two)
    assert alone["rows"] == 3 * 60 == leader["rows"] + follower["rows"]
    assert 0 < leader["rows"] - follower["rows"] <= 3 * 9, "a step of seven is four and three"
    for one, both in zip(alone["history"], leader["history"], strict=True):
        assert both == pytest.approx(one, rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_leader_has_what_its_follower_has(two: list[dict[str, Any]], kind: str) -> None:
    leader, follower = (one[kind] for one in two)
    assert leader["weights"] == follower["weights"] and leader["history"] == follower["history"]


def test_two_processes_learn_the_same_again(two: list[dict[str, Any]]) -> None:
    assert [one["again"] for one in two] == [one["full"] for one in two], "to the last bit"


def test_every_row_of_a_step_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "world", lambda: 3)
    for rows, divisible in ((16, True), (3, True), (1, True), (16, False)):
        counted = [0.0] * rows
        for rank in range(3):
            monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
            places, share = processes.own(rows, divisible)
            assert len(places) > 1 or rows == 1, "no row of several is alone"
            for place in places:
                counted[place] += share
        assert counted == pytest.approx([1.0] * rows)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match=r"^resources\.processes is 2, but torch sees 1 GPU: set it to 1, or"):
        processes.begin(2, torch.device("cuda"))


@pytest.mark.parametrize("meet", [lambda count: processes.begin(count, torch.device("cpu")), processes.alone])
@pytest.mark.parametrize("count", [1, 2])
def test_another_number_than_the_launchers_is_refused(
    monkeypatch: pytest.MonkeyPatch, count: int, meet: Callable[[int], None]
) -> None:
    for name, value in {"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "3"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "accelerate", None)  # nothing is awaited
    with pytest.raises(InputError, match=f"started 3 processes, but resources.processes is {count}: set it to 3"):
        meet(count)


@pytest.mark.parametrize("rank", [0, 1])
def test_where_nothing_is_shared_a_launchers_follower_ends_and_the_leader_is_alone(
    monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    for name, value in {"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "2", "RANK": str(rank)}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) if rank else nullcontext() as ended:
        processes.alone(2)
    assert ended.value.code == 0 if ended else processes.world() == 1


def test_alone_nothing_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    monkeypatch.setenv("RANK", "1")  # of a launcher that has nothing to do with this
    processes.begin(1, torch.device("cpu"))
    assert processes.own(5) == ([0, 1, 2, 3, 4], 1.0) and processes.rank() == 0
    assert processes.add_up(torch.nn.Linear(1, 1), 0.5) == 0.5
    processes.end()


def test_a_follower_whose_leader_is_gone_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "2", "RANK": "1", processes.LEADER: "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(stage, "die_with_parent", lambda: None)
    monkeypatch.setattr(stage, "fix_randomness", lambda params: pytest.fail("it went on"))
    monkeypatch.chdir(REPO)
    with pytest.raises(SystemExit):
        processes.run("adaptation", lambda _: None)


# A stage whose follower breaks before the two have met.
BREAKING = """
import os
import torch
from tasks.training import processes

processes.LOOK_SECONDS = 0.1

def main(stage):
    if processes.rank() == 1:
        os._exit(7)
    processes.begin(2, torch.device("cpu"))

processes.run("adaptation", main)
"""


def test_a_leader_that_waits_for_a_lost_follower_ends_with_one_sentence(tmp_path: Path) -> None:
    root = write_project(tmp_path, resources__processes=2, resources__threads=1)
    (root / "breaking.py").write_text(BREAKING, encoding="utf-8")
    own = os.environ | {"PYTHONPATH": str(REPO)}
    done = subprocess.run(
        [sys.executable, "breaking.py"], cwd=root, env=own, capture_output=True, text=True, timeout=300
    )
    outcome = read_json(root / ".graft/outcome/adaptation.json")
    assert (done.returncode, outcome["state"], len(outcome["sentences"])) == (1, "crash", 1), done.stderr
    assert "ended before it, with exit code 7: see what it said above" in outcome["sentences"][0]


def test_a_step_that_fails_for_a_lost_follower_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(of: stage.Stage) -> None:
        raise RuntimeError("Connection closed by peer")

    of = stage.Stage("adaptation", tmp_path, params(), tmp_path)
    with pytest.raises(RuntimeError, match=r"^Connection closed"):
        processes._led(fails, of)
    monkeypatch.setattr(processes, "STARTED", [ended := subprocess.Popen([sys.executable, "-c", "exit(7)"])])
    ended.wait()
    with pytest.raises(CrashError, match=r"exit code 7: .* run again, .* or set resources\.processes to 1"):
        processes._led(fails, of)

    def lacks(of: stage.Stage) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")

    with pytest.raises(RuntimeError, match="allocate memory"):
        processes._led(lacks, of)  # as the follower did: the sentence names the leaf to lower


def test_followers_that_come_to_their_end_are_no_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STARTED", [ended := subprocess.Popen([sys.executable, "-c", ""])])
    monkeypatch.setattr(time, "sleep", lambda seconds: processes.STARTED.clear())  # the leader is through, too
    monkeypatch.setattr(os, "_exit", lambda code: pytest.fail("the leader was ended"))
    ended.wait()
    processes._watch(stage.Stage("adaptation", tmp_path, params(), tmp_path), 0.0)
