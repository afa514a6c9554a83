"""The section `preparation.image` of params.yaml."""

from __future__ import annotations

from pydantic import Field

from tasks.strict import Strict


class Settings(Strict):
    max_pixels: int = Field(
        ge=1, le=2**28, description="Width x height above which an image is quarantined, and refused by the server."
    )
