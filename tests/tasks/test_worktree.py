"""Scheduled runs in a tiny project: what they commit and push, and that the checkout never notices."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tasks import versions
from tasks.errors import InputError
from tasks.worktree import scheduled
from tests.identity import nobody as nobody
from tests.toy import git, write_toy
from tests.worktrees import change, run, run_and_commit
from tests.worktrees import fresh as fresh
from tests.worktrees import template as template

# A folder that cannot be made, for its parent is a file.
REMOTE_IN_A_FILE = "    remote = storage\n['remote \"storage\"']\n    url = ../setting.txt/storage\n"


@pytest.fixture(scope="module")
def ran(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template after one scheduled run; tests that read alone share it."""
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


def state(root: Path) -> tuple[str, ...]:
    return git(root, "status", "--porcelain"), git(root, "rev-parse", "HEAD"), git(root, "symbolic-ref", "HEAD")


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
