"""A new project holds the user's data and models under DVC and git, and what lies in its place already stays."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tasks import versions
from tasks.check import check
from tasks.params import load
from tasks.project.create import Created
from tasks.reproduce import stale
from tests.creating import SHA256, Bench, git, listing, write_model, write_rows
from tests.creating import bench as bench
from tests.creating import no_dvc as no_dvc
from tests.creating import somebody as somebody

HOUSE = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Whole:
    """One project with all there is, made once."""

    root: Path
    made: Created


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    here = tmp_path_factory.mktemp("whole")
    bench = Bench(here)
    write_rows(here / "My rows.csv")
    write_rows(here / "elsewhere/test.csv", 20)
    write_model(here / "tiny model")
    made = bench.create(
        "Ünser 1. Projekt",
        data=here / "My rows.csv",
        test=here / "elsewhere/test.csv",
        models=[f"path:{here / 'tiny model'}"],
    )
    return Whole(here / "Ünser 1. Projekt", made)


def test_params_hold_what_was_found_with_the_houses_comments(whole: Whole) -> None:
    params = load(whole.root / "params.yaml")
    assert (params.project.name, params.project.problem) == ("unser-1-projekt", "classification")
    assert (params.data.path, params.data.test) == ("data/raw/My rows.csv", "data/raw/test.csv")
    assert (params.data.input_column, params.data.label_column, params.data.where) == ("text", "label", {})
    (candidate,) = params.selection.candidates
    assert (candidate.source, candidate.revision) == ("path:models/tiny model", SHA256)
    text, house = (root / "params.yaml" for root in (whole.root, HOUSE))
    assert text.read_text().count("# ") == house.read_text().count("# ")
    assert "docs/" not in text.read_text(), "a project has no docs to look into"
    assert yaml.safe_load(text.read_text())["receipt"] == yaml.safe_load(house.read_text())["receipt"]


def test_all_is_committed_once_and_the_data_are_dvcs(whole: Whole) -> None:
    assert git(whole.root, "rev-list", "--count", "HEAD") == "1"
    assert git(whole.root, "status", "--porcelain") == ""
    assert sorted(git(whole.root, "-c", "core.quotePath=off", "ls-files").splitlines()) == sorted(whole.made.files)
    assert {"data/raw/My rows.csv.dvc", "data/raw/test.csv.dvc", "models/tiny model.dvc"} < set(whole.made.files)
    assert whole.made.committed
    assert (whole.root / "data/raw/My rows.csv").read_bytes() == (whole.root.parent / "My rows.csv").read_bytes()
    kept = [path.read_bytes() for path in (whole.root / ".dvc/cache").rglob("*") if path.is_file()]
    assert (whole.root / "data/raw/My rows.csv").read_bytes() in kept


def test_dvc_pushes_the_data_and_the_model(whole: Whole, tmp_path: Path) -> None:
    clone, remote = tmp_path / "clone", tmp_path / "remote"
    for command in (
        ["git", "clone", "-q", str(whole.root), str(clone)],
        [sys.executable, "-m", "dvc", "-q", "--cd", str(whole.root), "push", "-r", "there"],
        [sys.executable, "-m", "dvc", "-q", "--cd", str(clone), "pull", "--allow-missing", "-r", "there"],
    ):
        for root in (whole.root, clone):
            if root.exists():
                (root / ".dvc/config.local").write_text(f"['remote \"there\"']\n    url = {remote}\n")
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    for path in ("data/raw/My rows.csv", "data/raw/test.csv", "models/tiny model/model.safetensors"):
        assert (clone / path).read_bytes() == (whole.root / path).read_bytes()


def test_neither_code_nor_pickle_of_a_model_is_copied(whole: Whole) -> None:
    names = sorted(path.name for path in (whole.root / "models/tiny model").iterdir())
    assert names == ["README.md", "config.json", "model.safetensors", "tokenizer.json"], "the card names the licence"


def test_no_absolute_path_is_written(whole: Whole) -> None:
    for name in whole.made.files:
        assert str(whole.root.parent) not in (whole.root / name).read_text(encoding="utf-8"), name


def test_the_project_stands_on_its_own(whole: Whole) -> None:
    """Nothing is wrong with it, DVC reads it where it ended up, and its files are the house's."""
    assert [fault for fault in check(whole.root) if "free" not in fault and "versions differ" not in fault] == []
    assert set(stale(whole.root)) == {name for name in stages() if name != "code"}
    assert (whole.root / "dvc.yaml").read_bytes() == (HOUSE / "dvc.yaml").read_bytes()
    assert git(whole.root, "check-ignore", "releases/x", ".graft/x", "data/selection/x").splitlines() == [
        "releases/x", ".graft/x", "data/selection/x"
    ]  # fmt: skip


def stages() -> list[str]:
    return [*yaml.safe_load((HOUSE / "dvc.yaml").read_text())["stages"]]


def test_in_a_repository_nothing_is_committed_unasked(bench: Bench) -> None:
    root = bench.root / "project"
    root.mkdir()
    git(root, "init", "-q", "-b", "trunk")
    (root / ".gitignore").write_text("*.log\n/.graft/")
    (root / "README.md").touch()
    made = bench.create()
    assert not made.committed and "README.md" not in made.files
    ignored = (root / ".gitignore").read_text()
    assert ignored.startswith("*.log\n/.graft/\n/releases/\n") and ignored.count("/.graft/") == 1
    assert git(root, "diff", "--cached", "--name-only") == "" == git(root, "for-each-ref")
    git(root, "add", *made.files)
    assert git(root, "status", "--porcelain", "-uall").splitlines()[-1] == "?? README.md", "no other file is new"


def test_commit_is_done_below_a_repository_when_asked(bench: Bench) -> None:
    git(bench.root, "init", "-q")
    (bench.root / "staged").touch()
    git(bench.root, "add", "staged")
    made = bench.create(commit=True)
    assert made.committed and not (bench.root / "project/.git").exists()
    committed = git(bench.root, "show", "--format=", "--name-only").splitlines()
    assert sorted(committed) == sorted(f"project/{name}" for name in made.files)
    config = (bench.root / "project/.dvc/config").read_text()
    assert config.startswith(versions.DVC_CONFIG)
    assert "url = ../../../project-storage\n" in config, "beside the repository, seen from .dvc"


def test_data_in_their_place_stay(bench: Bench, no_dvc: None) -> None:
    there = write_rows(bench.root / "project/data/raw/mine/rows.csv")
    before = there.stat()
    made = bench.create(data=there)
    assert made.params["data.path"] == "data/raw/mine/rows.csv"
    assert there.stat().st_mtime_ns == before.st_mtime_ns
    assert git(bench.root / "project", "rev-list", "--count", "HEAD") == "1"


def test_the_same_data_in_their_place_are_no_fault(bench: Bench, no_dvc: None) -> None:
    write_rows(bench.root / "project/data/raw/rows.csv")
    assert bench.create().params["data.path"] == "data/raw/rows.csv"
    write_rows(bench.root / "other/data/raw/rows.csv", 30)
    assert bench.refusal("other").startswith("There is another rows.csv where this one would be copied to")


def test_data_that_git_keeps_are_left_to_it(bench: Bench, no_dvc: None) -> None:
    root = bench.root / "project"
    there = write_rows(root / "data/raw/rows.csv")
    git(root, "init", "-q")
    git(root, "add", ".")
    made = bench.create(data=there)
    assert "data/raw/rows.csv.dvc" not in made.files


def test_a_folder_is_copied_without_what_is_hidden(bench: Bench, no_dvc: None) -> None:
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png", ".DS_Store"):
        (bench.root / "shots" / name).parent.mkdir(parents=True, exist_ok=True)
        (bench.root / "shots" / name).write_text(name)
    (bench.root / "shots/a").chmod(0o555)
    try:
        made = bench.create(data=bench.root / "shots")
    finally:
        (bench.root / "shots/a").chmod(0o755)
    raw = bench.root / "project/data/raw"
    assert sorted(listing(raw / "shots")) == ["a/1.png", "a/2.png", "b/1.png", "b/2.png"]
    assert (raw / "shots/a").stat().st_mode & 0o200, "its owner can remove it again"
    assert (
        made.params["project.modality"]
        in yaml.safe_load((bench.root / "project/params.yaml").read_text())["preparation"]
    )
