"""One model's scores on rows, as the phases hand them to the receipt and to the artefact chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from tasks.artifacts import read_table, write_table


@dataclass(frozen=True)
class Predictions:
    """Scores of N rows.

    Attributes:
        ids: content hash of each row.
        logits: (N, K) float32; log probabilities where a model has no logits.
    """

    ids: list[str]
    logits: np.ndarray

    def save(self, path: Path) -> None:
        """Write as an Arrow stream."""
        flat = pa.array(np.ascontiguousarray(self.logits, dtype=np.float32).ravel())
        column = pa.FixedSizeListArray.from_arrays(flat, self.logits.shape[1])
        write_table(path, pa.table({"id": pa.array(self.ids), "logits": column}))


def load(path: Path, ids: Sequence[str]) -> Predictions:
    """Read scores and make sure that they are of these rows, in this order."""
    table = read_table(path)
    found = table.column("id").to_pylist()
    assert found == list(ids), f"{path.name} holds other rows than the test split"
    logits = np.stack(table.column("logits").to_numpy(zero_copy_only=False))
    return Predictions(found, logits.astype(np.float32))
