"""Zero-shot: the label whose words lie nearest to the example, by the pre-trained model alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType

import numpy as np

# What answers where no row has a label, in the place of a scope and an objective of adaptation.
SCOPE, OBJECTIVE = "zero_shot", "words"
# How sentence encoders are trained: this pool of all blocks, and a cosine of 1 that is worth so many nats.
POOL = "mean"
SCALE = 20.0
UNLABELLED = "No row has a label, so nothing can be learned or measured."


def label_words(labels: Sequence[str], descriptions: Mapping[str, str]) -> dict[str, str]:
    """Label -> what the model reads of it: its description, else its name with spaces for underscores."""
    return {label: descriptions.get(label, " ".join(label.replace("_", " ").split())) for label in labels}


def why_not(source: ModuleType, modality: str, words: Mapping[str, str]) -> str | None:
    """Why labels cannot be compared with examples, as a sentence; None if they can.

    Args:
        source: the modality's module of that name.
        modality: its name.
        words: as `label_words` gives them.
    """
    if not source.WORDS:
        return f"A model of modality {modality} reads no words, so a label's name says nothing to it."
    silent = [label for label, text in words.items() if not any(map(str.isalpha, text))]
    if silent:
        few = ", ".join(silent[:3]) + (", ..." if len(silent) > 3 else "")
        return f"Labels without a letter ({few}) say nothing to a model: describe them in data.label_descriptions."
    return None


def logits(examples: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Scaled cosines of every example with every label: (N, F), (K, F) -> (N, K).

    Source: Yin et al. 2019, Benchmarking Zero-shot Text Classification; the scale is that of sentence-transformers.
    """
    return np.asarray(SCALE * (unit(examples) @ unit(labels).T))


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows (N, F) of length 1; a row of zeros stays."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))
