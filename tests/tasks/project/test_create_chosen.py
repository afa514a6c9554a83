"""What a new project sets by itself, from its rows, its models and its name, and says so."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tasks.check import check
from tasks.modalities import part
from tasks.params import load
from tasks.project.create import described
from tasks.project.guess import Given
from tests.creating import SHA256, Bench, write_model, write_rows
from tests.creating import bench as bench
from tests.creating import no_dvc as no_dvc
from tests.creating import somebody as somebody


def test_what_was_guessed_is_said(bench: Bench, no_dvc: None) -> None:
    made = bench.create(given=Given(label_column="label"))
    assert bench.said == made.told and made.told[-1].endswith("classification, with 2 labels.")
    assert made.params["data.label_column"] == "label" and made.params["data.test"] is None


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
    said = "Chosen: data.min_rows_per_label is 2, not 5, for there are few rows of 2 labels."
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
