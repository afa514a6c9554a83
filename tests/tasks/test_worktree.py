"""Scheduled runs in a tiny project: what they commit, what they stand on, and that the checkout never notices."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from tasks import versions
from tasks.errors import BusyError, InputError
from tasks.reproduce import Record, reproduce
from tasks.stage import one_writer
from tasks.worktree import Checkout, scheduled
from tests.identity import nobody as nobody
from tests.toy import git, within, write_toy, write_versions

# A folder that cannot be made, for its parent is a file.
REMOTE_IN_A_FILE = "    remote = storage\n['remote \"storage\"']\n    url = ../setting.txt/storage\n"
HOUSE = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project under versions, in which nothing has run."""
    return write_versions(write_toy(tmp_path_factory.mktemp("template") / "project"))


@pytest.fixture(scope="module")
def ran(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after one scheduled run; tests that read alone share it."""
    root = Path(shutil.copytree(template, tmp_path_factory.mktemp("ran") / "project"))
    (root / "staged.txt").write_text("mine")
    git(root, "add", "staged.txt")
    (root / "mode.txt").write_text("none  none")
    before = state(root)
    with scheduled(root) as checkout:
        assert run(checkout).ran == ["preparation", "preparation_gate"]
        (checkout.root / "record.json").write_text("{}")
        assert len(checkout.commit(["record.json"], "Scheduled run: the gate passed") or "") == 40
        assert checkout.commit(["record.json"], "again") is None
        assert checkout.tag() == "graft/run-0001"
        assert checkout.push() == "The data are pushed to DVC's remote."
    assert state(root) == before
    return root


@pytest.fixture
def fresh(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "project"))


def run(checkout: Checkout) -> Record:
    return reproduce(checkout.root, "preparation", lambda line: None)


def state(root: Path) -> tuple[str, ...]:
    return git(root, "status", "--porcelain"), git(root, "rev-parse", "HEAD"), git(root, "symbolic-ref", "HEAD")


def run_and_commit(root: Path) -> tuple[Record, str]:
    with scheduled(root) as checkout:
        record = run(checkout)
        made = checkout.commit([], "run")
        assert made
        return record, made


def change(root: Path, path: str, text: str) -> str:
    (root / path).write_text(text)
    versions.commit(root, [path], f"change {path}")
    return git(root, "rev-parse", "HEAD")


def test_a_run_commits_its_records_beside_the_users_branch(ran: Path) -> None:
    files = git(ran, "show", "--format=%s", "--name-only", "graft/scheduled").split()
    assert {"dvc.lock", "code.yaml", "record.json"} <= set(files) and "staged.txt" not in files
    assert git(ran, "rev-parse", "graft/scheduled^") == git(ran, "rev-parse", "main")
    assert git(ran, "rev-parse", "graft/run-0001") == git(ran, "rev-parse", "graft/scheduled")
    assert git(ran, "show", "graft/scheduled:mode.txt") == "none none", "what is not committed does not count"
    assert not (ran / "dvc.lock").exists() and not (ran / "record.json").exists()


def test_no_committed_file_names_a_place_of_this_machine(ran: Path) -> None:
    found = subprocess.run(["git", "grep", "-c", str(ran.parent), "graft/scheduled"], cwd=ran, capture_output=True)
    assert found.returncode == 1, found.stdout


def test_data_go_to_the_remote_and_the_cache_of_the_checkout(ran: Path) -> None:
    assert list((ran.parent / "toy-storage/files").rglob("*")), "the remote is beside the project, not the worktree"
    cache = ran / ".graft/worktree/.dvc/cache"
    assert cache.resolve() == ran / ".dvc/cache" and list((ran / ".dvc/cache/files").rglob("*"))


def test_features_readings_and_counted_looks_are_those_of_the_checkout(ran: Path) -> None:
    for name in ("features", "looks", "readings"):
        assert (ran / ".graft/worktree/.graft" / name).resolve() == ran / ".graft" / name


def test_the_next_run_goes_on_from_the_last(ran: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(ran, tmp_path / "project", symlinks=True))
    shutil.rmtree(root / ".graft/worktree")
    with scheduled(root) as checkout:
        assert git(checkout.root, "rev-parse", "HEAD") == git(root, "rev-parse", "graft/scheduled")
        assert run(checkout).ran == []
        assert checkout.commit([], "nothing") is None and checkout.tag() == "graft/run-0001"
        (checkout.root / "setting.txt").write_text("2")
        assert checkout.commit(["setting.txt"], "other setting")
        assert checkout.tag() == "graft/run-0002"


def test_what_a_run_committed_and_did_not_push_is_tagged_and_pushed_by_the_next(fresh: Path) -> None:
    with scheduled(fresh) as checkout:
        assert checkout.tag() is None, "nothing was committed yet"
        (checkout.root / "setting.txt").write_text("2")
        tip = checkout.commit(["setting.txt"], "killed before its tag")
    assert not (fresh.parent / "toy-storage").exists() and git(fresh, "tag") == ""
    base = change(fresh, "params.yaml", (fresh / "params.yaml").read_text() + "\n")
    with scheduled(fresh) as checkout:
        assert checkout.parents == [tip, base]
        assert git(fresh, "tag") == "graft/run-0001", "before this run commits another tip"
        assert checkout.tag() == checkout.tag() == "graft/run-0001"
        assert checkout.push() == "The data are pushed to DVC's remote."
    assert git(fresh, "rev-parse", "graft/run-0001") == tip and git(fresh, "tag") == "graft/run-0001"
    assert list((fresh.parent / "toy-storage/files").rglob("*"))


def test_a_copied_project_leaves_the_worktree_of_the_first_alone(ran: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(ran, tmp_path / "project", symlinks=True))
    change(root, "setting.txt", "2")
    tip = git(ran, "rev-parse", "graft/scheduled")
    run_and_commit(root)
    assert git(ran, "rev-parse", "graft/scheduled") == tip == git(ran / ".graft/worktree", "rev-parse", "HEAD")


def test_what_the_user_commits_and_what_runs_made_are_joined(ran: Path, tmp_path: Path) -> None:
    fresh = Path(shutil.copytree(ran, tmp_path / "project", symlinks=True))
    with scheduled(fresh) as checkout:
        (checkout.root / "data/raw/feedback.csv").write_text("text,label\nnew,a\n")
        versions.track(checkout.root, "data/raw/feedback.csv")
        tip = checkout.commit([], "feedback") or ""
    base = change(fresh, "setting.txt", "2")
    with scheduled(fresh) as checkout:
        assert checkout.parents == [tip, base]
        assert run(checkout).ran == ["preparation_gate"], "what an earlier run made counts"
        assert (checkout.root / "data/raw/feedback.csv").read_text() == "text,label\nnew,a\n"
        assert "/feedback.csv" in (checkout.root / "data/raw/.gitignore").read_text()
        made = checkout.commit([], "joined")
    assert git(fresh, "show", "-s", "--format=%P", "graft/scheduled").split() == [tip, base]
    git(fresh, "merge", "-q", "--ff-only", "graft/scheduled")
    base = change(fresh, "setting.txt", "3")
    with scheduled(fresh) as checkout:
        assert checkout.parents == [base] and checkout.tip == made


def test_what_a_retraining_decided_is_known_on_a_base_that_moved(fresh: Path) -> None:
    decided = '{"promote": true}'
    with scheduled(fresh) as checkout:
        (checkout.root / "data/retrain.json").write_text(decided)
        assert checkout.commit(["data/retrain.json"], "decided, and killed before the promotion")
    base = change(fresh, "setting.txt", "2")
    with scheduled(fresh) as checkout:
        assert checkout.parents[1:] == [base]
        assert (checkout.root / "data/retrain.json").read_text() == decided
        assert checkout.commit([], "a run that decides nothing")
    assert git(fresh, "show", "graft/scheduled:data/retrain.json") == decided


def test_the_feedback_that_runs_joined_stays_in_the_params(fresh: Path) -> None:
    params = (fresh / "params.yaml").read_text()
    params = re.sub(r"  feedback:.*\n", "", params).replace("data:\n", "data:\n  feedback: null  # joined\n", 1)
    change(fresh, "params.yaml", params)
    with scheduled(fresh) as checkout:
        (checkout.root / "params.yaml").write_text(params.replace("null  #", "data/raw/feedback.csv  #"))
        assert checkout.commit([], "feedback")
    change(fresh, "params.yaml", params.replace("seed: 13", "seed: 14"))
    with scheduled(fresh) as checkout:
        joined = (checkout.root / "params.yaml").read_text()
    assert yaml.safe_load(joined)["data"]["feedback"] == "data/raw/feedback.csv"
    assert yaml.safe_load(joined)["project"]["seed"] == 14 and "  # joined\n" in joined
    change(fresh, "params.yaml", params.replace("null  #", "data/raw/mine.csv  #"))
    with scheduled(fresh) as checkout:
        text = (checkout.root / "params.yaml").read_text()
    assert yaml.safe_load(text)["data"]["feedback"] == "data/raw/mine.csv", "what the user names counts"
    change(fresh, "params.yaml", re.sub(r"  feedback:.*\n", "", params))
    with scheduled(fresh) as checkout:
        assert "feedback:" not in (checkout.root / "params.yaml").read_text(), "the user's Graft knows no such leaf"


def test_hooks_of_the_users_own_are_not_run(fresh: Path) -> None:
    hook = fresh / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch ran-by-a-hook\nexit 1\n")
    hook.chmod(0o755)
    with scheduled(fresh) as checkout:
        (checkout.root / "data/retrain.json").write_text("{}")
        assert checkout.commit(["data/retrain.json"], "run")
    change(fresh, "setting.txt", "2")
    with scheduled(fresh) as checkout:
        assert len(checkout.parents) == 2, "records of the first run are carried"
        assert not (checkout.root / "ran-by-a-hook").exists()


def test_a_run_stands_on_the_branch_where_the_user_changed_nothing(ran: Path) -> None:
    told: list[str] = []
    params, tip = (ran / "params.yaml").read_text(), git(ran, "rev-parse", "graft/scheduled")
    (ran / "params.yaml").write_text(params + "\n")
    try:
        with scheduled(ran, told.append) as checkout:
            pass
    finally:
        (ran / "params.yaml").write_text(params)
    assert checkout.parents == [tip]
    assert told == [f"Changes of params.yaml that are not committed do not count: the run stands on commit {tip[:9]}."]


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


def test_data_come_from_the_remote_or_are_missed_in_a_sentence(ran: Path, tmp_path: Path) -> None:
    root = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(ran), str(root))
    missed = r"cannot bring the data of commit .* \(Checkout failed .*\): `dvc push` them from where they are"
    with pytest.raises(InputError, match=missed), scheduled(root):
        pass
    shutil.copytree(ran.parent / "toy-storage", tmp_path / "toy-storage")
    with scheduled(root) as checkout:
        assert (checkout.root / "data/raw/rows.csv").is_file()


def test_without_a_remote_nothing_is_pushed_and_nothing_fails(fresh: Path) -> None:
    change(fresh, ".dvc/config", versions.DVC_CONFIG)
    with scheduled(fresh) as checkout:
        assert checkout.push().startswith("The data are not pushed, because DVC has no default remote: `dvc remote add")
    change(fresh, ".dvc/config", versions.DVC_CONFIG + REMOTE_IN_A_FILE)
    with scheduled(fresh) as checkout:
        assert re.fullmatch(
            r"The data are not pushed, because DVC could not \(.+\): the next scheduled run tries again\.",
            checkout.push(),
        )


def test_settings_of_the_users_own_count_in_the_worktree(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    placed = os.replace

    def replace(source: str, target: str) -> None:
        placed(source, target)
        if os.path.basename(target) == "config.local":
            modes.append(os.stat(target).st_mode & 0o777)

    monkeypatch.setattr(os, "replace", replace)
    (fresh / ".dvc/config.local").write_text(
        "['remote \"storage\"']\n    url = ../../other\n    jobs = 2\n[cache]\n    type = hardlink\n"
    )
    (fresh / ".dvc/config.local").chmod(0o600)
    with scheduled(fresh) as checkout:
        path = checkout.root / ".dvc/config.local"
        assert checkout.push() == "The data are pushed to DVC's remote."
    assert (fresh.parent / "other/files").is_dir()
    text = path.read_text()
    assert "jobs = 2" in text and "type = hardlink" in text
    assert modes == [path.stat().st_mode & 0o777] == [0o600], "credentials are open to others at no time"


def test_a_project_in_a_folder_of_a_repository_has_a_branch_of_its_own(tmp_path: Path) -> None:
    versions.init_git(tmp_path)
    root = write_toy(tmp_path / "my projects/toy")
    files = [*versions.init_dvc(root), *versions.track(root, "data/raw/rows.csv")]
    (root / ".gitignore").write_text("/.graft/\n")
    versions.commit(
        root, [*files, ".gitignore", "dvc.yaml", "params.yaml", "toy.py", "mode.txt", "setting.txt"], "Begin"
    )
    with scheduled(root) as checkout:
        assert checkout.root == root / ".graft/worktree/my projects/toy"
        assert checkout.branch == "graft/my-projects/toy/scheduled"
        (checkout.root / "setting.txt").write_text("2")
        assert checkout.commit(["setting.txt"], "other")
        assert checkout.tag() == "graft/my-projects/toy/run-0001"
    assert git(tmp_path, "status", "--porcelain") == ""


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


SNAPSHOT = ["data/raw/rows.csv.dvc", "data/raw/rows.csv.source.json"]


def take_snapshot(root: Path, text: str) -> None:
    rows = "".join(f"{text} {i},{'ab'[i % 2]},email\n" for i in range(80))
    (root / "data/raw/rows.csv").unlink(missing_ok=True)
    (root / "data/raw/rows.csv").write_text("text,label,channel\n" + rows)
    (root / SNAPSHOT[1]).write_text(text)
    versions.track(root, "data/raw/rows.csv")


def test_a_snapshot_of_a_retraining_is_carried_to_a_base_that_moved(fresh: Path) -> None:
    before = (fresh / "data/raw/rows.csv").read_bytes()
    with scheduled(fresh) as checkout:
        take_snapshot(checkout.root, "newer")
        checkout.commit(SNAPSHOT, "Retrain")
    assert (fresh / "data/raw/rows.csv").read_bytes() == before, "the checkout never notices"
    change(fresh, "setting.txt", "2")
    with scheduled(fresh) as checkout:
        assert (checkout.root / SNAPSHOT[1]).read_text() == "newer"
        assert "newer 1" in (checkout.root / "data/raw/rows.csv").read_text()


def test_a_snapshot_that_the_user_took_since_counts_for_more(fresh: Path) -> None:
    with scheduled(fresh) as checkout:
        take_snapshot(checkout.root, "theirs")
        checkout.commit(SNAPSHOT, "Retrain")
    take_snapshot(fresh, "ours")
    versions.commit(fresh, SNAPSHOT, "Refresh")
    with scheduled(fresh) as checkout:
        assert (checkout.root / SNAPSHOT[1]).read_text() == "ours"
        assert "ours 1" in (checkout.root / "data/raw/rows.csv").read_text()
