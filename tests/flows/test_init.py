"""`graft init` makes a project that every command works in; `graft upgrade` brings an older one up to date."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from flows.commands import app
from tasks import versions
from tasks.params import load
from tests.creating import no_dvc as no_dvc
from tests.identity import nobody as nobody

HOUSE = Path(__file__).resolve().parents[2]
TEXTS = [f"message {hashlib.sha256(bytes([i])).hexdigest()}" for i in range(60)]
ROWS = "text,label,region\n" + "".join(f"{t},{'ab'[i % 2]},{'cd'[i % 2]}\n" for i, t in enumerate(TEXTS))
SHA256 = hashlib.sha256(b"not really tensors").hexdigest()
KEYS = {"project", "guessed", "params", "files", "committed"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with data and a model."""
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text("{}")
    (tmp_path / "model/model.safetensors").write_bytes(b"not really tensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed project of this Graft, without data."""
    root = tmp_path_factory.mktemp("upgrade")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(HOUSE / name, root / name)
    versions.init_git(root)
    versions.commit(root, ["params.yaml", "dvc.yaml"], "one")
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "project"))


def graft(*arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(app, [*arguments], **options)


def test_init_guesses_says_so_and_every_command_works_there(here: Path) -> None:
    result = graft("init", "my project", "--data", "rows.csv", "--model", "path:model")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Guessed: the label stands in column label, by its name.\n" in result.stdout
    assert result.stdout.endswith("Made the project my project.\nNext: cd 'my project' && graft run\n")
    root = here / "my project"
    author = ["git", "log", "--format=%an <%ae>"]
    done = subprocess.run(author, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "graft <graft@localhost>\n"
    status = graft("status", "--project", str(root), "--json")
    assert status.exit_code == 0 and "selection" in json.loads(status.stdout)["stale"]
    again = graft("init", "my project", "--data", "rows.csv")
    assert again.exit_code == 2 and "has a params.yaml already" in again.stderr
    upgrade = graft("upgrade", "--project", str(root))
    assert (upgrade.exit_code, upgrade.stdout) == (0, "Everything is up to date.\n")


def test_init_keys(here: Path, no_dvc: None) -> None:
    result = graft("init", "p", "--data", "rows.csv", "--model", "path:model", "--label", "region", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    record = json.loads(result.stdout)
    assert set(record) == KEYS and record["committed"] is True and record["project"] == "p"
    assert record["params"]["data.label_column"] == "region"
    assert record["params"]["selection.candidates"] == [{"source": "path:models/model", "revision": SHA256}]
    assert not any("label stands" in sentence for sentence in record["guessed"])


@pytest.mark.parametrize("option", ["--text", "--input"])
def test_every_option_reaches_the_project(here: Path, no_dvc: None, option: str) -> None:
    (here / "test.csv").write_text(ROWS)
    (modality,) = {yaml.safe_load((HOUSE / "params.yaml").read_text())["project"]["modality"]}
    result = graft(
        "init", "p", "--data", "rows.csv", "--test", "test.csv", option, "region", "--label", "label", "--modality",
        modality, "--model", "path:model", "--json",
    )  # fmt: skip
    params = json.loads(result.stdout)["params"]
    assert (params["data.input_column"], params["data.test"]) == ("region", "data/raw/test.csv")
    assert params["project.modality"] == modality


def test_labels_are_described_where_no_row_has_one(here: Path, no_dvc: None) -> None:
    (here / "rows.csv").write_text("text\n" + "".join(f"{text}\n" for text in TEXTS))
    refused = graft("init", "p", "--data", "rows.csv", "--model", "path:model")
    assert refused.exit_code == 2 and "each label with --describe" in refused.stderr
    options = ["--describe", "late=it comes too late", "--describe", "lost"]
    result = graft("init", "p", "--data", "rows.csv", "--model", "path:model", *options)
    assert (result.exit_code, result.stderr) == (0, "") and "no row has a label" in result.stdout
    assert load(here / "p/params.yaml").data.label_descriptions == {"late": "it comes too late", "lost": "lost"}


def test_in_a_repository_init_says_what_to_commit(here: Path, no_dvc: None) -> None:
    versions.init_git(here)
    result = graft("init", "p", "--data", "rows.csv", "--model", "path:model")
    assert "Nothing is committed: cd p && git add .gitignore " in result.stdout
    assert "params.yaml dvc.yaml code.yaml && git commit\nNext: cd p && graft run\n" in result.stdout
    committed = graft("init", "q", "--data", "rows.csv", "--model", "path:model", "--commit")
    assert "Nothing is committed" not in committed.stdout


def test_without_a_terminal_an_open_question_is_refused(here: Path, no_dvc: None) -> None:
    (here / "rows.csv").write_text(ROWS.replace("label", "mood"))
    result = graft("init", "p", "--data", "rows.csv", "--model", "path:model")
    assert result.exit_code == 2 and not (here / "p").exists()
    assert result.stderr == "The label's column cannot be known from rows.csv: give one of mood, region with --label.\n"


@pytest.mark.parametrize(("typed", "chosen"), [("2\n", "region"), ("mood\n", "mood"), ("0\nx\n1\n", "mood")])
def test_on_a_terminal_it_is_asked(
    here: Path, no_dvc: None, monkeypatch: pytest.MonkeyPatch, typed: str, chosen: str
) -> None:
    monkeypatch.setattr("flows.commands.init._terminal", lambda: True)
    (here / "rows.csv").write_text(ROWS.replace("label", "mood"))
    result = graft("init", "p", "--data", "rows.csv", "--model", "path:model", "--json", input=typed)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["params"]["data.label_column"] == chosen
    assert "  1. mood\n  2. region\n" in result.stderr and "The label's column?" in result.stderr
    assert ("Answer with a number from 1 to 2." in result.stderr) == (len(typed) > 5)


def test_a_model_is_asked_for_as_text(here: Path, no_dvc: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.commands.init._terminal", lambda: True)
    monkeypatch.setattr("tasks.project.create.part", lambda *_: type("source", (), {"DEFAULT_MODEL": None}))
    result = graft("init", "p", "--data", "rows.csv", "--json", input="\npath:model\n")
    assert json.loads(result.stdout)["params"]["selection.candidates"][0]["revision"] == SHA256


def test_an_unanswered_question_makes_nothing(here: Path, no_dvc: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.commands.init._terminal", lambda: True)
    (here / "rows.csv").write_text(ROWS.replace("label", "mood"))
    result = graft("init", "p", "--data", "rows.csv", "--model", "path:model", input="")
    assert result.exit_code == 130 and not (here / "p").exists()
    assert result.stderr.endswith("Interrupted: nothing was made.\n")


def test_a_terminal_is_known_for_one() -> None:
    code = "from flows.commands.init import _terminal; print(_terminal())"
    ours, theirs = pty.openpty()
    try:
        for stdin, expected in ((theirs, "True\n"), (subprocess.DEVNULL, "False\n")):
            done = subprocess.run(
                [sys.executable, "-c", code], stdin=stdin, stdout=subprocess.PIPE, stderr=theirs, text=True, cwd=HOUSE
            )
            assert done.stdout == expected
    finally:
        os.close(ours)
        os.close(theirs)


def test_init_has_no_project_and_upgrade_has() -> None:
    wide = {"COLUMNS": "200"}
    assert "--project" not in graft("init", "--help", env=wide).stdout
    assert "--debug" in graft("init", "--help", env=wide).stdout
    assert "--project" in graft("upgrade", "--help", env=wide).stdout


def test_upgrade_adds_what_is_missing_and_names_what_is_unknown(project: Path) -> None:
    params = project / "params.yaml"
    older = params.read_text().replace("  cache_gb: 5                     # of features under .graft\n", "")
    head, _, tail = older.partition("  where: ")
    kept = tail.partition("email\n")[2]
    older = f"# Mine.\n{head}{kept}old:\n  leaf: 1\n"
    params.write_text(older)
    (project / "dvc.yaml").write_text("stages: {}\n")
    versions.commit(project, ["dvc.yaml"], "older")
    result = graft("upgrade", "--project", str(project))
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "params.yaml has data.where now.",
        "params.yaml has resources.cache_gb now.",
        "dvc.yaml is renewed.",
        "old is not known any more: remove it from params.yaml.",
    ]
    new = params.read_text()
    assert new.startswith("# Mine.\n") and "  cache_gb: 5                     # of features under .graft\n" in new
    assert yaml.safe_load(new)["data"]["where"] == {}, "the demo's rows are not the user's"
    assert [line for line in older.splitlines() if line not in new.splitlines()] == []
    assert (project / "dvc.yaml").read_bytes() == (HOUSE / "dvc.yaml").read_bytes()
    again = graft("upgrade", "--project", str(project), "--json")
    assert json.loads(again.stdout) == {"added": [], "unknown": ["old"], "dvc_yaml": False}
    assert params.read_text() == new


def test_upgrade_takes_a_value_to_its_new_place(project: Path) -> None:
    params = project / "params.yaml"
    text = params.read_text().replace("  max_rows:", "  max_characters: 500\n  max_rows:", 1)
    params.write_text("".join(line for line in text.splitlines(True) if "max_characters: 20000" not in line))
    result = graft("upgrade", "--project", str(project), "--json")
    assert json.loads(result.stdout)["added"] == ["preparation.text.max_characters"]
    assert json.loads(result.stdout)["unknown"] == ["data.max_characters"]
    assert yaml.safe_load(params.read_text())["preparation"]["text"]["max_characters"] == 500


@pytest.mark.parametrize("enabled", [True, False])
def test_upgrade_keeps_what_was_said_of_int8(project: Path, enabled: bool) -> None:
    params = project / "params.yaml"
    text = params.read_text()
    start, end = text.index("  forms:"), text.index("\nmonitoring:")
    said = f"  int8:\n    enabled: {str(enabled).lower()}\n    max_loss: 0.03\n"
    params.write_text(text[:start] + said + text[end:])
    result = json.loads(graft("upgrade", "--project", str(project), "--json").stdout)
    assert result["added"] == ["deployment.forms", "deployment.max_loss", "deployment.calibration_rows"]
    assert result["unknown"] == ["deployment.int8"]
    deployment = yaml.safe_load(params.read_text())["deployment"]
    assert deployment["max_loss"] == 0.03
    assert deployment["forms"] == (["optimised", "int8", "int8_static"] if enabled else [])


def test_upgrade_leaves_ends_of_lines(project: Path) -> None:
    params = project / "params.yaml"
    params.write_bytes(params.read_bytes().replace(b"  opset: 20\n", b"").replace(b"\n", b"\r\n"))
    assert graft("upgrade", "--project", str(project)).stdout == "params.yaml has deployment.opset now.\n"
    assert params.read_bytes().replace(b"\r\n", b"\n") == (HOUSE / "params.yaml").read_bytes()
    assert params.read_bytes().count(b"\r\n") == params.read_bytes().count(b"\n")


def test_upgrade_never_loses_changes_of_dvc_yaml(project: Path) -> None:
    (project / "dvc.yaml").write_text("stages: {}\n")
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("  opset: 20\n", ""))
    before = params.read_text()
    result = graft("upgrade", "--project", str(project))
    assert result.exit_code == 2 and params.read_text() == before
    assert result.stderr == (
        "dvc.yaml has changes that are not committed and would be lost: commit or undo them first.\n"
    )


def test_upgrade_without_a_dvc_yaml_makes_one(project: Path) -> None:
    (project / "dvc.yaml").unlink()
    assert graft("upgrade", "--project", str(project)).stdout == "dvc.yaml is renewed.\n"


def test_upgrade_needs_a_project(tmp_path: Path) -> None:
    result = graft("upgrade", "--project", str(tmp_path))
    assert result.exit_code == 2 and "There is no params.yaml in this folder" in result.stderr


def test_init_takes_a_snapshot_of_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with sqlite3.connect("rows.db") as connection:
        connection.execute("CREATE TABLE rows (text TEXT, label TEXT)")
        connection.executemany(
            "INSERT INTO rows VALUES (?, ?)", [(f"this is the message {i}", "ab"[i % 2]) for i in range(60)]
        )
    connection.close()
    query = "SELECT text, label FROM rows"
    made = graft("init", "project", "--data", "sqlite:///rows.db", "--query", query)
    assert made.exit_code == 0, made.output
    params = load(tmp_path / "project/params.yaml")
    assert (params.data.path, params.data.input_column) == ("data/raw/rows.parquet", "text")
    assert (params.source.url, params.source.query) == (f"sqlite:///{tmp_path}/rows.db", query)
    kept = set(versions.git(tmp_path / "project", "ls-files", "data").split())
    assert kept == {"data/raw/.gitignore", "data/raw/rows.parquet.dvc", "data/raw/rows.parquet.source.json"}
    again = graft("refresh", "--project", "project")
    assert again.stdout == "The source has nothing new: data/raw/rows.parquet stays as it is.\n"


def test_init_refuses_a_bad_source_in_one_sentence(tmp_path: Path) -> None:
    bad = graft("init", str(tmp_path / "project"), "--data", "postgresql://ada:hunter2@h/x", "--query", "SELECT 1")
    assert bad.exit_code == 2 and len(bad.stderr.splitlines()) == 1 and "hunter2" not in bad.output
    odd = graft("init", str(tmp_path / "project"), "--data", "rows.csv", "--query", "SELECT 1")
    assert odd.exit_code == 2 and "--query is for the URL of a database" in odd.stderr
    assert not (tmp_path / "project").exists()
