"""params.yaml keeps its comments and every byte that nobody asked to change."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.errors import InputError
from tasks.params import leaves
from tasks.project.template import unknown_leaves, with_missing_leaves, with_values

HOUSE = (Path(__file__).resolve().parents[3] / "params.yaml").read_text(encoding="utf-8")
TEMPLATE = """\
# What this is.

data:
  path: rows.csv                # where
  where:                        # rows kept
    channel: email
  rows: 5

# How it learns.
training:
  # Tried one by one.
  rates:
    - 0.1
    - 0.2
  full:
    epochs: 4                   # at most
    seed: 1
"""
LEAVES = ["data.path", "data.where", "data.rows", "training.rates", "training.full.epochs", "training.full.seed"]


def value(text: str, path: str) -> Any:
    found = yaml.safe_load(text)
    for name in path.split("."):
        found = found[name]
    return found


@pytest.mark.parametrize("path", LEAVES)
@pytest.mark.parametrize(
    "new",
    ["a b", "no", "12", "a: b # c", "zwölf", "", None, True, 3, 0.00005, {}, [], {"a b": "x", "c": 1}, [1, "no"],
     [{"source": "path:x", "revision": "0" * 40}, {"source": "y", "revision": "z"}]],
)  # fmt: skip
def test_a_value_is_replaced_and_no_comment_is_lost(path: str, new: Any) -> None:
    text = with_values(TEMPLATE, {path: new})
    assert value(text, path) == new
    assert [value(text, other) for other in LEAVES if other != path] == [
        value(TEMPLATE, other) for other in LEAVES if other != path
    ]
    assert text.count("# ") == TEMPLATE.count("# ") + ("a: b # c" in str(new))
    assert with_values(text, {path: value(TEMPLATE, path)}) == TEMPLATE


def test_comments_keep_their_column_where_the_value_leaves_room() -> None:
    text = with_values(TEMPLATE, {"data.path": "data/raw/x.csv", "data.where": {}, "training.full.epochs": 12})
    assert text == TEMPLATE.replace("rows.csv      ", "data/raw/x.csv").replace(
        "where:                        # rows kept\n    channel: email", "where: {}                     # rows kept"
    ).replace("4                   #", "12                  #")
    assert "path: a/very/long/path/of/a/table.csv  # where\n" in with_values(
        TEMPLATE, {"data.path": "a/very/long/path/of/a/table.csv"}
    )


def test_lists_and_mappings_stand_in_block_style() -> None:
    text = with_values(TEMPLATE, {"training.rates": [{"a": 1, "b": 2}, {"a": 3}], "data.where": {"lang": "en"}})
    assert "  rates:\n    - a: 1\n      b: 2\n    - a: 3\n  full:\n" in text
    assert "  where:                        # rows kept\n    lang: en\n  rows: 5\n" in text


def without(text: str, first: str, lines: int = 1) -> str:
    """The text less some lines, from the one that begins like this."""
    whole = text.splitlines(keepends=True)
    start = next(i for i, line in enumerate(whole) if line.strip().startswith(first))
    return "".join(whole[:start] + whole[start + lines :])


@pytest.mark.parametrize(
    ("first", "lines", "expected"),
    [
        ("path:", 1, ["data.path"]),
        ("where:", 2, ["data.where"]),
        ("rows:", 1, ["data.rows"]),
        ("# Tried", 4, ["training.rates"]),
        ("epochs:", 1, ["training.full.epochs"]),
        ("seed:", 1, ["training.full.seed"]),
        ("full:", 3, ["training.full.epochs", "training.full.seed"]),
    ],
)
def test_what_is_missing_comes_back_where_it_was(first: str, lines: int, expected: list[str]) -> None:
    text = without(TEMPLATE, first, lines)
    assert with_missing_leaves(text, TEMPLATE, LEAVES) == (TEMPLATE, expected)


def test_a_missing_section_comes_with_its_comment_and_its_blank_line() -> None:
    head, _, section = TEMPLATE.partition("\n# How it learns.")
    assert with_missing_leaves(head, TEMPLATE, LEAVES) == (TEMPLATE, LEAVES[3:])
    text, added = with_missing_leaves(f"# Mine.\n{section.lstrip()}", TEMPLATE, LEAVES)
    assert added == LEAVES[:3] and yaml.safe_load(text) == yaml.safe_load(TEMPLATE)
    assert "where: " in text and text.startswith("# Mine.\n") and "# rows kept" in text


def test_a_second_time_nothing_is_missing() -> None:
    assert with_missing_leaves(TEMPLATE, TEMPLATE, LEAVES) == (TEMPLATE, [])
    text, _ = with_missing_leaves("data:\n  rows: 7\n", TEMPLATE, LEAVES)
    assert with_missing_leaves(text, TEMPLATE, LEAVES) == (text, [])


def test_the_users_own_bytes_stay() -> None:
    """Another order, another indent, his comments and values, keys that nobody knows, quotes, a flow list."""
    text = (
        "training:   # mine\n"
        "    rates: [0.5,   # one\n"
        "      0.25]  # two\n"
        "    # before nobody's\n"
        "    nobody: |\n"
        "      some\n"
        "      text\n"
        "\n"
        "# the end of it\n"
        '"data":\n'
        "    where: {}\n"
        "    path: 'a#b.csv'   # his"
    )
    new, added = with_missing_leaves(text, TEMPLATE, LEAVES)
    assert sorted(added) == ["data.rows", "training.full.epochs", "training.full.seed"]
    full = "    full:\n      epochs: 4                   # at most\n      seed: 1\n"
    expected = text.replace("# two\n", f"# two\n{full}").replace("where: {}\n", "where: {}\n    rows: 5\n")
    assert new == f"{expected}\n"
    assert yaml.safe_load(new) == yaml.safe_load(text) | {
        "data": {"where": {}, "rows": 5, "path": "a#b.csv"},
        "training": yaml.safe_load(text)["training"] | {"full": {"epochs": 4, "seed": 1}},
    }


def test_nothing_is_put_into_a_text_of_several_lines() -> None:
    text = "data:\n  path: >-\n    a/long\n    path\n\n\ntraining:\n  rates: []\n  full:\n    epochs: 4\n    seed: 1\n"
    new, added = with_missing_leaves(text, TEMPLATE, LEAVES)
    assert added == ["data.where", "data.rows"]
    assert new.startswith("data:\n  path: >-\n    a/long\n    path\n  where: ")


def test_ends_of_lines_stay_as_the_user_has_them() -> None:
    text = without(TEMPLATE, "# Tried", 4).replace("\n", "\r\n")
    new, _ = with_missing_leaves(text, TEMPLATE, LEAVES)
    assert new == TEMPLATE.replace("\n", "\r\n")


def test_an_empty_section_is_filled() -> None:
    new, added = with_missing_leaves("data:  # none yet\ntraining:\n", TEMPLATE, LEAVES)
    assert added == LEAVES and yaml.safe_load(new) == yaml.safe_load(TEMPLATE)
    assert new.startswith("data:  # none yet\n  path: rows.csv ")


@pytest.mark.parametrize("section", ["{rows: 5}", "{}", "12", "null"])
def test_a_section_that_is_no_block_is_refused(section: str) -> None:
    with pytest.raises(InputError, match=r"^params.yaml: data is no block, .* one key a line, or remove it and run"):
        with_missing_leaves(f"data: {section}\n", TEMPLATE, LEAVES)


def test_aliases_are_refused() -> None:
    with pytest.raises(InputError, match=r"YAML aliases, .*: write their values out"):
        with_missing_leaves("data: &d\n  rows: 5\ntraining: *d\n", TEMPLATE, LEAVES)


def test_what_the_template_does_not_know() -> None:
    text = (
        TEMPLATE.replace("  rows: 5", "  row: 5\n  old:\n    a: 1").replace("channel", "language") + "gone:\n  b: 2\n"
    )
    assert unknown_leaves(text, TEMPLATE, LEAVES) == ["data.row", "data.old", "gone"]
    assert unknown_leaves(TEMPLATE, TEMPLATE, LEAVES) == []


def test_any_lines_of_the_house_come_back() -> None:
    """Each draw leaves out some leaves; what comes back reads the same, and a second time nothing is missing."""
    tree = yaml.safe_load(HOUSE)
    known = leaves(tree)
    draw = random.Random(0)
    for _ in range(8):
        lost = set(draw.sample(sorted(known), 12))
        text = yaml.safe_dump(_less(tree, lost), sort_keys=False)
        new, added = with_missing_leaves(text, HOUSE, known)
        assert set(added) == lost and yaml.safe_load(new) == tree
        assert [line for line in text.splitlines() if line not in new.splitlines()] == []


# Leaves that are mappings, and may be empty.
MAPPINGS = ("data.where", "data.label_descriptions", "data.rules", "selection.references")


def _less(tree: dict[str, Any], lost: set[str], prefix: str = "") -> dict[str, Any]:
    kept = {name: child for name, child in tree.items() if f"{prefix}{name}" not in lost}
    below = {
        name: _less(child, lost, f"{prefix}{name}.")
        if isinstance(child, dict) and f"{prefix}{name}" not in MAPPINGS
        else child
        for name, child in kept.items()
    }
    return {name: child for name, child in below.items() if child != {} or f"{prefix}{name}" in MAPPINGS}
