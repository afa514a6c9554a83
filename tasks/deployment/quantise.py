"""float32 graph -> dynamically quantised int8 graph."""

from __future__ import annotations

import logging
from pathlib import Path

import onnx

from tasks.deployment.export import strip


def quantise(source: Path, target: Path) -> None:
    """Write an int8 version of the graph `source`: weights in int8, activations quantised as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.getLogger().setLevel(logging.ERROR)  # the quantiser advises on the root logger
    model = onnx.load(str(source))
    # The exporter's shapes are stale after quantisation, and the quantiser refuses them.
    del model.graph.value_info[:]
    quantize_dynamic(model, str(target), weight_type=QuantType.QInt8, per_channel=True)
    made = onnx.load(str(target))
    strip(made)
    target.write_bytes(made.SerializeToString(deterministic=True))
