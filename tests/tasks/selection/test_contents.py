"""Scripts are counted in letters; columns are named where they look like groups or times, and where not, not."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tasks.artifacts import read_json
from tasks.selection.contents import columns, in_words, scripts
from tests.projects import run_stage, write_project

DAYS = [date(2025, 1, 1) + timedelta(days=i) for i in range(60)]


def test_scripts_by_hand() -> None:
    assert scripts(["abc 12, d!", "жж"]) == {"Latin": 0.6667, "Cyrillic": 0.3333}
    assert scripts(["東京タワー", "ｱＡ"]) == {"Katakana": 0.5714, "Cjk": 0.2857, "Latin": 0.1429}
    assert scripts(["𝐁𝐮𝐲 ªµʰ", "ﾊﾞｽ"]) == {"Latin": 0.625, "Katakana": 0.25, "Greek": 0.125}
    assert scripts(["a" * 999 + "ж"]) == {"Latin": 0.999}
    assert scripts(["12 !?"]) == {}


def found(**others: Any) -> dict[str, Any]:
    table = pa.table({"text": ["x"] * 60, "label": ["a", "b"] * 30} | others)
    return columns(table, ["text", "label"], "label")


@pytest.mark.parametrize(
    ("name", "values", "rows"),
    [
        ("customer_id", [i // 3 for i in range(60)], 3.0),
        ("customer_id", [f"c{i // 3}" for i in range(60)], 3.0),
        ("shop", [f"s{i // 3}" for i in range(60)], 3.0),
        ("id", list(range(60)), None),
        ("price", [i // 3 for i in range(60)], None),
        ("channel", ["mail", "chat"] * 30, None),
        ("user", [i % 5 for i in range(60)], None),
        ("score", [i // 3 / 2 for i in range(60)], None),
        ("customer_id", [*[i // 2 for i in range(40)], *[None] * 20], 2.0),
    ],
)
def test_a_column_of_groups(name: str, values: list[Any], rows: float | None) -> None:
    assert found(**{name: values})["groups"] == ({} if rows is None else {name: rows})


@pytest.mark.parametrize("name", ["shop", "day"])
def test_a_categorical_column_is_read_as_its_values(name: str) -> None:
    values = pa.array([f"s{i // 3}" if name == "shop" else str(DAYS[i]) for i in range(60)])
    assert found(**{name: values.dictionary_encode()}) == found(**{name: values})
    assert found(**{name: values})["groups" if name == "shop" else "times"]


@pytest.mark.parametrize(
    ("name", "values", "times"),
    [
        ("day", DAYS, True),
        ("anything", [str(day) for day in DAYS], True),
        ("anything", [f"{day}T10:00:00Z" for day in DAYS], True),
        ("created_at", [1_700_000_000 + i for i in range(60)], True),
        ("number", [1_700_000_000 + i for i in range(60)], False),
        ("created_at", list(range(60)), False),
        ("note", [*[str(day) for day in DAYS[1:]], "soon"], False),
        ("nothing", [None] * 60, False),
    ],
)
def test_a_column_of_times(name: str, values: list[Any], times: bool) -> None:
    assert found(**{name: values})["times"] == ([name] if times else [])


def test_what_the_params_name_is_passed_over() -> None:
    table = pa.table({"text": [str(day) for day in DAYS], "label": [f"l{i // 3}" for i in range(60)]})
    assert columns(table, ["text", "label"], "label") == {"groups": {}, "times": [], "steps": False}


def test_names_that_may_be_somebodys_text_are_not_told() -> None:
    assert found(**{"My parcel, it's lost! day": DAYS})["times"] == []


def test_the_words_carry_the_figures() -> None:
    record = {"scripts": {"Latin": 0.98, "Cyrillic": 0.02}}
    record |= {"columns": {"groups": {"customer_id": 3.2}, "times": ["sent"], "steps": True}}
    assert in_words(record) == [
        "Script of the letters: 98.0% Latin, 2.0% Cyrillic.",
        "The labels are the steps of a scale: if their order counts, classification makes no use of it.",
        "Column customer_id repeats, 3.2 rows a value: if these rows belong together, a split by content lets one "
        "group stand on both sides.",
        "Column sent holds times: if the model is to answer later rows, a split by content is too kind to it.",
    ]
    assert in_words({"scripts": None, "columns": None}) == []


@pytest.mark.parametrize(
    "placing", [{"group_column": "customer_id"}, {"time_column": "sent", "test_from": "2026-02-01"}]
)
def test_selection_gives_no_advice_that_was_taken(placing: dict[str, str], tmp_path: Path) -> None:
    root = write_project(tmp_path, **{f"data__{leaf}": value for leaf, value in placing.items()})
    header, *rows = (root / "data/raw/rows.csv").read_text().splitlines()
    lines = [f"{row},c{i // 3},2026-{1 + i // 90:02d}-{1 + i % 28:02d}" for i, row in enumerate(rows)]
    (root / "data/raw/rows.csv").write_text("\n".join([f"{header},customer_id,sent", *lines]))
    run_stage(root, "selection")
    found = read_json(root / "data/selection/analysis.json")["columns"]
    assert [*found["groups"], *found["times"]] == ["customer_id" if "time_column" in placing else "sent"]
