"""Text: one encoder for training and serving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.errors import InputError
from tasks.modalities.text import backbone as backbones
from tasks.modalities.text import encode
from tasks.modalities.text.settings import Settings
from tests.text_models import POSITIONS, TEXTS, tokenizer


def test_encoding_pads_and_masks(folder: Path) -> None:
    encoder = encode.from_model(folder, Settings(max_tokens=16, max_characters=1000))
    encoded = encoder.encode(["a b", "zzz", ""])
    assert [row["input_ids"].tolist() for row in encoded] == [[2, 4, 5, 3], [2, 0, 3], [2, 3]]
    batch = encoder.collate(encoded)
    assert set(batch) == set(encoder.inputs)
    assert batch["input_ids"].tolist() == [[2, 4, 5, 3], [2, 0, 3, 1], [2, 3, 1, 1]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]]
    assert batch["input_ids"].dtype == batch["attention_mask"].dtype == np.int64


def test_truncation_is_counted(folder: Path) -> None:
    encoder = encode.from_model(folder, Settings(max_tokens=5, max_characters=1000))
    texts = ["a b c", "a b c d", "a b c d e f g"]
    assert [len(row["input_ids"]) for row in encoder.encode(texts)] == [5, 5, 5]
    assert encoder.truncated(texts) == 2
    assert encoder.encode(["a b c d"])[0]["input_ids"].tolist() == [2, 4, 5, 6, 3]


@pytest.mark.parametrize(
    ("family", "limit"),
    [
        ("BertModel", POSITIONS),
        ("RobertaModel", POSITIONS - 2),
        ("MPNetModel", POSITIONS - 2),
        ("GPT2Model", POSITIONS),
        ("LlamaModel", POSITIONS),
    ],
)
def test_positions_of_the_model_bound_the_length(models: Path, family: str, limit: int) -> None:
    encoder = encode.from_model(models / family, Settings(max_tokens=8192, max_characters=1000))
    assert encoder.max_tokens == limit
    batch = encoder.collate(encoder.encode(["a " * 100]))
    assert batch["input_ids"].shape == (1, limit)
    with torch.inference_mode():
        backbones.load(models / family).pooled({name: torch.from_numpy(values) for name, values in batch.items()})


def test_bundle_encodes_like_the_model(folder: Path, tmp_path: Path) -> None:
    first = encode.from_model(folder, Settings(max_tokens=6, max_characters=1000))
    first.save(tmp_path / "encoder")
    second = encode.from_bundle(tmp_path / "encoder")
    for a, b in zip(first.encode(TEXTS), second.encode(TEXTS), strict=True):
        np.testing.assert_array_equal(a["input_ids"], b["input_ids"])
    assert (second.max_tokens, second.pad_id) == (6, 1)


def test_padding_and_truncation_of_the_tokenizer_file_are_replaced(folder: Path) -> None:
    own = tokenizer()
    own.enable_padding(length=64)
    own.enable_truncation(3)
    own.save(str(folder / "tokenizer.json"))
    encoder = encode.from_model(folder, Settings(max_tokens=16, max_characters=1000))
    assert len(encoder.encode(["a b c d"])[0]["input_ids"]) == 6


def test_missing_and_broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        encode.from_model(folder, Settings(max_tokens=16, max_characters=1000))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"holds no tokenizer\.json"):
        encode.from_model(folder, Settings(max_tokens=16, max_characters=1000))
