"""Which columns hold texts, by what stands in them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tasks.modalities.text.guess import inputs

ROWS = 12
PROSE = [f"I have waited {i} days for my parcel." for i in range(ROWS)]


def found(**columns: object) -> list[str]:
    return inputs(pa.table(columns), None)


def test_prose_is_found_under_any_name() -> None:
    assert found(was_gesagt_wurde=PROSE, label=["good", "bad"] * 6) == ["was_gesagt_wurde"]


@pytest.mark.parametrize(
    "cells",
    [
        [f"https://example.org/我的卡在/{i}" for i in range(ROWS)],
        [f"ada{i}@example.org" for i in range(ROWS)],
        [f"my photos/day {i}.jpg" for i in range(ROWS)],
        [f"2024-01-{i:02} 10:00" for i in range(1, ROWS + 1)],
        [f"ID-{i}" for i in range(ROWS)],
        [f"{i}.5 kg" for i in range(ROWS)],
        [f"EUR {i}000.00 at 19.00 %" for i in range(ROWS)],
        ["card not arrived", "card lost"] * 6,
        [f"MLGPVSW{'AG' * i}" for i in range(ROWS)],
        [True, False] * 6,
        [*range(ROWS)],
        [[str(i)] for i in range(ROWS)],
        [None] * ROWS,
        ["", " "] * 6,
    ],
    ids=["addresses", "mail", "files", "dates", "codes", "weights", "money", "labels", "sequences", "truth", "numbers",
         "lists", "gaps", "blanks"],
)  # fmt: skip
def test_what_is_no_prose(cells: list[object]) -> None:
    assert found(column=cells) == []


def test_scripts_without_spaces() -> None:
    assert found(column=[f"我的卡在哪里{i}" for i in range(ROWS)]) == ["column"]


def test_a_telling_name_lets_single_words_be_texts() -> None:
    words = {"name": ["apple", "pear"] * 6, "Text": ["apple", "pear"] * 6}
    assert found(**words) == ["Text"]
    assert found(text=[f"{i}.5" for i in range(ROWS)]) == []
    assert found(document=[f"scans/{i}.pdf" for i in range(ROWS)]) == []
    assert found(post=[f"https://example.org/{i}" for i in range(ROWS)]) == []
    assert found(message=[f"ada{i}@example.org" for i in range(ROWS)]) == []


def test_the_likeliest_comes_first() -> None:
    short = [text[:20] for text in PROSE]
    shorter = [f"no parcel {text[14:16]}" for text in PROSE]
    assert found(summary=short, notes=PROSE, headline=shorter) == ["notes", "summary", "headline"], "the longest"
    assert found(notes=PROSE, text=short) == ["text", "notes"], "the name before the length"
    assert found(review=["good", "bad"] * 6, notes=short) == ["notes", "review"], "prose before the name"


def test_the_whole_column_counts() -> None:
    """Sorted tables begin with what is not typical."""
    assert found(text_of_it=[None] * 3000 + PROSE * 250)[0:] == [], "most of it says the same"
    assert found(text_of_it=[None] * 3000 + [f"{text} {i}" for i, text in enumerate(PROSE * 250)]) == ["text_of_it"]


def test_dictionaries_and_doubled_names() -> None:
    column = pa.chunked_array([PROSE]).dictionary_encode()
    assert inputs(pa.table({"text": column}), None) == ["text"]
    assert inputs(pa.Table.from_arrays([column, column], names=["text", "text"]), None) == []


def test_texts_are_no_files() -> None:
    assert inputs(pa.table({"text": PROSE}), Path()) == []
