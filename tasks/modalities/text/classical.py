"""Features of the classical baseline for text: TF-IDF of words and word pairs; and which words stand in which text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.prepared import Prepared

# An underscore parts words as a space does: labels are spelled with it.
WORD = r"[^\W_]+"
MIN_PHRASE_CHARACTERS = 3


def examples(rows: Prepared) -> Sequence[Any]:
    """What the vectoriser takes: the texts."""
    return rows.inputs


def vectoriser() -> Any:
    """Unfitted scikit-learn transformer: texts -> sparse (N, terms); the terms of a text without words are characters.

    A word has two letters or digits at least.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(ngram_range=(1, 2), strip_accents="unicode").build_analyzer()
    return TfidfVectorizer(analyzer=lambda text: words(text) or [*text], sublinear_tf=True)


def presence(rows: Prepared, phrases: Sequence[str] | None = None) -> tuple[Any, list[str]] | None:
    """Which words and word pairs stand in which text, or which of some phrases do, whatever their case and accents.

    Args:
        rows: N texts.
        phrases: looked for as whole words in a row; those that are shorter than 3 characters are not.

    Returns:
        Sparse (N, T) matrix of 0 and 1, and the T terms, or the phrases as they were given; None without any.
    """
    from sklearn.feature_extraction.text import CountVectorizer, strip_accents_unicode

    settings = {"binary": True, "token_pattern": WORD, "strip_accents": "unicode"}
    if phrases is None:
        vectoriser = CountVectorizer(ngram_range=(1, 2), **settings)
        if not any(map(vectoriser.build_analyzer(), rows.inputs)):
            return None
        found = vectoriser.fit_transform(rows.inputs)
        return found, vectoriser.get_feature_names_out().tolist()
    spelled = [" ".join(re.findall(WORD, strip_accents_unicode(phrase.lower()))) for phrase in phrases]
    terms = sorted({term for term in spelled if len(term) >= MIN_PHRASE_CHARACTERS})
    if not terms:
        return None
    longest = max(term.count(" ") + 1 for term in terms)
    found = CountVectorizer(ngram_range=(1, longest), vocabulary=terms, **settings).fit_transform(rows.inputs)
    kept = [i for i, term in enumerate(spelled) if term in terms]
    return found[:, [terms.index(spelled[i]) for i in kept]], [phrases[i] for i in kept]
