"""A new project that cannot be made is refused in a sentence, and a failure on the way leaves all as it was."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest

from tasks import versions
from tasks.errors import InputError, refused_write
from tasks.project.create import described
from tasks.project.folder import copy
from tests.creating import Bench, git, listing, write_model, write_rows
from tests.creating import bench as bench
from tests.creating import no_dvc as no_dvc
from tests.creating import somebody as somebody


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"data": "nowhere.csv"}, "There is no file or folder"),
        ({"test": "nowhere.csv"}, "There is no file or folder"),
        ({"directory": "rows.csv"}, "rows.csv is a file: name another folder"),
        ({"data": "files", "directory": "files/project"}, "would lie inside its data, files: name a folder beside"),
        ({"data": "files", "test": "files/test"}, "Of files and test one lies inside the other, so that test rows"),
        ({"data": "files/test", "test": "files"}, "one lies inside the other"),
        ({"test": "files"}, "Of rows.csv and files one is a folder: give --data and --test of one kind."),
        ({"test": "other.csv"}, "other.csv has no column 'label': it has text; --test needs the columns of --data."),
        (
            {"test": "more/rows.csv"},
            "--data and --test are both called rows.csv and would have one place in data/raw: rename one",
        ),
        (
            {"models": ["bert"]},
            "--model bert is no source of a model: write package:NAME, path:FOLDER or hub:OWNER/NAME",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(bench: Bench, no_dvc: None, wishes: dict[str, Any], words: str) -> None:
    (bench.root / "files/test").mkdir(parents=True)
    (bench.root / "other.csv").write_text("text\na\n")
    write_rows(bench.root / "more/rows.csv", 20)
    paths = {name: bench.root / path for name, path in wishes.items() if name in ("data", "test")}
    assert words in bench.refusal(**(wishes | paths))


@pytest.mark.parametrize("name", ["params.yaml", "dvc.yaml"])
def test_a_project_is_never_overwritten(bench: Bench, name: str) -> None:
    (bench.root / "project").mkdir()
    (bench.root / "project" / name).write_text("mine\n")
    assert bench.refusal().startswith(f"The folder project has a {name} already, and nothing is overwritten: name")


def refuse(*_: object) -> list[str]:
    raise InputError("DVC refused.")


@pytest.mark.parametrize("place", ["absent", "empty", "filled", "repository", "below a repository"])
@pytest.mark.parametrize("failure", [refuse, KeyboardInterrupt()])
def test_a_failure_on_the_way_leaves_all_as_it_was(
    bench: Bench, no_dvc: None, monkeypatch: pytest.MonkeyPatch, place: str, failure: Any
) -> None:
    root = bench.root / "project"
    if place != "absent" and place != "below a repository":
        root.mkdir()
    if place == "filled":
        (root / "notes.txt").write_text("mine\n")
        (root / ".gitignore").write_text("notes")
    if "repository" in place:
        git(bench.root if "below" in place else root, "init", "-q")
    existed = root.exists()

    def last(*_: object) -> None:
        assert list(bench.root.rglob("params.yaml")), "it was made nearly to its end"
        assert root.exists() == (place != "absent"), "where nothing was, nothing is until all is"
        raise InputError("Broken.") if failure is refuse else failure

    monkeypatch.setattr("tasks.fingerprint.write", last)
    before = listing(bench.root)
    with pytest.raises(InputError if failure is refuse else KeyboardInterrupt):
        bench.create()
    assert listing(bench.root) == before and root.exists() == existed
    assert (root / ".git").exists() == (place == "repository")
    assert not existed or {path.name for path in root.iterdir()} <= {"notes.txt", ".gitignore", ".git"}


def test_a_failure_takes_away_nothing_of_anybody_else(
    bench: Bench, no_dvc: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = bench.root / "project"
    root.mkdir()

    git(root, "init", "-q")

    def last(_: Path) -> None:
        (root / "written meanwhile").touch()
        versions.commit(root, ["written meanwhile"], "mine")
        raise InputError("Broken.")

    monkeypatch.setattr("tasks.fingerprint.write", last)
    with pytest.raises(InputError):
        bench.create()
    assert sorted(path.name for path in root.iterdir()) == [".git", "written meanwhile"]
    assert git(root, "show", "--format=%s", "--name-only").split("\n\n") == ["mine", "written meanwhile"]


def test_a_refused_commit_leaves_nothing(bench: Bench, no_dvc: None) -> None:
    git(bench.root, "init", "-q")
    hook = bench.root / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no >&2\nexit 1\n")
    hook.chmod(0o755)
    assert bench.refusal(commit=True).startswith("git refused (no)")
    assert git(bench.root, "diff", "--cached", "--name-only") == ""


def test_a_model_with_the_name_of_another(bench: Bench, no_dvc: None) -> None:
    write_model(bench.root / "other/model")
    models = [f"path:{bench.root / path}" for path in ("model", "other/model")]
    assert bench.refusal(models=models) == (
        "There is a model models/model already, and nothing is overwritten: rename one of them."
    )


@pytest.mark.parametrize("options", [["=words"], ["a="], ["a", "a=words"], [""]])
def test_an_option_that_describes_no_label_is_refused(options: list[str]) -> None:
    with pytest.raises(InputError, match="give every label once, as LABEL or LABEL=WORDS"):
        described(options)


def shots(root: Path) -> Path:
    """A folder of images."""
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
        (root / "shots" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "shots" / name).write_text(name)
    return root / "shots"


def test_a_folder_with_a_link_to_nothing_is_refused_in_a_sentence(bench: Bench, no_dvc: None) -> None:
    folder = shots(bench.root)
    (folder / "a/3.png").symlink_to(bench.root / "gone.png")
    told = bench.refusal(data=folder)
    assert told.startswith("1 file in shots cannot be copied, the first for this: [Errno 2] No such file or directory")
    assert "a/3.png" in told and str(bench.root) not in told


def test_a_disk_that_fills_while_a_folder_is_copied_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: str, target: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", target)

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(shutil.Error) as error:
        copy(shots(tmp_path), tmp_path / "project")
    assert "free or allow the space" in str(refused_write(error.value))
