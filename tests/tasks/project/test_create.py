"""A new project holds the user's data and models under DVC, and a failure leaves nothing behind."""

from __future__ import annotations

import csv
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from tasks import versions
from tasks.check import check
from tasks.errors import InputError
from tasks.modalities import part
from tasks.params import load
from tasks.project.create import Created, Wishes, create, described
from tasks.project.guess import Given
from tasks.reproduce import stale

HOUSE = Path(__file__).resolve().parents[3]
WEIGHTS = b"not really tensors"
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
IDENTITY = {
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


@pytest.fixture(autouse=True, scope="module")
def somebody() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in IDENTITY.items():
            patch.setenv(name, value)
        yield


def write_rows(path: Path, rows: int = 60, **columns: Callable[[int], object]) -> Path:
    """A table of distinct texts with two labels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "text": lambda i: f"message {hashlib.sha256(bytes([i])).hexdigest()}",
        "label": lambda i: "ab"[i % 2],
    } | columns
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([cell(i) for cell in columns.values()] for i in range(rows))
    return path


def write_model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    named = {"config.json": b"{}", "model.safetensors": WEIGHTS, "README.md": b"# A model", "run.py": b"", "w.bin": b""}
    for name, content in named.items():
        (folder / name).write_bytes(content)
    Tokenizer(WordLevel({"a": 0}, "a")).save(str(folder / "tokenizer.json"))
    return folder


@dataclass
class Bench:
    """A folder with data and a model, and a way to ask for a project beside them."""

    root: Path
    said: list[str] = field(default_factory=list)

    def create(self, directory: str = "project", ask: Any = None, **wishes: Any) -> Created:
        wanted = {"data": self.root / "rows.csv", "models": [f"path:{self.root / 'model'}"]} | wishes
        return create(self.root / directory, Wishes(**wanted), ask, self.said.append)

    def refusal(self, directory: str = "project", **options: Any) -> str:
        before = listing(self.root)
        with pytest.raises(InputError) as caught:
            self.create(directory, **options)
        assert listing(self.root) == before, "a refusal leaves all as it was"
        (sentence,) = caught.value.sentences
        return sentence


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    write_rows(tmp_path / "rows.csv")
    write_model(tmp_path / "model")
    return Bench(tmp_path)


@pytest.fixture
def no_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC takes seconds; what does not ask about it does without."""

    def track(root: Path, path: str) -> list[str]:
        (root / f"{path}.dvc").write_text("outs: []\n")
        return [f"{path}.dvc"]

    monkeypatch.setattr(versions, "init_dvc", lambda root: [])
    monkeypatch.setattr(versions, "track", track)


def listing(folder: Path) -> dict[str, bytes]:
    """Path -> content of every file, but for git's own."""
    files = [path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


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


def test_what_was_guessed_is_said(bench: Bench, no_dvc: None) -> None:
    made = bench.create(given=Given(label_column="label"))
    assert bench.said == made.told and made.told[-1].endswith("classification, with 2 labels.")
    assert made.params["data.label_column"] == "label" and made.params["data.test"] is None


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


def test_a_refused_commit_leaves_nothing(bench: Bench, no_dvc: None) -> None:
    git(bench.root, "init", "-q")
    hook = bench.root / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no >&2\nexit 1\n")
    hook.chmod(0o755)
    assert bench.refusal(commit=True).startswith("git refused (no)")
    assert git(bench.root, "diff", "--cached", "--name-only") == ""


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


@pytest.mark.parametrize(
    ("rows", "test", "expected"), [(20, 0, 5), (18, 0, 2), (10, 20, 5), (8, 20, 2)], ids=["many", "few", "own", "rare"]
)
def test_rare_labels_lower_the_least_number_of_rows(
    bench: Bench, no_dvc: None, rows: int, test: int, expected: int
) -> None:
    write_rows(bench.root / "rows.csv", rows)
    write_rows(bench.root / "test.csv", 20)
    made = bench.create(test=bench.root / "test.csv" if test else None)
    assert made.params["data.min_rows_per_label"] == expected
    said = "Chosen: data.min_rows_per_label is 2, not 5, for 2 labels have few rows."
    assert (said in bench.said) == (expected == 2)


def test_more_labels_than_usual_at_the_users_word_raise_the_limit(bench: Bench, no_dvc: None) -> None:
    rows = "".join(f"a text that says {i},label {i % 1001}\n" for i in range(2 * 1001))
    (bench.root / "rows.csv").write_text(f"text,label\n{rows}")
    assert bench.create(given=Given(label_column="label")).params["data.max_labels"] == 1001
    assert "Chosen: data.max_labels is 1001, not 1000, for so many does column label hold." in bench.said


def shots(folder: Path, *splits: str) -> Path:
    """Six pictures of two labels in each split."""
    for split in splits:
        for name in [f"{label}/{i}.png" for label in "ab" for i in range(6)]:
            (folder / f"shots/{split}/{name}").parent.mkdir(parents=True, exist_ok=True)
            (folder / f"shots/{split}/{name}").touch()
    return folder / "shots"


def test_test_rows_of_a_folder_are_no_reason_to_lower_it(bench: Bench, no_dvc: None) -> None:
    made = bench.create(data=shots(bench.root, "train", "test"))
    assert made.params["data.min_rows_per_label"] == 5 and "data.validation_share" not in made.params


def test_no_other_validation_rows_are_drawn_beside_those_of_a_folder(bench: Bench, no_dvc: None) -> None:
    made = bench.create(data=shots(bench.root, "train", "val", "test"))
    assert made.params["data.validation_share"] == 0
    assert "Chosen: data.validation_share is 0, for shots names validation rows of its own." in bench.said


def test_a_folder_of_splits_without_test_needs_a_test_set(bench: Bench, no_dvc: None) -> None:
    told = "shots says which rows are train and validation, and none is test: name some so, or give --test."
    assert bench.refusal(data=shots(bench.root, "train", "val")) == told


def test_one_row_of_a_label_lowers_nothing(bench: Bench, no_dvc: None) -> None:
    write_rows(bench.root / "rows.csv", 61, label=lambda i: "abc"[2 if i == 60 else i % 2])
    assert bench.create().params["data.min_rows_per_label"] == 5


def test_models_of_a_project_are_named_from_its_folder(bench: Bench, no_dvc: None) -> None:
    write_model(bench.root / "project/pretrained/one")
    made = bench.create(models=[f"path:{bench.root / 'project/pretrained/one'}"] * 2)
    assert made.params["selection.candidates"] == [{"source": "path:pretrained/one", "revision": SHA256}]


def test_without_a_model_the_modality_names_one(bench: Bench, no_dvc: None, monkeypatch: pytest.MonkeyPatch) -> None:
    first = part(bench.create("first").params["project.modality"], "source")
    monkeypatch.setattr(first, "DEFAULT_MODEL", f"path:{bench.root / 'model'}")
    assert bench.create("second", models=()).params["selection.candidates"][0]["revision"] == SHA256
    assert bench.said[-1] == f"Chosen: the only candidate is path:{bench.root / 'model'}, which is installed."
    for missing in ("package:graft-no-such", None):
        monkeypatch.setattr(first, "DEFAULT_MODEL", missing)
        sentence = bench.refusal("third", models=())
        assert sentence.startswith("No pre-trained model for modality ") and "name one with --model" in sentence
    questions: list[Sequence[str]] = []

    def answer(question: str, answers: Sequence[str]) -> str:
        questions.append(answers)
        return f"path:{bench.root / 'model'}"

    assert bench.create("third", ask=answer, models=()).params["selection.candidates"][0]["revision"] == SHA256
    assert questions == [[]]


def test_a_model_with_the_name_of_another(bench: Bench, no_dvc: None) -> None:
    write_model(bench.root / "other/model")
    models = [f"path:{bench.root / path}" for path in ("model", "other/model")]
    assert bench.refusal(models=models) == (
        "There is a model models/model already, and nothing is overwritten: rename one of them."
    )


def test_the_name_of_a_project_fits(bench: Bench, no_dvc: None) -> None:
    assert bench.create("_").params["project.name"] == "project"
    long = bench.create("a" * 62 + " b").params["project.name"]
    assert long == "a" * 62
    shutil.rmtree(bench.root / "_")


def test_a_project_without_labels_has_their_descriptions_and_no_fault(bench: Bench, no_dvc: None) -> None:
    for name in ("rows.csv", "test.csv"):
        rows = write_rows(bench.root / name).read_text().splitlines()
        (bench.root / name).write_text("".join(f"{row.partition(',')[0]}\n" for row in rows))
    words = described(["card_arrival", " late = it comes: too late"])
    assert words == {"card_arrival": "card arrival", "late": "it comes: too late"}
    made = bench.create(test=bench.root / "test.csv", given=Given(described=words))
    assert made.params["data.label_descriptions"] == words
    assert load(bench.root / "project/params.yaml").data.label_descriptions == words
    assert [fault for fault in check(bench.root / "project") if "label" in fault] == []


@pytest.mark.parametrize("options", [["=words"], ["a="], ["a", "a=words"], [""]])
def test_an_option_that_describes_no_label_is_refused(options: list[str]) -> None:
    with pytest.raises(InputError, match="give every label once, as LABEL or LABEL=WORDS"):
        described(options)
