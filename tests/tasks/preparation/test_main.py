"""Edge of the preparation: a model that cannot answer is refused before a row is read."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from tasks.errors import InputError
from tasks.modalities.contract import Arrays
from tasks.preparation.__main__ import _warm_pass


class Encoder:
    def encode(self, examples: Sequence[str]) -> list[Arrays]:
        return [{"input_ids": np.arange(len(example.split()))} for example in examples]

    def collate(self, encoded: Sequence[Arrays]) -> Arrays:
        return {"input_ids": np.stack([row["input_ids"] for row in encoded])}


class Backbone:
    """Answers every row with two numbers, the second of which is given."""

    def __init__(self, number: float) -> None:
        self.number = number

    def pooled(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.tensor([[1.0, self.number]] * len(inputs["input_ids"]))


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_model_that_answers_with_no_number_is_refused(number: float) -> None:
    with pytest.raises(InputError) as found:
        _warm_pass(Backbone(number), Encoder(), "some words")
    (sentence,) = found.value.sentences
    assert "not finite" in sentence and sentence.endswith("restore them.")


def test_a_model_that_answers_with_numbers_passes() -> None:
    _warm_pass(Backbone(-1e30), Encoder(), "some words")
