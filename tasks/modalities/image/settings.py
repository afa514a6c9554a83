"""The section `preparation.image` of params.yaml."""

from __future__ import annotations

import math

from pydantic import Field

from tasks.strict import Strict

# Rows of the backbone's table, which needs torch.
POOLS = ("mean", "first")
# No pool is known to lose once blocks learn.
BEATEN_POOLS: dict[str, str] = {}
# Few rows: pairs were worse than a solved head on the frozen features where they were tried (LOG.md, 2026-11-29).
PAIRS = False
# A drawn head was worse than a solved one with 300 rows a label (LOG.md, 2026-11-22).
DRAWN_HEAD_FROM = math.inf


class Settings(Strict):
    max_pixels: int = Field(
        ge=64, le=2**28, description="Width x height above which an image is quarantined, and refused by the server."
    )


class Augmentation(Strict):
    """The section `adaptation.augmentation.image`; each leaf a row of `augment.FUNCTIONS`."""

    flip: float = Field(ge=0, le=1, description="Share of images that an epoch mirrors left to right.")
    shift: float = Field(ge=0, le=0.5, description="Largest move of an image either way, as a share of each side.")
