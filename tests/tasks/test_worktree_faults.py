"""Scheduled runs that were killed, that find another at work or something in their way: they wait, mend or refuse."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tasks import versions
from tasks.errors import BusyError, InputError
from tasks.reproduce import reproduce
from tasks.stage import one_writer
from tasks.worktree import scheduled
from tests.identity import nobody as nobody
from tests.toy import git, within
from tests.worktrees import change, run, run_and_commit
from tests.worktrees import fresh as fresh
from tests.worktrees import template as template

HOUSE = Path(__file__).resolve().parents[2]


def test_one_run_waits_for_the_other(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.stage.WAIT_SECONDS", 0.1)
    order: list[str] = []

    def second() -> None:
        with scheduled(fresh, order.append):
            order.append("second")

    waiting = threading.Thread(target=second)
    with one_writer(fresh / ".graft/scheduled.lock"):
        waiting.start()
        assert within(10, lambda: bool(order)), "who waits is told"
        waiting.join(timeout=0.5)
        order.append("first")
    waiting.join(timeout=60)
    assert order == [
        "Another scheduled run works on this project: this one waits for its turn.", "first", "second",
    ]  # fmt: skip


def test_a_run_whose_turn_does_not_come_is_told(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.worktree.TURN_SECONDS", 0.1)
    with (
        one_writer(fresh / ".graft/scheduled.lock"),
        pytest.raises(BusyError, match="Another scheduled run"),
        scheduled(fresh),
    ):
        pass


def test_what_a_killed_run_left_is_mended_and_what_it_finished_counts(fresh: Path) -> None:
    with scheduled(fresh) as checkout:
        run(checkout)
        root = checkout.root
    resume, stray = root / ".graft/resume/state", root / "stray.csv"
    for path in (resume, stray):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    index_lock = fresh / ".git/worktrees/worktree/index.lock"
    index_lock.touch()
    os.utime(index_lock, (0, 0))
    with scheduled(fresh) as checkout:
        assert resume.exists() and not stray.exists()
        assert run(checkout).ran == []
    lock = (root / "dvc.lock").read_text()
    (root / "dvc.lock").write_text(lock[: lock.index("outs") + 2])
    with scheduled(fresh) as checkout:
        assert not (root / "dvc.lock").exists(), "half a lock would stop DVC for good"


def test_locks_of_refs_that_a_power_cut_left_are_dropped(fresh: Path) -> None:
    for name in ("heads/graft/scheduled.lock", "tags/graft/run-0001.lock"):
        path = fresh / ".git/refs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (0, 0))
    with scheduled(fresh) as checkout:
        (checkout.root / "setting.txt").write_text("2")
        assert checkout.commit(["setting.txt"], "run") and checkout.tag() == "graft/run-0001"


@pytest.mark.parametrize("left", ["no link", "locked", "gone"])
def test_a_half_made_worktree_is_made_anew(fresh: Path, left: str) -> None:
    place, folder = fresh / ".graft/worktree", fresh / ".git/worktrees/worktree"
    git(fresh, "worktree", "add", "-q", "--detach", "--no-checkout", str(place))
    if left == "gone":
        shutil.rmtree(place)
    else:
        (folder / "locked").write_text("initializing")
    if left == "no link":
        (place / ".git").unlink()
    with scheduled(fresh) as checkout:
        assert (checkout.root / "data/raw/rows.csv").is_file()


def test_a_worktree_of_the_users_own_stays_registered_though_its_disk_is_away(fresh: Path, tmp_path: Path) -> None:
    git(fresh, "worktree", "add", "-q", "--detach", str(tmp_path / "mine"))
    (tmp_path / "mine").rename(tmp_path / "away")
    with scheduled(fresh):
        pass
    (tmp_path / "away").rename(tmp_path / "mine")
    assert git(tmp_path / "mine", "status", "--porcelain") == ""


def test_a_branch_that_moved_is_not_overwritten(fresh: Path) -> None:
    with scheduled(fresh) as checkout:
        git(fresh, "branch", "graft/scheduled")
        (checkout.root / "setting.txt").write_text("2")
        with pytest.raises(InputError, match="moved during the run, so that nothing was committed: run again"):
            checkout.commit(["setting.txt"], "late")
    assert git(fresh, "rev-parse", "graft/scheduled") == git(fresh, "rev-parse", "main")


def test_a_branch_on_which_the_user_stands_is_not_moved(fresh: Path) -> None:
    git(fresh, "switch", "-q", "-c", "graft/scheduled")
    with pytest.raises(InputError, match="is checked out and would move under you: `git switch`"), scheduled(fresh):
        pass


def test_what_git_refuses_is_told_in_its_words(fresh: Path) -> None:
    with scheduled(fresh) as checkout:
        (checkout.root / "setting.txt").write_text("2")
        held = fresh / ".git/refs/heads/graft/scheduled.lock"
        held.parent.mkdir(parents=True)
        held.touch()
        with pytest.raises(InputError, match=r"^git refused \(.*scheduled.lock': File exists.*\): mend that"):
            checkout.commit(["setting.txt"], "late")


@pytest.mark.parametrize(
    ("kind", "name", "made"),
    [
        ("branch", "graft", "graft/scheduled"),
        ("branch", "graft/scheduled/mine", "graft/scheduled"),
        ("tag", "graft", "graft/run-0001"),
    ],
)
def test_a_name_that_is_in_the_way_is_refused_before_anything_runs(
    fresh: Path, kind: str, name: str, made: str
) -> None:
    git(fresh, kind, name)
    git(fresh, kind, "graft-of-another-kind")
    with (
        pytest.raises(InputError, match=rf"^The {kind} {name} is in the way of {made}, .*: rename or"),
        scheduled(fresh),
    ):
        pass
    git(fresh, kind, "-d", name)
    with scheduled(fresh):
        pass


def test_a_branch_to_which_the_user_came_meanwhile_is_not_moved(fresh: Path) -> None:
    git(fresh, "branch", "graft/scheduled")
    with scheduled(fresh) as checkout:
        git(fresh, "switch", "-q", "graft/scheduled")
        (checkout.root / "setting.txt").write_text("2")
        with pytest.raises(InputError, match="is checked out and would move under you"):
            checkout.commit(["setting.txt"], "late")
    assert git(fresh, "rev-parse", "HEAD") == git(fresh, "rev-parse", "main")


def test_nothing_committed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lies in no git repository"), scheduled(tmp_path):
        pass
    versions.init_git(tmp_path)
    with pytest.raises(InputError, match="nothing is committed: commit the project"), scheduled(tmp_path):
        pass
    change(tmp_path, "a", "")
    with pytest.raises(InputError, match=r"has no params\.yaml of this project: commit it"), scheduled(tmp_path):
        pass


SCHEDULED = """
import sys
from pathlib import Path
from tasks.reproduce import reproduce
from tasks.worktree import scheduled
with scheduled(Path(sys.argv[1])) as checkout:
    reproduce(checkout.root, "preparation", lambda line: print(line, flush=True))
    checkout.commit([], "never")
"""


def test_a_killed_run_is_completed_by_the_next(fresh: Path) -> None:
    change(fresh, "mode.txt", "preparation sleep")
    first = subprocess.Popen(
        [sys.executable, "-c", SCHEDULED, str(fresh)], cwd=HOUSE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert first.stdout is not None
        assert any(line.startswith("asleep") for line in first.stdout), "preparation is under way"
    finally:
        first.kill()
        first.communicate(timeout=10)
    change(fresh, "mode.txt", "none none")
    with scheduled(fresh) as checkout:
        lines: list[str] = []
        assert reproduce(checkout.root, "preparation", lines.append).ran == ["preparation", "preparation_gate"]
        assert "Stage 'selection' didn't change, skipping" in lines, "the killed run had finished it"
        assert checkout.commit([], "completed") and checkout.tag() == "graft/run-0001"


BY_HAND = """
import sys
from pathlib import Path
from tasks.reproduce import reproduce
reproduce(Path(sys.argv[1]), "preparation", lambda line: print(line, flush=True))
"""


def test_a_run_by_hand_at_the_same_time_does_not_collide(fresh: Path) -> None:
    (fresh / "mode.txt").write_text("preparation wait")
    hand = subprocess.Popen([sys.executable, "-c", BY_HAND, str(fresh)], cwd=HOUSE, stdout=subprocess.PIPE, text=True)
    try:
        assert hand.stdout is not None
        assert any(line.startswith("waiting") for line in hand.stdout), "DVC is at work in the checkout"
        record, _ = run_and_commit(fresh)
        assert record.ran == ["preparation", "preparation_gate"] and hand.poll() is None
        (fresh / "go").touch()
        hand.communicate(timeout=30)
        assert hand.returncode == 0
    finally:
        hand.kill()
        hand.wait()
    assert git(fresh, "show", "graft/scheduled:dvc.lock") == (fresh / "dvc.lock").read_text().strip()
