"""Text -> token ids, by `tokenizers` alone: what preparation stores and what the server feeds are one code."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Tokenizer

from tasks.artifacts import write_json
from tasks.errors import InputError
from tasks.modalities.contract import Arrays

if TYPE_CHECKING:
    from tasks.modalities.text.settings import Settings

TOKENIZER = "tokenizer.json"
SETTINGS = "encoder.json"
MOST = 2**31  # tokens, characters or ids


class TextEncoder:
    """Encoder of the contract for text.

    Args:
        tokenizer: a fast tokenizer; its own padding and truncation are replaced.
        max_tokens: limit on tokens per text, special tokens included.
        max_characters: longer texts are refused.
        pad_id: id written into padded places, which the attention mask hides.
    """

    inputs = ("input_ids", "attention_mask")
    unit = "tokens"
    ragged = True

    def __init__(self, tokenizer: Tokenizer, max_tokens: int, max_characters: int, pad_id: int) -> None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_tokens)
        self._tokenizer, self.max_tokens, self.pad_id = tokenizer, max_tokens, pad_id
        self.max_characters = max_characters

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1, "maxLength": self.max_characters, "pattern": r"\S"}

    def fault(self, example: object) -> str | None:
        if not isinstance(example, str):
            return "is not a string: send text"
        if not example.strip():
            return "is empty: send at least one character that is not white space"
        if len(example) > self.max_characters:
            return f"has {len(example)} characters, over the limit of {self.max_characters}: shorten it"
        try:
            example.encode("utf-8")
        except UnicodeEncodeError:
            return "holds half of a surrogate pair: send valid Unicode"
        return None

    def encode(self, examples: Sequence[str]) -> list[Arrays]:
        encodings = self._tokenizer.encode_batch_fast(list(examples))
        return [{"input_ids": np.asarray(encoding.ids, dtype=np.int32)} for encoding in encodings]

    def collate(self, encoded: Sequence[Arrays]) -> Arrays:
        lengths = [len(row["input_ids"]) for row in encoded]
        ids = np.full((len(encoded), max(lengths)), self.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        for i, (row, length) in enumerate(zip(encoded, lengths, strict=True)):
            ids[i, :length] = row["input_ids"]
            mask[i, :length] = 1
        return {"input_ids": ids, "attention_mask": mask}

    def positions(self, row: Arrays) -> int:
        return len(row["input_ids"])

    def truncated(self, examples: Iterable[str]) -> int:
        encodings = self._tokenizer.encode_batch(list(examples))
        return sum(bool(encoding.overflowing) for encoding in encodings)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._tokenizer.save(str(folder / TOKENIZER))
        limits = {"max_tokens": self.max_tokens, "max_characters": self.max_characters}
        write_json(folder / SETTINGS, limits | {"pad_id": self.pad_id})


def from_model(folder: Path, settings: Settings) -> TextEncoder:
    """Encoder of a model folder; the model's own limit on positions bounds `max_tokens`.

    Raises:
        InputError: the folder has no tokenizer.json, or one that cannot be read.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    positions = config.get("max_position_embeddings") or config.get("n_positions")  # as GPT-2 has it
    # RoBERTa and its kin start counting positions after the padding id.
    offset = (config.get("pad_token_id") or 0) + 1 if config.get("model_type") in OFFSET_POSITIONS else 0
    limit = min(settings.max_tokens, positions - offset) if positions else settings.max_tokens
    return TextEncoder(_tokenizer(folder), limit, settings.max_characters, int(config.get("pad_token_id") or 0))


OFFSET_POSITIONS = ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer", "esm")


def from_bundle(folder: Path) -> TextEncoder:
    """Encoder that `save` wrote.

    Raises:
        ValueError: a limit that cannot be meant.
    """
    saved = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    if not all(type(number) is int and 0 <= number < MOST for number in saved.values()):
        raise ValueError(f"a number in {SETTINGS} cannot be meant")
    return TextEncoder(_tokenizer(folder), saved["max_tokens"], saved["max_characters"], saved["pad_id"])


def _tokenizer(folder: Path) -> Tokenizer:
    path = folder / TOKENIZER
    if not path.is_file():
        raise InputError(
            f"The model folder {folder.name} holds no {TOKENIZER}: save its fast tokenizer there "
            "with AutoTokenizer.from_pretrained(...).save_pretrained(...)."
        )
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception on a file it cannot parse
        raise InputError(f"{TOKENIZER} of {folder.name} cannot be read ({error}): restore the file.") from None
