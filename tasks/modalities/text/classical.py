"""Features of the classical baseline for text: TF-IDF of words and word pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.prepared import Prepared


def examples(rows: Prepared) -> Sequence[Any]:
    """What the vectoriser takes: the texts."""
    return rows.inputs


def vectoriser() -> Any:
    """Unfitted scikit-learn transformer: texts -> sparse (N, terms)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, strip_accents="unicode")
