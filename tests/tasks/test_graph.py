"""A graph is loaded as it will be run, and only where it fits its encoder, its labels and its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest

from tasks.errors import InputError
from tasks.graph import session_options
from tasks.runtime import Runtime
from tests.bundles import tiny_bundle, write_manifest


def test_threads_of_a_pass_do_not_spin_while_they_wait() -> None:
    options = session_options(threads=2)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.intra_op_num_threads == 2


def test_a_graph_that_is_not_what_the_manifest_says_is_refused(tmp_path: Path) -> None:
    inputs = {name: {"type": "tensor(int64)", "shape": [None, 2]} for name in ("input_ids", "attention_mask")}
    with pytest.raises(InputError, match=r"model\.onnx has other types or shapes than manifest\.json says"):
        Runtime.load(tiny_bundle(tmp_path / "bundle", inputs=inputs), threads=1)


def test_threads_reach_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[onnxruntime.SessionOptions] = []
    session = onnxruntime.InferenceSession

    def remember(path: str, options: onnxruntime.SessionOptions, **more: Any) -> Any:
        seen.append(options)
        return session(path, options, **more)

    bundle = tiny_bundle(tmp_path / "bundle")
    monkeypatch.setattr(onnxruntime, "InferenceSession", remember)
    Runtime.load(bundle, threads=2)
    [options] = seen
    assert (options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level) == (2, 1, 3)
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    assert not options.enable_mem_pattern


def test_a_graph_that_is_none_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    (bundle / "model.onnx").write_bytes(b"no graph")
    write_manifest(bundle)
    with pytest.raises(InputError, match=r"ONNX Runtime cannot load model\.onnx"):
        Runtime.load(bundle, threads=1)


def test_a_weight_of_a_huge_declared_shape_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "bundle")
    model = onnx.load(str(bundle / "model.onnx"))
    model.graph.initializer[0].dims[0] = 2**40
    (bundle / "model.onnx").write_bytes(model.SerializeToString())
    write_manifest(bundle)
    with pytest.raises(InputError, match=r"ONNX Runtime cannot load model\.onnx"):
        Runtime.load(bundle, threads=1)


def test_labels_and_logits_must_fit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 logits for 3 labels"):
        Runtime.load(tiny_bundle(tmp_path / "bundle", labels=["a", "b", "c"]), threads=1)


@pytest.mark.parametrize(("renamed", "reason"), [("attention_mask", "wants"), ("pooled", "answers")])
def test_a_graph_with_other_inputs_or_outputs_is_refused(tmp_path: Path, renamed: str, reason: str) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", rename={renamed: "else"})
    with pytest.raises(InputError, match=rf"model\.onnx {reason}.*'else'"):
        Runtime.load(bundle, threads=1)
