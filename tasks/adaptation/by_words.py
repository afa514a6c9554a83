"""A head of the labels' words: nothing is learned, an example gets the label whose words lie nearest."""

from __future__ import annotations

import numpy as np
import torch

from tasks import features, zero_shot
from tasks.modalities.contract import Encoder
from tasks.network import Network


def put(network: Network, encoder: Encoder, words: list[str]) -> None:
    """Give the network this head: its logits are those of `zero_shot.logits`.

    Args:
        network: with K logits.
        encoder: of its backbone.
        words: K, of each label.
    """
    vectors = features.at_own_depth(network.backbone.eval(), encoder, encoder.encode(words))
    weight = zero_shot.SCALE * zero_shot.unit(vectors)
    network.head.load_state_dict(
        {"weight": torch.from_numpy(weight.astype(np.float32)), "bias": torch.zeros(len(words))}
    )
    network.cosine = True
