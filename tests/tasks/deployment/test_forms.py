"""Forms of a graph answer about as it does, and have the same bytes each time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from tasks import export, modalities
from tasks import network as networks
from tasks.artifacts import sha256_file
from tasks.deployment.forms import FLOAT32, FORMS, make
from tasks.graph import schema, session_options
from tasks.sections import Form
from tests.factories import params
from tests.projects import write_text_model

TEXTS = ["the apple", "one old pear and a plum", "iron", "some new copper this robin"]
# Largest logit difference from float32; the logits of the random model are up to 1.6.
CLOSE = {"optimised": 1e-5, "float16": 5e-3}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """A folder with the float32 graph of a random BERT of two blocks, and a batch of its inputs."""
    folder = tmp_path_factory.mktemp("forms")
    write_text_model(folder / "model")
    encoder = modalities.part("text", "encode").from_model(folder / "model", params().examples)
    backbone = modalities.part("text", "backbone").load(folder / "model", 2, "mean")
    network = networks.Network(backbone, torch.nn.Linear(backbone.width, 3)).eval()
    encoded = encoder.encode(TEXTS)
    (folder / "graphs").mkdir()
    export.export(network, encoder, export.sample(encoded), folder / "graphs" / f"{FLOAT32}.onnx", 20)
    return folder / "graphs", encoder.collate(encoded)


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), session_options(1))


@pytest.mark.parametrize("name", FORMS)
def test_a_form_answers_about_as_float32_does(name: str, exported: tuple[Path, dict[str, np.ndarray]]) -> None:
    folder, batch = exported
    whole, form = session(folder / f"{FLOAT32}.onnx"), session(make(name, folder, [batch]))
    expected, found = (one.run(["logits", "pooled"], batch) for one in (whole, form))
    assert np.abs(found[0] - expected[0]).max() < CLOSE.get(name, 0.1)
    assert {array.dtype for array in found} == {np.dtype(np.float32)}
    for nodes in ("get_inputs", "get_outputs"):
        assert schema(getattr(form, nodes)()).keys() == schema(getattr(whole, nodes)()).keys()


@pytest.mark.parametrize("name", FORMS)
def test_a_form_has_the_same_bytes_again_and_names_no_path(
    name: str, exported: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    folder, batch = exported
    (tmp_path / f"{FLOAT32}.onnx").write_bytes((folder / f"{FLOAT32}.onnx").read_bytes())
    again = make(name, tmp_path, [batch])
    assert sha256_file(again) == sha256_file(make(name, folder, [batch]))
    assert [word for word in (b"site-packages", b".py", str(folder).encode()) if word in again.read_bytes()] == []
    assert not list(tmp_path.glob("*.part"))


def test_attention_is_one_operator_where_the_graph_is_fused(exported: tuple[Path, dict[str, np.ndarray]]) -> None:
    made = onnx.load(str(make("optimised", exported[0], [exported[1]])))
    kinds = Counter(node.op_type for node in made.graph.node)
    assert kinds["Attention"] == 2 and kinds["Softmax"] == 0


def test_static_scales_make_an_answer_the_same_beside_any_other(exported: tuple[Path, dict[str, np.ndarray]]) -> None:
    folder, batch = exported
    form = session(make("int8_static", folder, [batch]))
    alone = {name: values[2:3] for name, values in batch.items()}
    np.testing.assert_allclose(form.run(["logits"], alone)[0][0], form.run(["logits"], batch)[0][2], atol=1e-6)


def test_the_params_know_every_form() -> None:
    assert set(get_args(Form)) == set(FORMS)
