"""A bundle of a text classifier as a Hugging Face folder: for Optimum's ORTModel, and with it for `pipeline`.

No stock architecture of transformers puts a linear head on the pooled feature of a body that is cut by depth, so the
folder has the graph and no safetensors: `pipeline` needs Optimum to run it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from tokenizers import Tokenizer

from tasks.artifacts import new_folder, read_json, write_json, write_text
from tasks.errors import InputError
from tasks.manifest import Manifest, check_bundle

TASK = "text-classification"
UNCALIBRATED = "uncalibrated_logits"


def write(bundle: Path, config: Path, target: Path) -> Manifest:
    """Fill a new folder; it never replaces one that has something in it.

    Args:
        bundle: checked before anything of it is used.
        config: config.json of the body, which Optimum asks for its family.
        target: absent or empty.

    Raises:
        InputError: what `check_bundle` refuses, a bundle that answers files, a target with something in it.
    """
    manifest = check_bundle(bundle)
    tokenizer = bundle / "encoder/tokenizer.json"
    if not tokenizer.is_file():
        raise InputError(
            f"Bundle {manifest.version} answers files: only text classifiers are exported to Hugging Face."
        )
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise InputError(f"{target} is there and not empty: name a new folder.")
    with new_folder(target.resolve()) as folder:
        calibrated(bundle / manifest.model, folder / "model.onnx", manifest.temperature)
        write_json(folder / "config.json", _config(read_json(config), manifest))
        shutil.copyfile(tokenizer, folder / "tokenizer.json")
        write_json(folder / "tokenizer_config.json", _tokenizer_config(bundle / "encoder"))
        write_text(folder / "README.md", _readme(manifest, bundle / "card.md"))
    return manifest


def calibrated(source: Path, target: Path, temperature: float) -> None:
    """The graph with its logits divided by the temperature, which whoever runs it elsewhere would not know of."""
    model = onnx.load(str(source))
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [UNCALIBRATED if name == "logits" else name for name in names]
    divisor = numpy_helper.from_array(np.asarray(temperature, dtype=np.float32), "temperature")
    model.graph.initializer.append(divisor)
    model.graph.node.append(helper.make_node("Div", [UNCALIBRATED, "temperature"], ["logits"]))
    onnx.checker.check_model(model)
    target.write_bytes(model.SerializeToString(deterministic=True))


def _config(body: dict[str, Any], manifest: Manifest) -> dict[str, Any]:
    names = {str(k): label for k, label in enumerate(manifest.labels)}
    ids = {label: k for k, label in enumerate(manifest.labels)}
    return body | {
        "architectures": None,  # what stands there has no such head
        "id2label": names,
        "label2id": ids,
        "problem_type": "single_label_classification",
    }


def _tokenizer_config(encoder: Path) -> dict[str, Any]:
    limits = json.loads((encoder / "encoder.json").read_text(encoding="utf-8"))
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": limits["max_tokens"],
        "padding_side": "right",
        "pad_token": Tokenizer.from_file(str(encoder / "tokenizer.json")).id_to_token(limits["pad_id"]),
    }


def _readme(manifest: Manifest, card: Path) -> str:
    front = {"library_name": "optimum", "pipeline_tag": TASK}
    front |= {"license": manifest.licence} if manifest.licence else {}
    lines = ["---", *(f"{name}: {value}" for name, value in front.items()), "---", ""]
    lines += [
        "```python",
        "from optimum.onnxruntime import ORTModelForSequenceClassification",
        "from transformers import AutoTokenizer, pipeline",
        "",
        'model = ORTModelForSequenceClassification.from_pretrained(".")',
        'classify = pipeline("text-classification", model=model, tokenizer=AutoTokenizer.from_pretrained("."))',
        'classify(["a text"], truncation=True)',
        "```",
        "",
    ]
    return "\n".join(lines) + "\n" + (card.read_text(encoding="utf-8") if card.is_file() else "")
