"""Every scope has a cut: its own, or that of full."""

from __future__ import annotations

import pytest

from tasks import cuts, zero_shot
from tasks.errors import InputError
from tasks.training.scope import SCOPES

LABELLED = {"scopes": {"frozen": {"depth": 1}, "full": {"depth": 2}}}
WITHOUT = {"scopes": {zero_shot.SCOPE: {"depth": 3}}}


@pytest.mark.parametrize("scope", SCOPES)
def test_a_scope_that_moves_blocks_has_the_cut_of_full(scope: str) -> None:
    assert cuts.of(LABELLED, scope)["depth"] == (1 if scope == "frozen" else 2)


def test_without_labels_only_their_words_have_a_cut() -> None:
    assert cuts.of(WITHOUT, zero_shot.SCOPE)["depth"] == 3
    with pytest.raises(InputError, match="kind is lora, but no row has a label to learn from: set it to auto"):
        cuts.of(WITHOUT, "lora")
