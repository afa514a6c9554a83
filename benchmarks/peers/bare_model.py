"""Tokenising and a forward pass of a bundle, with nothing of Graft: the ceiling, and what the peers serve.

Each peer has an environment of its own, so this imports numpy, tokenizers and onnxruntime alone.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


class Model:
    """The graph of a bundle of texts, on all CPUs."""

    def __init__(self, bundle: Path) -> None:
        settings = json.loads((bundle / "encoder/encoder.json").read_text())
        self.labels = json.loads((bundle / "manifest.json").read_text())["labels"]
        self.tokenizer = Tokenizer.from_file(str(bundle / "encoder/tokenizer.json"))
        self.tokenizer.enable_truncation(settings["max_tokens"])
        self.tokenizer.enable_padding(pad_id=settings["pad_id"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        self.session = onnxruntime.InferenceSession(str(bundle / "model.onnx"), options)

    def answers(self, texts: list[str]) -> list[dict[str, object]]:
        """Most probable label of each text, and its probability."""
        encodings = self.tokenizer.encode_batch(texts)
        arrays = {
            "input_ids": np.array([one.ids for one in encodings], dtype=np.int64),
            "attention_mask": np.array([one.attention_mask for one in encodings], dtype=np.int64),
        }
        (logits,) = self.session.run(["logits"], arrays)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        best = shares.argmax(axis=1)
        return [{"prediction": self.labels[k], "probability": float(shares[i, k])} for i, k in enumerate(best)]
