"""Texts where they stand: what makes two the same, and which cannot be used."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tasks.modalities.text import source
from tasks.modalities.text.settings import Settings
from tasks.modalities.text.source import identity, normalise


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("  Hello\n\tWORLD ", "hello world"),
        ("ﬁne Maß", "fine mass"),
        ("Ｆｕｌｌ", "full"),
        ("cafe\u0301", "café"),
    ],
)
def test_case_space_and_compatibility_forms_make_no_other_row(written: str, same: str) -> None:
    assert normalise(written) == same
    assert identity(written) == identity(same)


def test_an_identity_is_half_a_sha256_of_the_normalised_text() -> None:
    assert identity(" A  b") == hashlib.sha256(b"a b").hexdigest()[:32]
    assert identity("a b") != identity("ab")


def test_each_text_has_its_record_in_order(tmp_path: Path) -> None:
    settings = Settings(max_characters=5, max_tokens=16)
    first, second, third = source.inspect(["one", " ", "too long"], tmp_path, settings)
    assert (first.id, first.size, first.fault) == (identity("one"), 3, None)
    assert second.fault == "empty example"
    assert third.fault == "longer than preparation.text.max_characters 5"
