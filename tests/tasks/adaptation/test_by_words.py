"""A head of the labels' words answers as zero-shot does, and stays that when it is saved and loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tasks import features, zero_shot
from tasks import network as networks
from tasks.adaptation import by_words
from tasks.artifacts import read_json
from tasks.modalities.text import backbone, encode
from tasks.network import Network
from tasks.problems.classification.learn import make_head
from tests.factories import params
from tests.projects import write_text_model

WORDS = ["apple pear", "iron", "the crow"]
TEXTS = ["apple", "a heron", "that iron one", "pear plum old"]
RECORD = {"modality": "text", "problem": "classification", "pool": "mean", "labels": ["a", "b", "c"]}


def test_logits_are_scaled_cosines_before_and_after_saving(tmp_path: Path) -> None:
    write_text_model(tmp_path / "model")
    body = backbone.load(tmp_path / "model", None, "mean")
    encoder = encode.from_model(tmp_path / "model", params().examples)
    network = Network(body, make_head(body.width, len(WORDS)))
    by_words.put(network, encoder, WORDS)
    texts, words = (features.at_own_depth(body, encoder, encoder.encode(given)) for given in (TEXTS, WORDS))
    expected = zero_shot.logits(texts, words)
    found = networks.logits(network, encoder, encoder.encode(TEXTS))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(expected).max() <= zero_shot.SCALE
    networks.save(network, tmp_path / "saved", RECORD)
    again = networks.logits(networks.load(tmp_path / "saved"), encoder, encoder.encode(TEXTS))
    np.testing.assert_array_equal(again, found)


def test_a_learned_head_says_nothing_of_cosines(tmp_path: Path) -> None:
    write_text_model(tmp_path / "model")
    body = backbone.load(tmp_path / "model", None, "mean")
    networks.save(Network(body, make_head(body.width, 3)), tmp_path / "saved", RECORD)
    assert "cosine" not in read_json(tmp_path / "saved/graft.json")
    assert not networks.load(tmp_path / "saved").cosine
