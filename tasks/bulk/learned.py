"""Which of the examples that are answered a release has learned from: a score on those says nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tasks import modalities
from tasks.manifest import LEARNED
from tasks.rows.split import keys_of

if TYPE_CHECKING:
    from tasks.runtime import Example, Runtime

Seen = Callable[[Sequence["Example | None"]], list[bool]]
NONE = "0" * 32


def learned_from(folder: Path, runtime: Runtime) -> Seen | None:
    """What says of each example whether it was learned from; None where the bundle does not tell.

    Args:
        folder: of the bundle, which `runtime` has checked.
        runtime: the release.
    """
    if LEARNED not in runtime.manifest.files:
        return None
    keys, source = np.load(folder / LEARNED), modalities.part(runtime.manifest.modality, "source")

    def identity(example: Example | None) -> str:
        """As the rows' own is made: of a file by its bytes."""
        if example is None:
            return NONE
        return hashlib.sha256(example).hexdigest()[:32] if isinstance(example, bytes) else str(source.identity(example))

    def seen(examples: Sequence[Example | None]) -> list[bool]:
        asked = keys_of(map(identity, examples))[:, 0]
        known: list[bool] = (keys[np.searchsorted(keys, asked).clip(max=len(keys) - 1)] == asked).tolist()
        return known

    return seen
