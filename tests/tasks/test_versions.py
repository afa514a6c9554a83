"""git and DVC keep what a project needs, touch nothing else, and say no in one sentence."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks import versions
from tasks.errors import InputError


@pytest.fixture(autouse=True, scope="module")
def nobody() -> Iterator[None]:
    """No identity, no hooks, no settings but those of a test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
            patch.setenv(name, "/dev/null")
        for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty repository with DVC."""
    root = tmp_path_factory.mktemp("versions")
    versions.init_git(root)
    assert versions.init_dvc(root) == [".dvc/config", ".dvc/.gitignore", ".dvcignore"]
    return root


@pytest.fixture
def repo(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "repo"))


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def refusal(function: object, *arguments: object) -> str:
    assert callable(function)
    with pytest.raises(InputError) as caught:
        function(*arguments)
    (sentence,) = caught.value.sentences
    return sentence


def test_the_repository_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert versions.repository(tmp_path / "a/b") is None
    (tmp_path / "a/.git").mkdir(parents=True)
    assert versions.repository(tmp_path / "a/b/c") == tmp_path / "a" == versions.repository(tmp_path / "a")
    assert versions.repository(tmp_path) is None


def test_a_new_repository_has_main_and_an_identity_where_there_is_none(repo: Path) -> None:
    assert git(repo, "symbolic-ref", "--short", "HEAD") == "main"
    assert git(repo, "config", "--local", "user.name") == "graft"
    assert git(repo, "config", "--local", "user.email") == "graft@localhost"


def test_the_users_own_identity_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    root = tmp_path / "repo"
    root.mkdir()
    versions.init_git(root)
    (root / "a").touch()
    versions.commit(root, ["a"], "one")
    assert git(root, "log", "--format=%an %ae") == "Ada ada@example.org"
    assert "user." not in git(root, "config", "--local", "--list")


def test_dvc_sends_nothing_and_nothing_is_staged(repo: Path) -> None:
    config = (repo / ".dvc/config").read_text()
    assert all(f"{name} = false" in config for name in ("analytics", "check_update", "autostage"))
    assert git(repo, "diff", "--cached", "--name-only") == ""
    assert versions.init_dvc(repo) == [], "it is there"


def test_dvc_in_a_folder_of_a_repository(tmp_path: Path) -> None:
    versions.init_git(tmp_path)
    root = tmp_path / "project"
    root.mkdir()
    versions.init_dvc(root)
    assert (root / ".dvc/config").read_text() == versions.DVC_CONFIG
    assert git(tmp_path, "diff", "--cached", "--name-only") == ""


def test_the_remote_is_a_folder_beside_the_repository(repo: Path) -> None:
    (repo / "a").touch()
    files = versions.track(repo, "a")
    assert versions.add_remote(repo, "parcels", 0) == "../parcels-storage"
    assert not (repo.parent / "parcels-storage").exists(), "the first push makes it"
    subprocess.run([sys.executable, "-m", "dvc", "push", "-q"], cwd=repo, check=True, timeout=60)
    assert (repo.parent / "parcels-storage").is_dir() and files
    assert str(repo.parent) not in (repo / ".dvc/config").read_text()


def test_a_hook_of_another_repository_is_not_obeyed(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other"))
    assert versions.git(repo, "rev-parse", "--show-toplevel").strip() == str(repo)


def test_dvc_tracks_a_file_that_git_then_overlooks(repo: Path) -> None:
    (repo / "data/raw").mkdir(parents=True)
    (repo / "data/raw/rows.csv").write_text("text,label\n")
    files = versions.track(repo, "data/raw/rows.csv")
    assert files == ["data/raw/rows.csv.dvc", "data/raw/.gitignore"]
    assert git(repo, "status", "--porcelain", "-uall", "data").split() == ["??", files[1], "??", files[0]]


def test_dvc_refuses_what_git_keeps(repo: Path) -> None:
    (repo / "rows.csv").write_text("text,label\n")
    assert not versions.tracked(repo, "rows.csv")
    versions.commit(repo, ["rows.csv"], "rows")
    assert versions.tracked(repo, "rows.csv")
    sentence = refusal(versions.track, repo, "rows.csv")
    assert sentence.startswith("DVC refused (") and "rows.csv" in sentence
    assert sentence.endswith("): mend that and run again.")


def test_a_commit_takes_its_paths_and_leaves_what_else_is_staged(repo: Path) -> None:
    for name in ("mine", "yours"):
        (repo / name).touch()
    git(repo, "add", "yours")
    versions.commit(repo, ["mine"], "only mine")
    assert git(repo, "show", "--format=%s", "--name-only").split("\n") == ["only mine", "", "mine"]
    assert git(repo, "diff", "--cached", "--name-only") == "yours"


def test_a_commit_needs_no_identity_and_leaves_none(repo: Path) -> None:
    for key in versions.IDENTITY:
        git(repo, "config", "--local", "--unset", key)
    (repo / "a").touch()
    versions.commit(repo, ["a"], "one")
    assert git(repo, "log", "--format=%an %ae") == "graft graft@localhost"
    assert "user." not in git(repo, "config", "--local", "--list")


def test_a_refused_commit_leaves_nothing_staged(repo: Path) -> None:
    hook = repo / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\necho 'no commits on Sundays' >&2\nexit 1\n")
    hook.chmod(0o755)
    (repo / "a").touch()
    assert refusal(versions.commit, repo, ["a"], "one").startswith("git refused (no commits on Sundays): mend that")
    assert git(repo, "diff", "--cached", "--name-only") == ""


def test_what_is_not_committed(repo: Path) -> None:
    (repo / "dvc.yaml").write_text("stages: {}\n")
    assert versions.uncommitted(repo, "dvc.yaml")
    versions.commit(repo, ["dvc.yaml"], "one")
    assert not versions.uncommitted(repo, "dvc.yaml")
    (repo / "dvc.yaml").write_text("stages:\n")
    assert versions.uncommitted(repo, "dvc.yaml")


def test_outside_of_a_repository_git_refuses(tmp_path: Path) -> None:
    assert "not a git repository" in refusal(versions.uncommitted, tmp_path, "dvc.yaml")


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refusal(versions.init_git, tmp_path).startswith("git is not installed, and every record of a project needs")
