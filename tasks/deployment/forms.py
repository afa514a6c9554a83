"""Forms of a float32 graph that may answer faster: fused, quantised, of half precision."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx

from tasks.export import strip

Batch = dict[str, np.ndarray]
FLOAT32 = "onnx"  # the graph as exported: the way back
# What a quantised graph multiplies by weights: products of two activations stay in float32.
WEIGHED = ["MatMul", "Gemm"]
# Forms that find the range of a batch's numbers as it comes, so that a row's answer depends on what shares the batch.
BY_BATCH = ("int8", "int8_per_tensor")


class Form(NamedTuple):
    """How a form is made.

    Attributes:
        of: the form that it is made of.
        write: (source, target, batches); raises whatever its library raises.
    """

    of: str
    write: Callable[[Path, Path, Sequence[Batch]], None]


def make(name: str, folder: Path, batches: Sequence[Batch]) -> Path:
    """`<name>.onnx` in a folder that has the float32 graph, and of the same graph always the same bytes.

    Args:
        name: `FLOAT32` or a row of `FORMS`; what it is made of is made first.
        folder: where all forms lie.
        batches: inputs of the graph, which static quantisation reads the ranges of activations off.

    Raises:
        Exception: whatever the library raises that cannot make it.
    """
    path = folder / f"{name}.onnx"
    if path.is_file():
        return path
    logging.getLogger().setLevel(logging.ERROR)  # the quantiser advises on the root logger
    part = path.with_suffix(".part")
    FORMS[name].write(make(FORMS[name].of, folder, batches), part, batches)
    made = onnx.load(str(part))
    part.unlink()
    strip(made)
    path.write_bytes(made.SerializeToString(deterministic=True))
    return path


def _optimised(source: Path, target: Path, _: Sequence[Batch]) -> None:
    """Attention, layer norms with their sums and GELU with its bias, each as one operator of ONNX Runtime's."""
    import onnxscript.ir as ir
    from onnxscript.rewriter.ort_fusions import optimize_for_ort

    made = optimize_for_ort(ir.load(source))
    ir.save(made[0] if isinstance(made, tuple) else made, target)


def _int8(source: Path, target: Path, _: Sequence[Batch]) -> None:
    """Weights in int8, a scale a column; activations quantised as they come, with a scale a batch.

    Convolutions stay in float32: with ranges found per image, a MobileNet of 84 % accuracy answered 14 % right.
    """
    _dynamic(source, target, per_channel=True)


def _int8_per_tensor(source: Path, target: Path, _: Sequence[Batch]) -> None:
    """As `int8`, with one scale a matrix."""
    _dynamic(source, target, per_channel=False)


def _dynamic(source: Path, target: Path, per_channel: bool) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.registry import IntegerOpsRegistry

    kinds = sorted(set(IntegerOpsRegistry) - {"Conv"})
    quantize_dynamic(
        _without_shapes(source),
        str(target),
        op_types_to_quantize=kinds,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
    )


def _int8_static(source: Path, target: Path, batches: Sequence[Batch]) -> None:
    """Weights of the fused graph in int8, a scale a column, and fixed scales of activations, so that an answer does not
    depend on what shares its batch. Attention, whose inputs have outliers, stays in float32."""
    _static(source, target, batches, per_channel=True)


def _int8_static_per_tensor(source: Path, target: Path, batches: Sequence[Batch]) -> None:
    """As `int8_static`, with one scale a matrix."""
    _static(source, target, batches, per_channel=False)


def _static(source: Path, target: Path, batches: Sequence[Batch], per_channel: bool) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches: Iterator[Batch] = iter(batches)

        def get_next(self) -> Batch | None:
            return next(self._batches, None)

    quantize_static(
        _without_shapes(source),
        str(target),
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=WEIGHED,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
        extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
    )


def _float16(source: Path, target: Path, _: Sequence[Batch]) -> None:
    """Weights and sums in half precision, inputs and outputs as before: for GPUs, a CPU casts to float32 and back."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(_without_shapes(source), keep_io_types=True), str(target))


def _without_shapes(path: Path) -> Any:
    """The exporter's shapes are stale once a graph is changed, and the quantiser refuses them."""
    model = onnx.load(str(path))
    del model.graph.value_info[:]
    return model


FORMS: dict[str, Form] = {
    "optimised": Form(FLOAT32, _optimised),
    "int8": Form(FLOAT32, _int8),
    "int8_per_tensor": Form(FLOAT32, _int8_per_tensor),
    "int8_static": Form("optimised", _int8_static),
    "int8_static_per_tensor": Form("optimised", _int8_static_per_tensor),
    "float16": Form(FLOAT32, _float16),
}
