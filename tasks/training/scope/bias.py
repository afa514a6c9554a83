"""Bias: only biases and norms learn (Ben Zaken et al. 2022, BitFit)."""

from __future__ import annotations

import re
from typing import Any

from tasks.errors import InputError
from tasks.training.scope import Scope
from tasks.training.settings import Scope as Settings

# As families name them: output.LayerNorm, input_layernorm, ln_1, normalization, attn_norm; ConvNeXt's between
# stages is downsampling_layer.0.
VECTOR = re.compile(r"(^|\.)bias$|(norm[^.]*|ln_[^.]*|normalization|downsampling_layer\.0)\.weight$", re.IGNORECASE)
# So few weights want a higher rate than all of them: the paper's are 1e-4 to 1e-3, ten times those of full fine-tuning.
FASTER = 10.0


def scope(settings: Settings, depth: int) -> Scope:
    """Biases, and the weights of norms, which some families have instead, learn in all blocks and outside of them."""
    return Scope(lambda name, block, progress: FASTER if VECTOR.search(name) else 0.0, _refuse_without)


def _refuse_without(backbone: Any) -> None:
    if not any(VECTOR.search(name) for name, _ in backbone.named_parameters()):
        raise InputError(
            f"{type(backbone).__name__} has neither biases nor norms that could learn: set adaptation.scope.kind to "
            "top, gradual, lora or full."
        )
