"""What a bundle answered to a fixed example when it was made: asked again wherever it is loaded, before it serves.

So does a cipher module test itself at every start (known-answer test, NIST FIPS 140-2, 4.9.1). The example is a
constant of the modality, and nobody's data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from tasks import modalities
from tasks.artifacts import write_json
from tasks.manifest import MAX_MANIFEST_BYTES, Manifest, fault

FILE = "known_answer.json"


@dataclass(frozen=True)
class KnownAnswer:
    """A fixed example and what a bundle answers to it.

    Attributes:
        example: as a client would send it.
        logits: of K labels.
        exact: whether the graph computes in float32, so that any CPU gives these logits but for rounding.
        tolerance: difference of a logit that is no fault: rounding or, of a graph in fewer bits, what these cost it at
            most on the rows that it was scored on.
    """

    example: str
    logits: list[float]
    exact: bool
    tolerance: float

    def save(self, folder: Path) -> None:
        """Write it into a bundle, before its manifest."""
        write_json(folder / FILE, asdict(self))


def example_of(modality: str) -> str:
    """The example of a new bundle, and of one that was made without a known answer."""
    example: str = modalities.part(modality, "source").EXAMPLE
    return example


def check(folder: Path, manifest: Manifest, ask: Callable[[str], tuple[np.ndarray, np.ndarray]]) -> None:
    """Let a loaded bundle answer its fixed example; one without a known answer must give numbers at least.

    Args:
        folder: the bundle.
        manifest: of it, its files checked.
        ask: example -> logits (1, K) and pooled features (1, F).

    Raises:
        InputError: it cannot answer, or with other shapes, with numbers that are not finite, or otherwise than when it
            was made.
    """
    known = _read(folder, manifest) if FILE in manifest.files else None
    try:
        logits, pooled = ask(known.example if known else example_of(manifest.modality))
    except Exception as error:  # ONNX Runtime's errors share no other base
        raise fault(folder, f"{manifest.model} cannot answer a fixed example ({type(error).__name__})") from None
    if reason := _unusable(logits, pooled, len(manifest.labels)) or (known and _otherwise(logits[0], known)):
        raise fault(folder, f"{manifest.model} answers a fixed example {reason}")


def _read(folder: Path, manifest: Manifest) -> KnownAnswer:
    try:
        with (folder / FILE).open("rb") as file:
            known = KnownAnswer(**json.loads(file.read(MAX_MANIFEST_BYTES)))
        logits = np.asarray(known.logits, dtype=np.float64)
        meant = logits.shape == (len(manifest.labels),) and np.isfinite(logits).all() and isinstance(known.exact, bool)
        if not meant or not isinstance(known.example, str) or not 0 <= known.tolerance < math.inf:
            raise ValueError
    except (OSError, ValueError, TypeError, RecursionError):
        raise fault(folder, f"its {FILE} cannot be used") from None
    return replace(known, logits=logits.tolist())


def _unusable(logits: np.ndarray, pooled: np.ndarray, labels: int) -> str | None:
    if logits.shape != (1, labels) or pooled.ndim != 2:
        return f"with logits of shape {logits.shape} for {labels} labels"
    finite = np.isfinite(logits).all() and np.isfinite(pooled).all()
    return None if finite else "with a number that is not finite"


def _otherwise(logits: np.ndarray, known: KnownAnswer) -> str | None:
    """Int8 rounds and saturates in its own way on CPUs without VNNI, so that only a clear label is held to.

    Where no logit moves by more than the tolerance, a label that leads by over twice that goes on leading.
    """
    difference = float(np.abs(logits - known.logits).max())
    if known.exact and difference > known.tolerance:
        return f"otherwise than when it was made, by {difference:.3g} in a logit, over {known.tolerance:.3g}"
    clear = (np.diff(np.sort(known.logits)[-2:]) > 2 * known.tolerance).any()
    if clear and logits.argmax() != np.argmax(known.logits):
        return "with another label than when it was made"
    return None
