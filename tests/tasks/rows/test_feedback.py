"""The inbox of labelled rows, and the version of the data made of it: nothing lost, nothing twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from tasks.errors import BusyError, InputError
from tasks.params import Params
from tasks.rows.clean import load
from tasks.rows.feedback import Taken, merge, place, take
from tasks.stage import one_writer
from tests.factories import params

TEXTS = params(data__path="rows.csv", data__where={}, data__feedback="data/raw/feedback.csv")
IMAGES = params(
    project__modality="image",
    data__path="photos",
    data__where={},
    data__input_column="path",
    data__feedback="data/raw/feedback",
)


def table(root: Path) -> list[str]:
    return (root / place(TEXTS)).read_text(encoding="utf-8").splitlines()


def give(home: Path, *rows: tuple[str | None, str | None], settings: Params = TEXTS) -> Taken:
    return take(home, settings, rows, home)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with a source of 80 rows."""
    made = tmp_path / "checkout"
    made.mkdir()
    (made / "rows.csv").write_text("text,label\n" + "".join(f"old text {i},{'ab'[i % 2]}\n" for i in range(80)))
    return made


def test_rows_of_several_batches_are_merged_once(home: Path, root: Path) -> None:
    assert give(home, ("where is it", "parcel"), ("I was charged twice", "billing")) == Taken(2, 0, {})
    assert give(home, ("hello, again", "other")) == Taken(1, 0, {})
    assert merge(home, root, TEXTS) == 3
    assert table(root)[0] == "text,label"
    assert sorted(table(root)[1:]) == ['"hello, again",other', "I was charged twice,billing", "where is it,parcel"]
    before = (root / place(TEXTS)).read_bytes()
    assert merge(home, root, TEXTS) == 0 and (root / place(TEXTS)).read_bytes() == before


def test_a_row_that_comes_again_is_no_new_row(home: Path, root: Path) -> None:
    give(home, ("where is it", "parcel"))
    assert give(home, ("Where  IS it", "parcel")) == Taken(0, 1, {})
    assert len(list((home / ".graft/feedback").glob("0*"))) == 1
    assert merge(home, root, TEXTS) == 1


def test_of_two_labels_the_later_counts(home: Path, root: Path) -> None:
    give(home, ("where is it", "parcel"))
    merge(home, root, TEXTS)
    assert give(home, ("where is it", "refund")).rows == 1
    assert merge(home, root, TEXTS) == 1
    assert table(root)[1:] == ["where is it,refund"]


def test_rows_that_the_source_has_already_are_no_new_rows(home: Path, root: Path) -> None:
    give(home, ("old text 3", "another label"), ("Old Text 4", "a"))
    assert merge(home, root, TEXTS) == 0 and not (root / place(TEXTS)).exists()
    give(home, ("a new text", "a"))
    assert merge(home, root, TEXTS) == 1 and table(root)[1:] == ["a new text,a"]


def test_a_text_of_digits_alone_is_a_text(home: Path, root: Path) -> None:
    give(home, ("4711", "a"))
    assert give(home, ("0815", "b")).rows == 1
    assert merge(home, root, TEXTS) == 2 and merge(home, root, TEXTS) == 0
    assert [row.input for row in load(root, TEXTS).rows if row.source == "feedback"] == ["0815", "4711"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data__path": "data/raw/feedback.csv"}, "the source of this project: rename that"),
        ({"data__path": "x.csv", "data__test": "data/raw/feedback.csv"}, "the source of this project: rename that"),
        ({"data__path": "x.csv", "data__feedback": "mine.csv"}, "data.feedback names mine.csv"),
    ],
)
def test_a_project_whose_own_rows_are_in_the_place_is_refused(
    home: Path, changes: dict[str, str], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        give(home, ("a text", "a"), settings=params(**changes))
    with pytest.raises(InputError, match=sentence):
        merge(home, home, params(**changes))


def test_the_order_of_the_batches_leaves_no_trace(home: Path, root: Path, tmp_path: Path) -> None:
    rows = [(f"text number {i}", "ab"[i % 2]) for i in range(9)]
    for one in rows:
        give(home, one)
    merge(home, root, TEXTS)
    other = tmp_path / "other"
    shutil.copytree(root, other)
    (other / place(TEXTS)).unlink()
    give(other, *reversed(rows))
    merge(other, other, TEXTS)
    assert table(root) == table(other)


def test_rows_of_no_use_are_counted_by_reason_and_the_rest_is_taken(home: Path) -> None:
    taken = give(home, ("fine", "a"), ("", "a"), (None, "a"), ("no label", None), ("x" * 20_001, "a"))
    assert taken == Taken(
        1, 0, {"empty example": 2, "empty label": 1, "longer than preparation.text.max_characters 20000": 1}
    )


def test_feedback_without_a_usable_row_is_refused_and_leaves_nothing(home: Path) -> None:
    with pytest.raises(InputError, match=r"None of the 2 rows of feedback can be used \(2 of them: empty label\)"):
        give(home, ("a", None), ("b", ""))
    assert not (home / ".graft").exists()


def test_two_hands_at_once_add_one_batch_after_the_other(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.stage.WAIT_SECONDS", 0.1)
    with one_writer(home / ".graft/feedback/.lock"), pytest.raises(BusyError):
        give(home, ("where is it", "parcel"))
    assert give(home, ("where is it", "parcel")).rows == 1


def test_a_batch_that_was_cut_off_is_no_batch(home: Path, root: Path) -> None:
    give(home, ("where is it", "parcel"))
    (home / ".graft/feedback/.00002.k9").mkdir()
    (home / ".graft/feedback/.00002.k9/rows.csv").write_text("text,la")
    assert merge(home, root, TEXTS) == 1
    assert give(home, ("another", "other")).rows == 1


def photo(path: Path, level: int) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (level, 0, 0)).save(path)
    return path.name


def test_files_travel_with_their_rows(home: Path, root: Path, tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    rows = [(photo(sent / f"{level}.PNG", level), "ab"[level % 2]) for level in range(4)]
    (sent / "broken.png").write_bytes(b"no image")
    taken = take(home, IMAGES, [*rows, ("broken.png", "a"), ("../home", "a")], sent)
    assert taken.rows == 4 and sum(taken.refused.values()) == 2
    for path in sent.iterdir():
        path.unlink()
    for level in range(60):
        photo(root / f"photos/{'ab'[level % 2]}/{level}.png", 100 + level)
    assert merge(home, root, IMAGES) == 4 and merge(home, root, IMAGES) == 0
    found = load(root, IMAGES)
    later = [row for row in found.rows if row.file == "feedback"]
    assert len(later) == 4 and all((root / row.input).is_file() for row in later)
    assert {row.label for row in later} == {"a", "b"}
