"""`graft reproduce` in a tiny project: identical, or where it first differs; the checkout never notices."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner, Result

from flows.commands import app
from tasks import rerun, versions
from tasks.errors import CrashError, GateError, InputError
from tasks.reproduce import reproduce
from tests.identity import nobody as nobody
from tests.toy import git, write_toy, write_versions

KEYS = {"revision", "commit", "identical", "difference", "same_outputs", "sentence"}
DIFFERENCE = {"stage", "kind", "name", "before", "after"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that ran, committed and pushed (tag first), then again with an output drawn at random (tag drawn)."""
    root = write_versions(write_toy(tmp_path_factory.mktemp("reproduce") / "project"))
    reproduce(root, "preparation", lambda line: None)
    versions.commit(root, ["dvc.lock", "code.yaml"], "ran")
    git(root, "tag", "first")
    versions._dvc(root, "push", "-q")
    (root / "mode.txt").write_text("draw preparation")
    (root / "data/preparation/out.txt").unlink()
    (root / "dvc.lock").unlink()
    reproduce(root, "preparation", lambda line: None, remembered=False)
    versions.commit(root, ["dvc.lock", "mode.txt"], "drawn")
    git(root, "tag", "drawn")
    return root


def graft(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["reproduce", "--project", str(root), *arguments])


def state(root: Path) -> tuple[str, ...]:
    return git(root, "status", "--porcelain"), git(root, "rev-parse", "HEAD"), git(root, "worktree", "list")


def test_a_revision_gives_the_same_bytes_in_a_clone_that_has_the_remote_alone(project: Path, tmp_path: Path) -> None:
    root = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(project), str(root))
    shutil.copytree(project.parent / "toy-storage", tmp_path / "toy-storage")
    before = state(root)
    result = graft(root, "first", "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert set(record) == KEYS
    assert (record["identical"], record["difference"], record["same_outputs"]) == (True, None, True)
    assert record["commit"] == git(project, "rev-parse", "first")
    for stage in ("selection", "preparation", "preparation_gate"):
        assert f"Running stage '{stage}'" in result.stderr, "an equal run that DVC remembers proves nothing"
    assert state(root) == before and not (root / ".graft/reproduce").exists()


class Again(NamedTuple):
    """`graft reproduce first` in the project itself: what it said, its stores of readings, the checkout around it."""

    result: Result
    stores: list[Path]
    before: tuple[str, ...]
    after: tuple[str, ...]


@pytest.fixture(scope="module")
def again(project: Path) -> Again:
    stores: list[Path] = []
    plain = rerun._run

    def run(root: Path, *others: Any) -> None:
        stores.append((root / ".graft/readings").resolve())
        plain(root, *others)

    before = state(project)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rerun, "_run", run)
        result = graft(project, "first")
    assert result.exit_code == 0, result.output
    return Again(result, stores, before, state(project))


def test_a_choice_that_rests_on_a_reading_is_made_by_the_same_one(project: Path, again: Again) -> None:
    assert again.stores == [project / ".graft/readings"] and again.stores[0].is_dir()


def test_an_equal_run_in_the_cache_is_not_taken_for_a_run(project: Path, again: Again) -> None:
    result = again.result
    assert "Running stage 'selection'" in result.stderr and "is cached" not in result.stderr
    assert result.stdout.startswith("Identical: every stage of first ran again and made the same bytes (")
    assert again.after == again.before and list((project / ".dvc/cache/files").rglob("*")), (
        "the cache is the checkout's own"
    )


def test_bytes_that_differ_are_told_with_the_stage_that_made_them(project: Path) -> None:
    result = graft(project, "drawn", "--json")
    assert result.exit_code == 1, result.output
    record = json.loads(result.stdout)
    assert set(record["difference"]) == DIFFERENCE
    assert (record["difference"]["stage"], record["difference"]["kind"]) == ("preparation", "out")
    assert "its output data/preparation/out.txt" in record["sentence"] and "another kind of CPU" in record["sentence"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("project.seed: 13", "project.seed: 14", "the parameter project.seed (13 in dvc.lock, 14 in params.yaml), so"),
        ("python -m toy selection", "python -m other", "stage selection of first differs first, in its command, so"),
        (
            r"(path: setting.txt\n *hash: md5\n *md5: )\w+",
            r"\g<1>0",
            "preparation_gate of first differs first, in its input",
        ),
        (
            r"(code.yaml:\n *selection:\s+)\w+",
            r"\g<1>0",
            "its code: the installed Graft, its libraries or Python have other",
        ),
        (r"  preparation_gate:(\n    .*)*", "", "stage preparation_gate did not get that far"),
    ],
)
def test_what_a_difference_belongs_to(
    project: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, sentence: str
) -> None:
    lock = git(project, "show", "first:dvc.lock")
    other = re.sub(old, new, lock)
    assert other != lock
    monkeypatch.setattr("tasks.rerun.reproduce", lambda root, *_, **__: (root / "dvc.lock").write_text(other))
    result = graft(project, "first")
    assert result.exit_code == 1 and sentence in result.stdout, result.output
    assert ("All outputs are the same bytes nevertheless." in result.stdout) == ("preparation_gate" not in old)


def test_a_gate_that_said_no_then_and_now_is_no_difference(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = git(project, "show", "first:dvc.lock")

    def refused(root: Path, phase: str, *_: object, **__: object) -> None:
        (root / "dvc.lock").write_text(lock)
        if phase == "deployment":
            raise GateError("The gate said no.")

    monkeypatch.setattr("tasks.rerun.reproduce", refused)
    result = graft(project, "first")
    assert result.exit_code == 0 and "The gate said no." in result.stderr, result.output


def test_a_newer_graft_may_refuse_what_an_older_one_made(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise InputError("params.yaml: data.new is missing.")

    monkeypatch.setattr("tasks.rerun.reproduce", refused)
    result = graft(project, "first")
    assert result.exit_code == 2
    assert (
        "data.new is missing.\nSo says the Graft installed here: if an older one made first, install" in result.stderr
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt(), CrashError("It broke.")])
def test_nothing_is_left_of_one_that_ended_early(
    project: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def ends(root: Path, *_: object, **__: object) -> None:
        assert root == project / ".graft/reproduce" and not (root / "dvc.lock").exists()
        raise error

    monkeypatch.setattr("tasks.rerun.reproduce", ends)
    before = state(project)
    assert graft(project).exit_code == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert state(project) == before and not (project / ".graft/reproduce").exists()


def test_what_cannot_be_reproduced_is_told(project: Path) -> None:
    result = graft(project, "nowhere")
    assert result.exit_code == 2 and "there is no commit or tag nowhere" in result.stderr
    result = graft(project, "first~1")
    assert result.exit_code == 2 and "first~1 has no dvc.lock" in result.stderr
