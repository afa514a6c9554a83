"""Features of the classical baseline for text: TF-IDF of words and word pairs."""

from __future__ import annotations

from typing import Any


def vectoriser() -> Any:
    """Unfitted scikit-learn transformer: texts -> sparse (N, terms)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, strip_accents="unicode")
