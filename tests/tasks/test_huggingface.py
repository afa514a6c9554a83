"""The exported folder: the answers of the bundle from a calibrated graph, its labels and limits for Hugging Face."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from transformers import AutoConfig, AutoTokenizer

from tasks import huggingface
from tasks.errors import InputError
from tasks.problems.classification.answer import probabilities
from tasks.runtime import Runtime
from tests.bundles import flip_byte, tiny_bundle, tiny_image_bundle

TEXTS = ["good", "bad bad other", "good " + "a " * 90]  # the last is over the limit of 64 tokens


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "bert", "num_hidden_layers": 2, "architectures": ["BertModel"]}))
    return path


def test_the_folder_answers_as_the_bundle_does(tmp_path: Path, config: Path) -> None:
    bundle, folder = tiny_bundle(tmp_path / "bundle", temperature=2.5), tmp_path / "exported"
    manifest = huggingface.write(bundle, config, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(TEXTS, truncation=True, padding=True, return_tensors="np")
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    (logits,) = session.run(["logits"], {name: batch[name].astype(np.int64) for name in tokenizer.model_input_names})
    names = AutoConfig.from_pretrained(folder).id2label
    expected = [Runtime.load(bundle, 1).predict([text]).answers[0] for text in TEXTS]
    assert [names[k] for k in logits.argmax(1)] == [answer.prediction for answer in expected]
    found = probabilities(logits).max(1)
    np.testing.assert_allclose(found, [answer.probability for answer in expected], atol=1e-6)
    assert manifest.version == Runtime.load(bundle, 1).version


def test_its_card_begins_with_the_licence_of_the_base(tmp_path: Path, config: Path) -> None:
    huggingface.write(tiny_bundle(tmp_path / "bundle"), config, tmp_path / "exported")
    card = (tmp_path / "exported/README.md").read_text()
    assert card.startswith("---\nlibrary_name: optimum\npipeline_tag: text-classification\nlicense: mit\n---\n")
    assert card.endswith("# A tiny bundle\n")


def test_the_same_bundle_gives_the_same_bytes(tmp_path: Path, config: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    for name in ("one", "two"):
        huggingface.write(bundle, config, tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_what_cannot_be_exported_is_refused(tmp_path: Path, config: Path) -> None:
    with pytest.raises(InputError, match="answers files: only text classifiers"):
        huggingface.write(tiny_image_bundle(tmp_path / "images"), config, tmp_path / "exported")
    bundle = tiny_bundle(tmp_path / "bundle")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    for target in (tmp_path / "full", tmp_path / "full/file"):
        with pytest.raises(InputError, match="is there and not empty: name a new folder"):
            huggingface.write(bundle, config, target)
    flip_byte(bundle / "card.md", 0)
    with pytest.raises(InputError, match=r"sha256 of 'card\.md'"):
        huggingface.write(bundle, config, tmp_path / "exported")
    assert not (tmp_path / "exported").exists()
