"""The section `preparation.text` of params.yaml."""

from __future__ import annotations

from pydantic import Field

from tasks.strict import Strict

# Rows of the backbone's table, which needs torch.
POOLS = ("mean", "first", "last")
# Pool -> one that it loses to once blocks learn, whatever a probe of them frozen says (benchmarks/RESULTS.md, "Depth
# and pool for the scope full").
BEATEN_POOLS = {"first": "mean"}
# Few rows: pairs beat a solved head on the frozen features (benchmarks/RESULTS.md, "Which strategy").
PAIRS = True
# Rows a label from which a drawn head, which has everything to learn, moves the blocks further than a solved one, which
# fits the training rows before they move (benchmarks/RESULTS.md, "Which head steps start from").
DRAWN_HEAD_FROM = 90.0


class Settings(Strict):
    max_characters: int = Field(ge=1, description="Longer texts are quarantined, and refused by the server.")
    max_tokens: int = Field(ge=4, le=8192, description="Longer texts are truncated, and counted.")


class Augmentation(Strict):
    """The section `adaptation.augmentation.text`; each leaf a row of `augment.FUNCTIONS`."""

    word_dropout: float = Field(ge=0, le=0.5, description="Share of words that an epoch leaves out of a text.")
    word_swap: float = Field(ge=0, le=0.5, description="Share of words that change places with the next one.")
