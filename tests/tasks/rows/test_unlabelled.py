"""Rows without any label: used where the labels are described, refused where nobody could tell that it is meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.errors import InputError
from tasks.params import Params
from tasks.rows import feedback, unlabelled
from tasks.rows.clean import Clean, load
from tests.factories import params

WORDS = {"b": "about birds", "a": "about apples"}
TEXTS = [f"note number {i} of many" for i in range(60)]


def write(path: Path, **columns: list[Any]) -> None:
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        lines = [",".join("" if cell is None else str(cell) for cell in row.values()) for row in rows]
        path.write_text("\n".join([",".join(columns), *lines]) + "\n")


def settings(**changes: Any) -> Params:
    leaves = {"path": "rows.csv", "where": {}, "label_descriptions": WORDS, "min_rows_per_label": 2} | changes
    return params(**{f"data__{name}": value for name, value in leaves.items()})


def refusal(folder: Path, **changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        load(folder, settings(**changes))
    (sentence,) = caught.value.sentences
    return sentence


def splits(found: Clean) -> dict[str, str]:
    return {row.input: row.split for row in found.rows}


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("column", ["absent", "empty"])
def test_rows_without_labels_are_used_and_stand_where_labelled_ones_would(
    tmp_path: Path, ending: str, column: str
) -> None:
    path = f"rows{ending}"
    write(tmp_path / path, text=TEXTS, **({"label": [None] * len(TEXTS)} if column == "empty" else {}))
    found = load(tmp_path, settings(path=path, near_duplicate_similarity=0.95))
    assert (found.labels, found.labelled, len(found.rows), len(found.quarantined)) == (["a", "b"], False, 60, 0)
    assert {row.label for row in found.rows} == {None}
    write(tmp_path / path, text=TEXTS, label=["a", "b"] * 30)
    labelled = load(tmp_path, settings(path=path))
    assert labelled.labelled and splits(labelled) == splits(found)


def test_validation_rows_that_the_source_names_without_labels_stand_in_no_way_of_those_that_come_later(
    tmp_path: Path,
) -> None:
    write(tmp_path / "rows.csv", text=TEXTS[:15], part=["train", "validation", "test"] * 5)
    write(tmp_path / "later.csv", text=TEXTS[15:], label=["a", "b", "a"] * 15)
    found = load(tmp_path, settings(split_column="part", feedback="later.csv", max_quarantined_share=1.0))
    assert found.labelled and {row.split for row in found.rows} == {"train", "validation", "test"}


def test_other_faults_are_quarantined_as_ever(tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", text=[*TEXTS, TEXTS[0], "schÃ¶n"])
    found = load(tmp_path, settings())
    assert {fault.number: fault.reason.partition(" ")[0] for fault in found.quarantined} == {
        61: "duplicate",
        62: "broken",
    }


def test_beside_one_label_rows_without_are_quarantined(tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", text=TEXTS, label=[*["a", "b"] * 20, *[None] * 20])
    found = load(tmp_path, settings())
    assert found.labelled and [fault.reason for fault in found.quarantined] == ["empty label"] * 20


@pytest.mark.parametrize("descriptions", [{}, {"a": "apples"}, dict.fromkeys("abcd", "words")])
def test_without_two_described_labels_or_with_too_many_it_is_refused_with_the_way_out(
    tmp_path: Path, descriptions: dict[str, str]
) -> None:
    write(tmp_path / "rows.csv", text=TEXTS, label=[None] * len(TEXTS))
    sentence = refusal(tmp_path, label_descriptions=descriptions, max_labels=3)
    assert sentence.startswith("rows.csv: no row has a label") and "data.label_descriptions" in sentence


def test_a_column_that_is_missing_is_refused_where_no_label_is_described_or_a_rule_needs_it(tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", text=TEXTS)
    for changes in ({"label_descriptions": {}}, {"rules": {"label": {"unique": False}}}, {"where": {"label": "a"}}):
        assert refusal(tmp_path, **changes).startswith("rows.csv has no column 'label'")


def test_a_column_that_stands_there_twice_is_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label,label\n" + "".join(f"{text},,\n" for text in TEXTS))
    assert refusal(tmp_path) == "rows.csv has column 'label' more than once: rename one of them."


def test_a_label_column_by_another_name_is_not_taken_for_none(tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", text=TEXTS, intent=["a", "b", "c"] * 20)
    assert refusal(tmp_path) == (
        "rows.csv: no row has a label in column 'label', but column 'intent' holds all that data.label_descriptions "
        "describes: set data.label_column to it, or take that column out."
    )
    assert not load(tmp_path, settings(label_descriptions={"a": "apples", "d": "dogs"})).labelled


def test_descriptions_without_a_letter_and_models_without_words_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", text=TEXTS)
    assert "Labels without a letter (1) say nothing" in refusal(tmp_path, label_descriptions={"1": "1", "b": "birds"})
    images = settings().model_copy(update={"project": params(project__modality="image").project})
    with pytest.raises(InputError, match=r"no row has a label, so that only the labels' words could answer\. A model"):
        unlabelled.refuse_unusable(tmp_path, images)


def test_labels_that_come_later_are_learned_alone_once_each_has_enough(tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", text=TEXTS)
    write(tmp_path / "later.csv", text=TEXTS[:40], label=["a", "b"] * 20)
    found = load(tmp_path, settings(feedback="later.csv", max_quarantined_share=0.1))
    assert found.labelled and len(found.rows) == 40 and {row.source for row in found.rows} == {"feedback"}
    before = splits(load(tmp_path, settings()))
    assert all(before[text] == split for text, split in splits(found).items()), "no row moves with its label"


@pytest.mark.parametrize("labels", [["a"] * 40, ["a"] * 39 + ["b"]])
def test_a_described_label_with_few_rows_holds_the_learning_up(tmp_path: Path, labels: list[str]) -> None:
    write(tmp_path / "rows.csv", text=TEXTS)
    write(tmp_path / "later.csv", text=TEXTS[:40], label=labels)
    sentence = refusal(tmp_path, feedback="later.csv")
    assert sentence.startswith("No row of rows.csv has a label, and 1 of the 2 labels that data.label_descriptions")
    assert "(b)" in sentence and "`graft feedback`" in sentence


def test_feedback_on_rows_of_the_source_itself_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", text=TEXTS)
    given = settings(feedback=feedback.TABLE)
    feedback.take(tmp_path, given, [(TEXTS[0], "a"), (TEXTS[1], "b"), ("a new one", "a")], tmp_path)
    assert feedback.merge(tmp_path, tmp_path, given) == 3
    assert len((tmp_path / feedback.TABLE).read_text().splitlines()) == 4
