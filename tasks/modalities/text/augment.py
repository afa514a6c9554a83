"""Training texts, changed a little: the table of what `adaptation.augmentation.text` names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tasks.modalities.contract import Arrays, Encoder

if TYPE_CHECKING:
    from tasks.prepared import Prepared

Words = list[str]
# Of fewer words none is to spare. Scripts without spaces are one word, and stay.
FEWEST_WORDS = 4


def word_dropout(words: Words, share: float, random: np.random.Generator) -> Words:
    """Each word is left out with probability `share`; one always stays (Iyyer et al. 2015)."""
    kept = random.random(len(words)) >= share
    return [word for word, keep in zip(words, kept, strict=True) if keep] or words[:1]


def word_swap(words: Words, share: float, random: np.random.Generator) -> Words:
    """Each word changes places with the next with probability `share`, none twice (Artetxe et al. 2018)."""
    swapped, place = list(words), 0
    drawn = random.random(len(words)) < share
    while place < len(words) - 1:
        if drawn[place]:
            swapped[place : place + 2] = [words[place + 1], words[place]]
        place += 2 if drawn[place] else 1
    return swapped


FUNCTIONS: dict[str, Callable[[Words, float, np.random.Generator], Words]] = {
    "word_dropout": word_dropout,
    "word_swap": word_swap,
}


def opened(data: Prepared, place: int, encoder: Encoder) -> Words | None:
    """Words of a text, None of one that is too short."""
    words = data.inputs[place].split()
    return words if len(words) >= FEWEST_WORDS else None


def closed(words: Words, encoder: Encoder) -> Arrays:
    """The words as the encoder writes a text of them."""
    return encoder.encode([" ".join(words)])[0]
