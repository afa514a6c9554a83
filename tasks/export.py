"""PyTorch network -> ONNX with dynamic batch, and length where it differs; pooled features beside logits; no paths."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from tasks.modalities.contract import Arrays, Encoder
from tasks.network import Network, tensors

OUTPUTS = ["logits", "pooled"]


class _Positional(nn.Module):
    """The network with its inputs spread out by name: exporters name graph inputs after arguments."""

    def __init__(self, network: Network, names: tuple[str, ...]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.network(dict(zip(self.names, values, strict=True)))  # type: ignore[no-any-return]


def export(network: Network, encoder: Encoder, examples: list[Arrays], path: Path, opset: int) -> None:
    """Write `path`.

    Args:
        network: in evaluation mode.
        encoder: names the inputs and makes the sample batch.
        examples: at least two encoded rows of different length, as the sample batch.
        path: where the graph goes, weights inside.
        opset: ONNX operator set.
    """
    batch = tensors(encoder, examples)
    names = encoder.inputs
    rows = torch.export.Dim("rows", min=1, max=65_536)
    # Where examples are of one shape, an axis that may vary would only stand in the exporter's way.
    others = torch.export.Dim.AUTO if encoder.ragged else torch.export.Dim.STATIC
    shapes = tuple({axis: rows if axis == 0 else others for axis in range(batch[name].ndim)} for name in names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.onnx warns inside itself, 2026-11
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            _Positional(network, names).eval(),
            tuple(batch[name] for name in names),
            dynamo=True,
            dynamic_shapes=(shapes,),
            input_names=list(names),
            output_names=OUTPUTS,
            opset_version=opset,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    strip(model)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def strip(model: onnx.ModelProto) -> None:
    """Drop stack traces, file paths and producer notes: two machines must make the same bytes."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer]:
        value.doc_string = ""
        del value.metadata_props[:]
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    model.doc_string = model.graph.doc_string = ""
    for function in model.functions:
        del function.metadata_props[:]
        function.doc_string = ""
        for node in function.node:
            del node.metadata_props[:]
            node.doc_string = ""


def sample(encoded: list[Arrays]) -> list[Arrays]:
    """Two rows of different length where there are such, shortest and longest."""
    order = sorted(range(len(encoded)), key=lambda i: (max(np.size(a) for a in encoded[i].values()), i))
    return [encoded[order[0]], encoded[order[-1]]]
