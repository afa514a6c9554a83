"""A bundle's graph in ONNX Runtime: how it is loaded and run, and whether it fits what is around it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.manifest import MANIFEST, Manifest, fault
from tasks.modalities.contract import Encoder

if TYPE_CHECKING:
    import onnxruntime as ort

OUTPUTS = ("logits", "pooled")


def session_options(threads: int) -> ort.SessionOptions:
    """How every graph is run."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    # Plans are kept per input shape; with texts of every length they cost 100 MB and gain nothing.
    options.enable_mem_pattern = False
    # Threads that spin while they wait for each other take a CPU from whoever else has something to do.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def session(folder: Path, manifest: Manifest, threads: int) -> ort.InferenceSession:
    """The graph of a bundle, loaded.

    Raises:
        InputError: ONNX Runtime refuses it.
    """
    import onnxruntime as ort

    path, options = str(folder / manifest.model), session_options(threads)
    try:
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no other base
        raise fault(folder, f"ONNX Runtime cannot load {manifest.model} ({type(error).__name__})") from None


def schema(nodes: Iterable[Any]) -> dict[str, Any]:
    """Name -> type and shape of a session's inputs or outputs, as a manifest has them."""
    return {
        node.name: {"type": node.type, "shape": [size if isinstance(size, int) else None for size in node.shape]}
        for node in nodes
    }


def check_graph(folder: Path, manifest: Manifest, encoder: Encoder, session: ort.InferenceSession) -> None:
    """Whether a loaded graph fits its encoder and its labels, and is what its manifest says.

    Raises:
        InputError: it does not.
    """
    inputs = {node.name for node in session.get_inputs()}
    if inputs != set(encoder.inputs):
        raise fault(folder, f"{manifest.model} wants {sorted(inputs)}, its encoder makes {sorted(encoder.inputs)}")
    outputs = {node.name: node.shape for node in session.get_outputs()}
    if not set(OUTPUTS) <= set(outputs):
        raise fault(folder, f"{manifest.model} answers {sorted(outputs)} and not {sorted(OUTPUTS)}")
    columns, count = outputs["logits"][-1], len(manifest.labels)
    if isinstance(columns, int) and columns != count:
        raise fault(folder, f"{manifest.model} has {columns} logits for {count} labels")
    if (schema(session.get_inputs()), schema(session.get_outputs())) != (manifest.inputs, manifest.outputs):
        raise fault(folder, f"{manifest.model} has other types or shapes than {MANIFEST} says")
