"""A snapshot takes the place of data.path whole, under DVC, or nothing changes."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flows.commands import app
from tasks import versions
from tasks.artifacts import read_json, sha256_file
from tasks.check import check
from tasks.errors import InputError
from tasks.params import load
from tasks.project.folder import ignore
from tasks.project.template import with_values
from tasks.sources import snapshot
from tasks.sources.snapshot import Refreshed
from tasks.worktree import scheduled
from tests.identity import nobody as nobody
from tests.toy import write_toy

PATH = "data/raw/rows.parquet"
QUERY = "SELECT text, label FROM rows"


def write_rows(path: Path, count: int) -> None:
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE rows (text TEXT, label TEXT)")
        connection.executemany("INSERT INTO rows VALUES (?, ?)", [(f"text {i}", "ab"[i % 2]) for i in range(count)])
    connection.close()


def set_params(root: Path, **values: object) -> None:
    params = root / "params.yaml"
    named = {name.replace("__", "."): value for name, value in values.items()}
    params.write_text(with_values(params.read_text(), named))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project under git and DVC, with a database of 40 rows."""
    root = write_toy(tmp_path_factory.mktemp("made") / "project")
    write_rows(root / "rows.db", 40)
    set_params(root, data__path=PATH, data__where={}, source__url="sqlite:///rows.db", source__query=QUERY)
    versions.init_git(root)
    versions.init_dvc(root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """One that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "project", symlinks=True))


@pytest.fixture
def no_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC takes seconds; what does not ask about it does without."""
    monkeypatch.setattr(versions, "track", lambda root, path: [f"{path}.dvc"])


def refresh(root: Path) -> Refreshed:
    return snapshot.refresh(root, root, load(root / "params.yaml"))


def test_what_was_taken_is_tracked_and_recorded_without_secrets(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILE", "rows.db")
    set_params(root, source__url="sqlite:///${FILE}")
    made = refresh(root)
    assert made.new and made.files == [f"{PATH}.dvc", "data/raw/.gitignore", f"{PATH}.source.json"]
    assert all((root / name).is_file() for name in made.files)
    assert pq.read_table(root / PATH).num_rows == 40
    record = read_json(root / f"{PATH}.source.json")
    assert record["sha256"] == sha256_file(root / PATH) and (record["rows"], record["sort"]) == (40, "all columns")
    assert record["source"] == "sqlite:///${FILE}" and set(record) == {
        "source", "query", "revision", "rows", "sort", "sha256",
    }  # fmt: skip
    assert not list((root / ".graft/staging").iterdir())


@pytest.mark.usefixtures("no_dvc")
def test_with_nothing_new_nothing_changes(root: Path) -> None:
    refresh(root)
    before = {path: path.stat().st_mtime_ns for path in (root / "data").rglob("*")}
    assert refresh(root) == Refreshed(False, [], f"The source has nothing new: {PATH} stays as it is.")
    assert {path: path.stat().st_mtime_ns for path in (root / "data").rglob("*")} == before
    write_rows(root / "rows.db", 41)
    assert refresh(root).new and pq.read_table(root / PATH).num_rows == 41


@pytest.mark.usefixtures("no_dvc")
def test_a_file_with_the_same_revision_is_not_even_fetched(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_params(root, source__url=f"file://{root}/data/raw/rows.csv", source__query=None, data__path="data/raw/x.csv")
    monkeypatch.setattr("tasks.sources.files.Remote._tag", lambda self, name: "etag")
    assert refresh(root).new
    monkeypatch.setattr("tasks.sources.files.Remote.copy", lambda *given: pytest.fail("fetched"))
    assert not refresh(root).new
    (root / "data/raw/x.csv").write_text("edited")
    with pytest.raises(pytest.fail.Exception):
        refresh(root)


@pytest.mark.usefixtures("no_dvc")
def test_whatever_fsspec_knows_is_no_database(root: Path) -> None:
    fsspec.filesystem("memory").pipe("/graft/rows.csv", (root / "data/raw/rows.csv").read_bytes())
    set_params(root, source__url="memory://graft/rows.csv", source__query=None, data__path="data/raw/x.csv")
    assert refresh(root).new
    assert (root / "data/raw/x.csv").read_bytes() == (root / "data/raw/rows.csv").read_bytes()


@pytest.mark.usefixtures("no_dvc")
@pytest.mark.parametrize("count", [0, 1])
def test_a_source_gone_bad_leaves_the_last_good_snapshot(root: Path, count: int) -> None:
    refresh(root)
    before = (root / PATH).read_bytes()
    write_rows(root / "rows.db", count)
    with pytest.raises(InputError):
        refresh(root)
    assert (root / PATH).read_bytes() == before and not list((root / ".graft/staging").iterdir())


def test_labels_that_the_source_lost_are_refused_and_those_it_never_had_are_not(root: Path, no_dvc: None) -> None:
    set_params(root, data__label_descriptions={"a": "about apples", "b": "about birds"})
    refresh(root)
    before = (root / PATH).read_bytes()
    set_params(root, source__query="SELECT text FROM rows")
    with pytest.raises(InputError, match="has no column 'label'"):
        refresh(root)
    assert (root / PATH).read_bytes() == before
    (root / PATH).unlink()
    assert refresh(root).new and pq.read_table(root / PATH).column_names == ["text"]
    write_rows(root / "rows.db", 41)
    assert refresh(root).new


def test_a_refresh_that_was_killed_before_it_was_tracked_is_completed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(root: Path, path: str) -> list[str]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(versions, "track", killed)
        with pytest.raises(KeyboardInterrupt):
            refresh(root)
    assert refresh(root).new and (root / f"{PATH}.dvc").is_file()


@pytest.mark.usefixtures("no_dvc")
def test_a_snapshot_that_git_keeps_stays_with_git(root: Path) -> None:
    (root / PATH).write_text("")
    versions.commit(root, [PATH], "small enough for git")
    assert refresh(root).files == [PATH, f"{PATH}.source.json"]


@pytest.mark.usefixtures("no_dvc")
def test_a_folder_of_files_is_a_snapshot_too(root: Path) -> None:
    for name in ("a/1.png", "b/2.png"):
        path = root / "share" / name
        path.parent.mkdir(parents=True)
        path.write_text(name)
    set_params(root, source__url=f"file://{root}/share", source__query=None, data__path="data/raw/share")
    assert refresh(root).sentence.startswith("Took files from file://")
    assert (root / "data/raw/share/b/2.png").read_text() == "b/2.png"
    (root / "share/a/1.png").unlink()
    assert refresh(root).new and not (root / "data/raw/share/a").exists()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"source__url": None}, "source.url is null"),
        ({"data__path": "data/raw/rows.csv"}, "let it end in .parquet"),
        ({"source__url": "file:///srv/x.csv"}, "source.query is for databases alone"),
        ({"source__url": "postgresql://ada:hunter2@h/x"}, "holds a password or a key"),
    ],
)
def test_settings_that_do_not_fit(root: Path, values: dict[str, object], told: str) -> None:
    set_params(root, **values)
    done = CliRunner().invoke(app, ["refresh", "--project", str(root)])
    assert done.exit_code == 2 and told in done.stderr
    assert len(done.stderr.splitlines()) == 1 and "hunter2" not in done.output


def test_check_finds_a_password_and_asks_no_source(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_params(root, source__url="postgresql://ada:hunter2@h/x")
    monkeypatch.setattr(snapshot, "take", lambda *given: pytest.fail("a check or a run asked the source"))
    faults = [fault for fault in check(root) if "source.url" in fault]
    assert len(faults) == 1 and "holds a password or a key" in faults[0] and "hunter2" not in faults[0]


def test_the_command(root: Path, no_dvc: None) -> None:
    told = CliRunner().invoke(app, ["refresh", "--project", str(root)])
    assert told.exit_code == 0 and told.stdout.startswith("Took 40 rows from sqlite:///rows.db: ")
    assert f"git add {PATH}.dvc {PATH}.source.json" in told.stdout
    record = json.loads(CliRunner().invoke(app, ["refresh", "--project", str(root), "--json"]).stdout)
    assert record == {"new": False, "files": [], "sentence": f"The source has nothing new: {PATH} stays as it is."}


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql+psycopg://h/x", "rows.parquet"),
        ("s3://b/day=*/*.parquet", "rows.parquet"),
        ("https://h/a/rows.csv?page=2", "rows.csv"),
        ("s3://b/images/", "images"),
    ],
)
def test_what_a_snapshot_is_called(url: str, name: str) -> None:
    assert snapshot.name_of(url) == name


def test_a_scheduled_run_takes_one_into_its_own_version_of_the_data(root: Path) -> None:
    versions.add_remote(root, "toy", 0)
    made = [*ignore(root), *refresh(root).files, *versions.DVC_FILES, "dvc.yaml", "params.yaml", "toy.py"]
    versions.commit(root, [*made, "mode.txt", "setting.txt"], "Begin")
    write_rows(root / "rows.db", 44)
    with scheduled(root) as checkout:
        taken = snapshot.refresh(root, checkout.root, load(checkout.root / "params.yaml"))
        assert taken.new and pq.read_table(checkout.root / PATH).num_rows == 44
        assert checkout.commit(taken.files, "Retrain")
        assert checkout.push() == "The data are pushed to DVC's remote."
    assert pq.read_table(root / PATH).num_rows == 40 and not versions.uncommitted(root, f"{PATH}.dvc")
    (root / "setting.txt").write_text("2")
    versions.commit(root, ["setting.txt"], "the base moves")
    with scheduled(root) as checkout:
        assert pq.read_table(checkout.root / PATH).num_rows == 44
        assert not snapshot.refresh(root, checkout.root, load(checkout.root / "params.yaml")).new
