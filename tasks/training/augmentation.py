"""Training rows, changed anew at each step by the modality's table of functions; nothing changed is ever stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.modalities.contract import Arrays, Augment, Encoder
from tasks.prepared import Prepared


@dataclass(frozen=True)
class Augmentation:
    """What changes rows.

    Attributes:
        module: the modality's `augment`, see `contract.Augment`.
        settings: the modality's section of `adaptation.augmentation`.
        encoder: of what was changed before encoding.
        seed: of every draw.
    """

    module: Augment
    settings: Any
    encoder: Encoder
    seed: int

    def rows(self, data: Prepared, places: Sequence[int], step: int) -> list[Arrays]:
        """The encoded rows at these places as this step sees them; no row's change depends on the rows beside it."""
        return [self._row(data, place, step) for place in places]

    def _row(self, data: Prepared, place: int, step: int) -> Arrays:
        example = self.module.opened(data, place, self.encoder)
        if example is None:
            return data.encoded[place]
        random = np.random.default_rng([self.seed, step, int(data.ids[place], 16)])
        for name, function in self.module.FUNCTIONS.items():
            example = function(example, getattr(self.settings, name), random)
        return self.module.closed(example, self.encoder)
