"""A real bundle, small enough to work out its answers by hand.

Two features and two labels: every "good" in a text is (1, 0), every "bad" (0, 1), any other word (0, 0). The
pooled feature is the mean over the words, the logits are 4 times that, so "good" answers (4, 0): label good
with probability 1 / (1 + exp(-4)).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from tasks import drift
from tasks.artifacts import canonical_json, sha256_folder
from tasks.graph import schema
from tasks.rows.split import keys_of

WORDS = {"[PAD]": 0, "[UNK]": 1, "good": 2, "bad": 3}
# The row of [PAD] would change every padded answer if the mask were ignored.
EMBEDDING = np.array([[9, -9], [0, 0], [1, 0], [0, 1]], dtype=np.float32)
HEAD = np.array([[4, 0], [0, 4]], dtype=np.float32)
LABELS = ["good", "bad"]
INPUTS = ("input_ids", "attention_mask")
# As many answers "good" as "bad"; what is logged of a feature is the feature itself.
REFERENCE = drift.Reference(
    projection=np.eye(2, dtype=np.float32),
    offset=np.zeros(2, dtype=np.float32),
    rows=drift.Rows(
        np.tile(np.eye(2, dtype=np.float32), (10, 1)), np.tile([0, 1], 10), np.full(20, 0.982, dtype=np.float32)
    ),
    labels=2,
    window_rows=10,
    limits=np.array([0.2, 0.45, 0.5]),
)


def tiny_bundle(
    folder: Path,
    head: np.ndarray = HEAD,
    rename: Mapping[str, str] = MappingProxyType({}),
    judged: Sequence[str] = (),
    learned: Sequence[str] = (),
    **manifest: Any,
) -> Path:
    """Write a bundle and return its folder.

    Args:
        folder: must not exist.
        head: weights (F, K), F = 2.
        rename: inputs and outputs of the graph that get another name.
        judged: ids of the rows that it was judged on.
        learned: ids of the rows that it learned from.
        manifest: fields of manifest.json that get another value.
    """
    (folder / "encoder").mkdir(parents=True)
    tokenizer = Tokenizer(WordLevel(WORDS, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "encoder/tokenizer.json"))
    (folder / "encoder/encoder.json").write_text(json.dumps({"max_tokens": 64, "max_characters": 200, "pad_id": 0}))
    (folder / "model.onnx").write_bytes(_model(head, rename))
    REFERENCE.save(folder / "drift.npz")
    (folder / "card.md").write_text("# A tiny bundle\n")
    if judged:
        (folder / "judged.json").write_text(canonical_json(sorted(judged)))
    if learned:
        np.save(folder / "learned.npy", np.sort(keys_of(learned)[:, 0]))
    write_manifest(folder, **manifest)
    return folder


def with_known_answer(folder: Path, manifest: Mapping[str, Any] = MappingProxyType({}), **changes: Any) -> Path:
    """Let a tiny bundle say what it answers to "good bad good", worked out by hand, but for what is changed."""
    answer = {"example": "good bad good", "logits": [8 / 3, 4 / 3], "exact": True, "tolerance": 1e-4}
    (folder / "known_answer.json").write_text(json.dumps(answer | changes))
    write_manifest(folder, **manifest)
    return folder


def tiny_image_bundle(folder: Path, max_pixels: int = 10_000) -> Path:
    """Write a bundle for images and return its folder: the pooled feature is the mean of each channel in [0, 1], and
    what is on average brighter than 0.5 is "bright", else "dark".
    """
    (folder / "encoder").mkdir(parents=True)
    recipe = {"resize": {"height": 4, "width": 4}, "resample": 2, "crop": None}
    affine = {"scale": [1 / 255] * 3, "shift": [0.0] * 3}
    (folder / "encoder/encoder.json").write_text(json.dumps(recipe | affine | {"max_pixels": max_pixels}))
    nodes = [
        helper.make_node("ReduceMean", ["pixel_values", "sides"], ["pooled"], keepdims=0),
        helper.make_node("MatMul", ["pooled", "head"], ["brightness"]),
        helper.make_node("Add", ["brightness", "bias"], ["logits"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([2, 3], dtype=np.int64), "sides"),
        numpy_helper.from_array(np.array([[-2, 2]] * 3, dtype=np.float32), "head"),
        numpy_helper.from_array(np.array([3, -3], dtype=np.float32), "bias"),
    ]
    inputs = [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["n", 3, 4, 4])]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", k]) for name, k in (("logits", 2), ("pooled", 3))
    ]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    write_manifest(folder, modality="image", labels=["dark", "bright"])
    return folder


def write_manifest(folder: Path, **changes: Any) -> None:
    """(Re)write manifest.json for the files as they are now."""
    (folder / "manifest.json").unlink(missing_ok=True)
    manifest = {
        "format": 4,
        "project": "tiny",
        "modality": "text",
        "problem": "classification",
        "labels": LABELS,
        "artefact": "onnx",
        "model": "model.onnx",
        "temperature": 1.0,
        "licence": "mit",
        "files": sha256_folder(folder),
        "made_from": {},
    }
    manifest |= _schemas(folder / "model.onnx")
    (folder / "manifest.json").write_text(canonical_json(manifest | changes))


def _schemas(graph: Path) -> dict[str, Any]:
    """Inputs and outputs of a graph; none of a file that is no graph."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(graph.read_bytes(), options)
    except Exception:
        return {"inputs": {}, "outputs": {}}
    return {"inputs": schema(session.get_inputs()), "outputs": schema(session.get_outputs())}


def flip_byte(path: Path, place: int) -> None:
    """Change one bit of the byte at `place`; done twice, the file is as before."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def _model(head: np.ndarray, rename: Mapping[str, str]) -> bytes:
    def array(name: str, values: Any, kind: type) -> onnx.TensorProto:
        return numpy_helper.from_array(np.asarray(values, dtype=kind), name)

    nodes = [
        helper.make_node("Gather", ["embedding", "input_ids"], ["words"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["weights"]),
        helper.make_node("Mul", ["words", "weights"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "tokens"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["mask", "tokens"], ["count"], keepdims=1),
        helper.make_node("Div", ["sum", "count"], ["pooled"]),
        helper.make_node("MatMul", ["pooled", "head"], ["logits"]),
    ]
    constants = [
        array("embedding", EMBEDDING, np.float32),
        array("head", head, np.float32),
        array("last", [2], np.int64),
        array("tokens", [1], np.int64),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "t"]) for name in INPUTS]
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", head.shape[1]]),
        helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["n", EMBEDDING.shape[1]]),
    ]
    for part in (*nodes, *inputs, *outputs):
        _rename(part, rename)
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _rename(part: Any, rename: Mapping[str, str]) -> None:
    if isinstance(part, onnx.ValueInfoProto):
        part.name = rename.get(part.name, part.name)
        return
    for names in (part.input, part.output):
        names[:] = [rename.get(name, name) for name in names]
