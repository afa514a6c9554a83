"""The section `preparation.text` of params.yaml."""

from __future__ import annotations

from pydantic import Field

from tasks.strict import Strict


class Settings(Strict):
    max_characters: int = Field(ge=1, description="Longer texts are quarantined, and refused by the server.")
    max_tokens: int = Field(ge=4, le=8192, description="Longer texts are truncated, and counted.")
