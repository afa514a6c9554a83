"""What is nearly in two splits leaves the training side, and groups, dates and columns place their rows for good."""

from __future__ import annotations

import csv
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tasks.errors import InputError
from tasks.rows.clean import Clean, load
from tests.factories import params, texts_in

TRAIN, VALIDATION, TEST = (list(islice(texts_in(split), 30)) for split in ("train", "validation", "test"))
STORY = "the parcel came on a rainy Tuesday and the box was open so please send me another one soon"
OTHER = "my neighbour signed for the lamp last week although nobody told me that it would be delivered"


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)


def loaded(folder: Path, rows: list[dict[str, str]], own: list[dict[str, str]] | None = None, **changes: Any) -> Clean:
    write(folder / "rows.csv", [row | {"label": "ab"[i % 2]} for i, row in enumerate(rows)])
    if own:
        write(folder / "own.csv", [row | {"label": "ab"[i % 2]} for i, row in enumerate(own)])
    settings: dict[str, Any] = {"path": "rows.csv", "test": "own.csv" if own else None, "where": {}}
    settings |= {"min_rows_per_label": 2} | changes
    return load(folder, params(**{f"data__{name}": value for name, value in settings.items()}))


def texts(*parts: list[str], **more: str) -> list[dict[str, str]]:
    return [{"text": text} | more for part in parts for text in part]


def reasons(found: Clean) -> dict[int, str]:
    return {fault.number: fault.reason for fault in found.quarantined}


# Texts of these tests differ by a number alone.
ALIKE = {"near_duplicate_similarity": 0.6, "test_share": 0.0, "validation_share": 0.3}
WORDS = [
    "ash", "birch", "cedar", "dogwood", "elm", "fir", "ginkgo", "hazel", "ivy", "juniper", "kapok", "larch", "maple",
    "nutmeg", "oak", "pine", "quince", "rowan",
]  # fmt: skip
FAR = [" ".join(WORDS[i:] + WORDS[:i])[: 20 + i] + f" {word * 3}" for i, word in enumerate(WORDS)]


def test_a_training_row_that_is_nearly_a_test_row_leaves_and_the_test_row_stays(tmp_path: Path) -> None:
    near = STORY.replace("rainy Tuesday", "rainy Monday").upper() + "!"
    found = loaded(tmp_path, texts(FAR, [near]), texts([STORY, OTHER]), **ALIKE)
    assert reasons(found) == {len(FAR) + 1: "near duplicate of test row 1 of own.csv"}
    assert [row.input for row in found.of("test")] == [STORY, OTHER]


def test_without_a_similarity_only_equal_texts_count(tmp_path: Path) -> None:
    found = loaded(
        tmp_path, texts(FAR, [f"{STORY} 2"]), texts([STORY, OTHER]), **ALIKE | {"near_duplicate_similarity": None}
    )
    assert reasons(found) == {}


def test_near_duplicates_within_a_split_stay_and_are_counted(tmp_path: Path) -> None:
    found = loaded(tmp_path, texts(FAR), texts([STORY, f"{STORY} 2", OTHER]), **ALIKE)
    assert reasons(found) == {} and found.near == {"train": 0, "validation": 0, "test": 1}


def test_near_the_validation_split_the_training_row_leaves(tmp_path: Path) -> None:
    rows = [{"text": text, "kind": "train"} for text in (*FAR, f"{STORY} 2")]
    rows += [{"text": STORY, "kind": "dev"}, {"text": OTHER, "kind": "test"}]
    found = loaded(tmp_path, rows, split_column="kind", **ALIKE | {"validation_share": 0.0})
    assert reasons(found) == {len(FAR) + 1: f"near duplicate of validation row {len(FAR) + 2} of rows.csv"}


def test_what_leaves_takes_nobody_with_it(tmp_path: Path) -> None:
    # The validation row is nearly the test row and leaves; the training row is nearly the validation row alone.
    words = STORY.split()
    middle, far = (
        " ".join([*words[3:], "and", "that", "is"]),
        " ".join([*words[6:], "and", "that", "is", "all", "then"]),
    )
    rows = [{"text": text, "kind": "train"} for text in (*FAR, far)]
    rows += [{"text": text, "kind": kind} for text, kind in ((middle, "dev"), (OTHER, "dev"), (STORY, "test"))]
    found = loaded(tmp_path, rows, split_column="kind", **ALIKE | {"validation_share": 0.0})
    assert reasons(found) == {len(FAR) + 2: f"near duplicate of test row {len(FAR) + 4} of rows.csv"}


def test_of_what_came_later_the_later_row_leaves_even_if_it_is_a_test_row(tmp_path: Path) -> None:
    later = next(text for n in range(99) if (text := f"{STORY} {'x' * n}") and is_test(text))
    write(tmp_path / "later.csv", [{"text": later, "label": "a"}, {"text": OTHER, "label": "b"}])
    rows = texts(FAR, [STORY])
    found = loaded(tmp_path, rows, texts(TEST[:2]), **ALIKE | {"test_share": 0.25, "feedback": "later.csv"})
    assert {(fault.file, fault.number) for fault in found.quarantined} == {("later.csv", 1)}
    assert STORY in [row.input for row in found.rows]


def is_test(text: str) -> bool:
    from tasks.modalities.text.source import identity
    from tasks.rows.split import place

    return place(identity(text), 0.25, 0.15) == "test"


def test_leaks_can_be_refused_with_the_first_of_them(tmp_path: Path) -> None:
    rows = texts(FAR, [f"{STORY} 2", OTHER])
    with pytest.raises(InputError) as caught:
        loaded(tmp_path, rows, texts([STORY, OTHER]), leaks="refuse", **ALIKE)
    first = len(FAR) + 1
    assert caught.value.sentences == [
        f"2 training-side rows would leak into another split, first row {first} of rows.csv (near duplicate of test "
        "row 1 of own.csv): take them out, or set data.leaks to mend."
    ]


@pytest.mark.parametrize("validation", [0, 1])
def test_a_copy_in_the_validation_split_stays_wherever_it_stands(validation: int, tmp_path: Path) -> None:
    names = ["dev" if i == validation else "train" for i in range(2)]
    rows = [{"text": STORY, "kind": name, "label": "a"} for name in names]
    rows += [{"text": text, "kind": "train"} for text in FAR] + [{"text": OTHER, "kind": "test"}]
    write(tmp_path / "rows.csv", [{"label": "ab"[i % 2]} | row for i, row in enumerate(rows)])
    leaves = {"path": "rows.csv", "where": {}, "min_rows_per_label": 2, "split_column": "kind", "validation_share": 0.0}
    found = load(tmp_path, params(**{f"data__{name}": value for name, value in leaves.items()}))
    assert reasons(found) == {2 - validation: f"duplicate of validation row {validation + 1} of rows.csv"}


def test_copies_within_a_split_are_no_leak(tmp_path: Path) -> None:
    assert len(loaded(tmp_path, texts(TRAIN, VALIDATION, TEST, TEST[:1]), leaks="refuse").quarantined) == 1


def test_rows_of_a_group_share_a_split_wherever_their_content_would_go(tmp_path: Path) -> None:
    rows = [{"text": text, "who": f"g{i // 6}"} for i, text in enumerate(islice(texts_in("train"), 180))]
    found = loaded(tmp_path, rows, group_column="who")
    splits = {(row.number - 1) // 6: row.split for row in found.rows}
    assert all(splits[(row.number - 1) // 6] == row.split for row in found.rows)
    assert {*splits.values()} == {"train", "validation", "test"} and not found.quarantined
    more = [{"text": text, "who": f"g{i}"} for i, text in enumerate(TEST)]
    after = loaded(tmp_path, [*rows, *more], group_column="who")
    assert all(splits[i] == row.split for i in range(30) for row in after.rows if row.input == more[i]["text"])


def test_without_a_group_a_row_is_placed_by_its_content(tmp_path: Path) -> None:
    rows = texts(TRAIN[:4], VALIDATION[:4], TEST[:4], who="")
    found = loaded(tmp_path, rows, group_column="who")
    assert [row.split for row in found.rows] == ["train"] * 4 + ["validation"] * 4 + ["test"] * 4


def test_a_group_that_the_own_test_set_has_leaves_the_training_side(tmp_path: Path) -> None:
    rows = [{"text": text, "who": f"g{i}"} for i, text in enumerate([*TRAIN, *VALIDATION])]
    found = loaded(
        tmp_path, rows, [{"text": text, "who": f"g{i}"} for i, text in enumerate(TEST[:2])], group_column="who"
    )
    assert reasons(found) == {n: f"in one group with test row {n} of own.csv" for n in (1, 2)}
    assert len(found.of("test")) == 2


DAYS = [{"text": text, "day": f"2026-01-{i + 1:02d}"} for i, text in enumerate([*TRAIN[:20], *VALIDATION[:8]])]
BY_TIME = {"time_column": "day", "test_from": "2026-01-25"}


def test_the_newest_rows_are_test(tmp_path: Path) -> None:
    found = loaded(tmp_path, DAYS, validation_from="2026-01-20T00:00:00Z", **BY_TIME)
    assert [len(found.of(split)) for split in ("train", "validation", "test")] == [19, 5, 4]
    newer = [{"text": text, "day": "2026-03-01"} for text in TEST]
    after = loaded(tmp_path, [*newer, *DAYS], validation_from="2026-01-20", **BY_TIME)
    assert {row.input: row.split for row in after.rows if row.input not in TEST} == {
        row.input: row.split for row in found.rows
    }
    assert {row.split for row in after.rows if row.input in TEST} == {"test"}


def test_without_a_date_for_validation_the_hash_divides_what_is_not_test(tmp_path: Path) -> None:
    found = loaded(tmp_path, DAYS, **BY_TIME)
    assert [row.split for row in found.rows] == ["train"] * 20 + ["validation"] * 4 + ["test"] * 4


@pytest.mark.parametrize("day", ["", "soon", "2026-13-01"])
def test_a_row_without_a_time_is_quarantined(tmp_path: Path, day: str) -> None:
    found = loaded(tmp_path, [*DAYS, {"text": TEST[0], "day": day}], **BY_TIME)
    assert reasons(found) == {29: "data.time_column holds no ISO 8601 date or time"}


def test_a_column_places_rows_by_the_names_that_people_use(tmp_path: Path) -> None:
    names = ["Train", "training", "dev", "validation", "TEST", "testing"] * 2
    rows = [{"text": text, "part": name} for text, name in zip(TEST[:12], names, strict=True)]
    found = loaded(tmp_path, [*rows, {"text": TRAIN[0], "part": "holdout"}], split_column="part", validation_share=0)
    assert [row.split for row in found.rows][:6] == ["train"] * 2 + ["validation"] * 2 + ["test"] * 2
    assert reasons(found) == {13: "data.split_column says neither train, validation nor test"}


def by_column(folder: Path, names: list[str], broken: str = "", **changes: Any) -> dict[str, str]:
    """Example -> split of one row for each name; that of an additional row, broken, of the name `broken`."""
    rows = [{"text": text, "part": name} for text, name in zip(MANY, names, strict=False)]
    rows += [{"text": "", "part": broken}] if broken else []
    return {row.input: row.split for row in loaded(folder, rows, split_column="part", **changes).rows}


MANY = list(islice((text for texts in zip(TRAIN, VALIDATION, TEST, strict=True) for text in texts), 60))
TWO, THREE = ["train"] * 40 + ["test"] * 4, ["train"] * 40 + ["dev"] * 4 + ["test"] * 4


@pytest.mark.parametrize("name", ["train", "dev", "test"])
@pytest.mark.parametrize(("names", "share"), [(TWO, 0.15), (THREE, 0)])
def test_no_row_that_is_added_to_a_column_of_splits_moves_another(
    names: list[str], share: float, name: str, tmp_path: Path
) -> None:
    before = by_column(tmp_path, names, validation_share=share)
    for added in ({"names": [*names, name]}, {"names": names, "broken": name}):
        try:
            after = by_column(tmp_path, **{"names": names} | added, validation_share=share)
        except InputError:
            assert (name, share) == ("dev", 0.15)
        else:
            assert {text: after[text] for text in before} == before


@pytest.mark.parametrize("broken", ["", "test"])
def test_a_column_of_splits_that_names_no_usable_test_row_is_refused(broken: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rows\.csv: no row falls into the test split: where a source says of some"):
        by_column(tmp_path, ["train"] * 40, broken)
    own = loaded(
        tmp_path, [{"text": text, "part": "train"} for text in MANY], texts(["one", "two"]), split_column="part"
    )
    assert {row.input for row in own.of("test")} == {"one", "two"} and len(own.of("validation")) > 0


def test_validation_rows_beside_a_share_of_the_training_rows_are_refused(tmp_path: Path) -> None:
    told = "rows.csv names validation rows of its own, and data.validation_share 0.15 would draw others from its"
    with pytest.raises(InputError, match=told):
        by_column(tmp_path, THREE)


def test_validation_rows_of_its_own_that_are_of_no_use_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="into the validation split: name usable validation rows, or none and raise"):
        by_column(tmp_path, TWO, "dev", validation_share=0)


def test_without_a_row_after_the_date_of_the_test_rows_the_date_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"into the test split: set data\.test_from to an earlier time"):
        loaded(tmp_path, DAYS, time_column="day", test_from="2026-02-25")
