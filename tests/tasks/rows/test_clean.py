"""Every row is either used or quarantined with its reason, and no content crosses the split."""

from __future__ import annotations

import csv
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import InputError
from tasks.rows.clean import Clean, load
from tests.factories import params, texts_in

Pairs = list[tuple[str, str]]
TRAIN, VALIDATION, TEST = (list(islice(texts_in(split), 12)) for split in ("train", "validation", "test"))


def usable() -> Pairs:
    """Six training, two validation and two test rows, half of them a, half b."""
    return [(text, "ab"[i % 2]) for i, text in enumerate([*TRAIN[:6], *VALIDATION[:2], *TEST[:2]])]


def loaded(folder: Path, rows: Pairs, test: Pairs | None = None, **changes: Any) -> Clean:
    for name, content in (("rows.csv", rows), ("own.csv", test or [])):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("text", "label"), *content])
    settings = {"path": "rows.csv", "test": "own.csv" if test else None, "where": {}, "min_rows_per_label": 2}
    leaves = {f"data__{name}": value for name, value in (settings | changes).items()}
    return load(folder, params(**leaves, preparation__text__max_characters=40))


def refusal(folder: Path, rows: Pairs, test: Pairs | None = None, **changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        loaded(folder, rows, test, **changes)
    (sentence,) = caught.value.sentences
    return sentence


def reasons(found: Clean) -> dict[int, str]:
    return {fault.number: fault.reason for fault in found.quarantined}


def test_a_description_of_a_label_that_no_row_has_is_refused(tmp_path: Path) -> None:
    loaded(tmp_path, usable(), label_descriptions={"a": "about apples"})
    sentence = refusal(tmp_path, usable(), label_descriptions={"a": "about apples", "A": "about apples"})
    assert sentence.startswith("data.label_descriptions describes 'A', which no row has as its label: write the labels")


def test_usable_rows_stay_in_order_with_their_place(tmp_path: Path) -> None:
    found = loaded(tmp_path, usable())
    assert [row.number for row in found.rows] == list(range(1, 11))
    assert [row.split for row in found.rows] == ["train"] * 6 + ["validation"] * 2 + ["test"] * 2
    assert (found.labels, [*found.quarantined], found.left_out) == (["a", "b"], [], 0)
    assert [row.number for row in found.of("validation", "test")] == [7, 8, 9, 10]


@pytest.mark.parametrize(
    ("text", "label", "reason"),
    [
        ("   ", "a", "empty example"),
        ("", "a", "empty example"),
        ("some words", " ", "empty label"),
        ("some words", "", "empty label"),
        ("w" * 41, "a", "longer than preparation.text.max_characters 40"),
        ("schÃ¶n", "a", "broken encoding (UTF-8 read as another)"),
        ("itâ€™s", "a", "broken encoding (UTF-8 read as another)"),
        ("lost \ufffd", "a", "broken encoding (UTF-8 read as another)"),
        ("Ã–sterreich", "a", "broken encoding (UTF-8 read as another)"),
        ("Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "a", "broken encoding (UTF-8 read as another)"),
    ],
)
def test_an_unusable_row_is_quarantined_with_its_reason(tmp_path: Path, text: str, label: str, reason: str) -> None:
    found = loaded(tmp_path, [*usable(), (text, label)])
    assert reasons(found) == {11: reason} and len(found.rows) == 10


@pytest.mark.parametrize(
    "text", ["w" * 40, "São Ângelo, Ãn", "10 € â la carte", "AMANHÃ… POR FAVOR", "IRMÃ – “AMANHÃ”"]
)
def test_what_only_looks_broken_is_used(tmp_path: Path, text: str) -> None:
    assert reasons(loaded(tmp_path, [*usable(), (text, "a")])) == {}


def test_labels_lose_their_outer_space(tmp_path: Path) -> None:
    assert loaded(tmp_path, [(text, f" {label} ") for text, label in usable()]).labels == ["a", "b"]


def test_a_copy_leaves_and_the_first_stays(tmp_path: Path) -> None:
    found = loaded(tmp_path, [*usable(), (f" {TRAIN[0].upper()}", "a")])
    assert reasons(found) == {11: "duplicate of row 1 of rows.csv"}


def test_a_copy_of_a_test_row_leaves_and_the_test_row_stays(tmp_path: Path) -> None:
    found = loaded(tmp_path, [*usable(), (TEST[0], "b")])
    assert reasons(found) == {11: "duplicate of test row 9 of rows.csv"}
    assert [row.number for row in found.of("test")] == [9, 10]


def test_contradicting_labels_all_leave(tmp_path: Path) -> None:
    found = loaded(tmp_path, [*usable(), (TRAIN[0], "b"), (TRAIN[0], "a")])
    assert reasons(found) == dict.fromkeys((1, 11, 12), "same example under another label")


def test_a_rare_label_is_counted_on_the_training_side_and_leaves_whole(tmp_path: Path) -> None:
    found = loaded(tmp_path, [*usable(), (TRAIN[6], "c"), (TEST[2], "c"), (TEST[3], "c")])
    reason = "label 'c' has 1 training rows, under data.min_rows_per_label 2"
    assert reasons(found) == dict.fromkeys((11, 12, 13), reason)
    assert found.labels == ["a", "b"]


def test_adding_rows_never_moves_an_old_one(tmp_path: Path) -> None:
    before = {row.id: row.split for row in loaded(tmp_path, usable()).rows}
    more = [(f"added row {i}", "ab"[i % 2]) for i in range(60)]
    after = {row.id: row.split for row in loaded(tmp_path, [*more, *usable()]).rows}
    assert len(after) == 70 and {key: after[key] for key in before} == before


def test_an_own_test_set_keeps_its_rows_and_training_copies_leave(tmp_path: Path) -> None:
    own = [(TRAIN[0], "a"), ("only here", "b"), ("only here", "b")]
    found = loaded(tmp_path, usable(), own)
    assert [(row.file, row.number) for row in found.of("test")] == [("own.csv", n) for n in (1, 2, 3)]
    assert [(f.file, f.number, f.reason) for f in found.quarantined] == [
        ("rows.csv", 1, "duplicate of test row 1 of own.csv")
    ]
    # Without its hash share, what would have been a test row is trained on.
    assert {row.number for row in found.rows if row.file == "rows.csv"} == set(range(2, 11))
    assert [row.file for row in found.rows[-3:]] == ["own.csv"] * 3


def with_feedback(folder: Path, later: Pairs, test: Pairs | None = None, **changes: Any) -> Clean:
    with (folder / "feedback.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *later])
    return loaded(folder, usable(), test, feedback="feedback.csv", **changes)


def test_rows_that_came_later_are_divided_by_hash_and_move_none_of_the_old(tmp_path: Path) -> None:
    own = [("only here", "b"), ("here too", "a")]
    before = {row.id: row.split for row in loaded(tmp_path, usable(), own).rows}
    later = [(text, "a") for text in (TRAIN[8], VALIDATION[8], TEST[8])]
    found = with_feedback(tmp_path, later, own)
    assert {row.id: row.split for row in found.rows if row.file != "feedback.csv"} == before
    assert [row.split for row in found.rows if row.file == "feedback.csv"] == ["train", "validation", "test"]
    assert [row.file for row in found.rows] == ["rows.csv"] * 10 + ["feedback.csv"] * 3 + ["own.csv"] * 2


def test_of_a_row_that_came_again_the_old_one_stays(tmp_path: Path) -> None:
    later = [(TRAIN[0], "a"), (TEST[0], "b"), (TRAIN[8], "a"), (TRAIN[8], "a")]
    found = with_feedback(tmp_path, later)
    assert [row.number for row in found.rows if row.file == "rows.csv"] == list(range(1, 11))
    assert [row.number for row in found.rows if row.file == "feedback.csv"] == [3]
    assert reasons(found) == {
        1: "duplicate of row 1 of rows.csv",
        2: "same example under another label than row 9 of rows.csv",
        4: "duplicate of row 3 of feedback.csv",
    }


def test_where_selects_among_the_sources_rows_alone(tmp_path: Path) -> None:
    later = [(TRAIN[8], "a"), (TRAIN[9], "b"), (TRAIN[10], "b")]
    found = with_feedback(tmp_path, later, where={"label": "a"})
    assert {row.label for row in found.rows if row.file == "rows.csv"} == {"a"}
    assert [row.label for row in found.rows if row.file == "feedback.csv"] == ["a", "b", "b"]


def test_faults_of_all_sources_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("")
    (tmp_path / "feedback.csv").write_text("text,label\n")
    with pytest.raises(InputError) as caught:
        load(tmp_path, params(data__path="rows.csv", data__feedback="feedback.csv", data__test=None))
    assert [sentence.split()[0] for sentence in caught.value.sentences] == ["rows.csv", "feedback.csv"]


def test_fewer_than_two_labels_are_refused(tmp_path: Path) -> None:
    sentence = refusal(tmp_path, [(text, "a") for text in TRAIN])
    assert sentence.startswith("rows.csv: 1 label left with at least 2 rows, two are needed: check data.label_column")
    assert "0 labels left" in refusal(tmp_path, usable(), min_rows_per_label=50)


def test_a_refusal_says_what_most_rows_were_quarantined_for(tmp_path: Path) -> None:
    rows = [(text, "") for text in TRAIN[:11]] + [(TRAIN[11], "a")]
    assert "(12 rows quarantined, 11 of them: empty label)" in refusal(tmp_path, rows)


def test_too_many_labels_are_refused(tmp_path: Path) -> None:
    rows = [(text, "abc"[i % 3]) for i, text in enumerate(TRAIN)]
    sentence = refusal(tmp_path, [*rows, *usable()[6:]], max_labels=2)
    assert sentence == "rows.csv: column 'label' has 3 labels, over data.max_labels 2: is it the label?"


@pytest.mark.parametrize(("split", "start", "stop"), [("train", 0, 6), ("validation", 6, 8), ("test", 8, 10)])
def test_a_split_without_rows_is_refused(tmp_path: Path, split: str, start: int, stop: int) -> None:
    rows = usable()
    extra = [(text, "ab"[i % 2]) for i, text in enumerate(VALIDATION[2:6])] if split == "train" else []
    del rows[start:stop]
    assert refusal(tmp_path, rows + extra).startswith(f"rows.csv: no row falls into the {split} split: add rows")


def test_a_row_that_breaks_a_declared_rule_is_quarantined_and_one_without_text_says_that_first(tmp_path: Path) -> None:
    rules = {"text": {"max_characters": 30}, "label": {"allowed": ["a", "b"]}}
    found = loaded(tmp_path, [*usable(), ("w" * 31, "a"), (TRAIN[6], "c"), (" ", "c")], rules=rules)
    assert reasons(found) == {
        11: "column 'text' is longer than 30 characters",
        12: "column 'label' has a value that is not allowed",
        13: "empty example",
    }
    assert (found.quarantined[1].input, found.quarantined[1].label) == (TRAIN[6], "c"), "the content as it was"


def test_rules_bind_rows_that_came_later_as_far_as_they_have_the_columns(tmp_path: Path) -> None:
    rules = {"label": {"allowed": ["a", "b"]}}
    found = with_feedback(tmp_path, [(TRAIN[8], "a"), (TRAIN[9], "z")], rules=rules)
    assert reasons(found) == {2: "column 'label' has a value that is not allowed"}


def test_a_source_that_loses_too_many_rows_is_refused_with_the_reasons(tmp_path: Path) -> None:
    sentence = refusal(tmp_path, [*usable(), *[("", "a")] * 3], max_quarantined_share=0.2)
    assert "3 of 13 rows would be quarantined" in sentence and "(3 of them: empty example)" in sentence
    assert (tmp_path / ".graft/quarantine.csv").read_text().count("empty example") == 3


def test_the_size_of_a_batch_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        *usable(),
        ("", "a"),
        (TRAIN[0], "a"),
        (TEST[0], "b"),
        ("only words", ""),
        *[(text, "c") for text in TRAIN[6:]],
    ]
    whole = loaded(tmp_path, rows)
    monkeypatch.setattr("tasks.rows.stream.BATCH_ROWS", 3)
    monkeypatch.setattr("tasks.rows.columns.BATCH_ROWS", 2)
    found = loaded(tmp_path, rows)
    assert ([*found.rows], [*found.quarantined]) == ([*whole.rows], [*whole.quarantined])
    # The first batches have no row that is kept.
    with pytest.raises(InputError, match="1 label left"):
        loaded(tmp_path, rows, where={"label": "c"}, near_duplicate_similarity=0.99)


def test_what_is_read_leaves_no_file_behind(tmp_path: Path) -> None:
    found = loaded(tmp_path, usable())
    assert len([*found.rows]) == 10 and {path.name for path in tmp_path.iterdir()} == {"rows.csv", "own.csv"}


def test_a_label_of_another_kind_in_where_is_found_as_text(tmp_path: Path) -> None:
    content = "text,label,year,spam\n" + "".join(f"{text},{label},2021,TRUE\n" for text, label in usable())
    (tmp_path / "typed.csv").write_text(content + "late words,a,2022.0,false\n")
    changes = {"data__path": "typed.csv", "data__test": None, "data__min_rows_per_label": 2}
    for where, count in (({"year": 2021}, 10), ({"spam": True}, 10), ({"year": "2021"}, 10), ({"spam": False}, 1)):
        if count == 1:
            with pytest.raises(InputError, match=r"[01] labels? left"):
                load(tmp_path, params(data__where=where, **changes))
        else:
            assert len(load(tmp_path, params(data__where=where, **changes)).rows) == count
