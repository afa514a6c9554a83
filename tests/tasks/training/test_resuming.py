"""A training's state: a kill at any moment of writing it leaves a whole one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tasks.network import Network
from tasks.training import resuming
from tasks.training.resuming import Epoch, Progress, restored, store
from tests.tasks.training.test_loop import network, same
from tests.tasks.training.test_loop import one_thread as one_thread


def stepped(value: float) -> tuple[Network, torch.optim.Optimizer, Progress]:
    """A network all of whose weights are `value`, an optimizer with moments, and a history that says so."""
    made = network()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.fill_(value)
            parameter.grad = torch.full_like(parameter, value)
    optimizer = torch.optim.AdamW(made.parameters(), lr=0.0, weight_decay=0.0)
    optimizer.step()
    return made, optimizer, Progress([Epoch(8, value, value, 0.5)], value, 0, rolled_back=[1])


def written(folder: Path, value: float) -> None:
    made, optimizer, progress = stepped(value)
    store(folder, made, optimizer, resuming.copied(made), progress)


def read(folder: Path) -> tuple[Network, torch.optim.Optimizer, Progress]:
    made = network()
    optimizer = torch.optim.AdamW(made.parameters(), lr=0.0)
    progress, best = restored(folder, made, optimizer)
    assert all(torch.equal(best[name], tensor) for name, tensor in made.state_dict().items())
    return made, optimizer, progress


def test_the_newest_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        written(tmp_path / "state", value)
    found, optimizer, progress = read(tmp_path / "state")
    expected, moments, whole = stepped(2.0)
    assert same(found, expected) and progress == whole
    for number, state in moments.state_dict()["state"].items():
        assert {name: value.tolist() for name, value in state.items()} == {
            name: value.tolist() for name, value in optimizer.state_dict()["state"][number].items()
        }
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["2"]


def test_a_kill_at_any_moment_of_writing_leaves_a_whole_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "state"
    written(folder, 1.0)
    values = []
    for moment in range(30):
        copy = Path(shutil.copytree(folder, tmp_path / str(moment)))
        child = os.fork()
        if not child:
            dies_at(moment, monkeypatch)
            written(copy, 2.0)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        values.append(read(copy)[2].best)
        if code == 0:
            break
    assert code == 0 and values == sorted(values) and set(values) == {1.0, 2.0}
    assert len(values) > 6, "files, folders and the state before: each is a moment"


def dies_at(moment: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process ends at its nth change to the disk, at once, as SIGKILL ends it."""
    left = [moment]

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def change(*args: Any, **kwargs: Any) -> Any:
            if not left[0]:
                os._exit(9)
            left[0] -= 1
            return function(*args, **kwargs)

        return change

    monkeypatch.setattr(resuming, "save_file", counted(resuming.save_file))
    for name in ("replace", "unlink", "rmdir", "mkdir"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))


def test_what_a_kill_left_half_written_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".1.x1y2").mkdir()
    written(tmp_path, 1.0)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
