"""A whole project in miniature, per modality: a random two-block model, 180 rows, params and dvc.yaml of the repo."""

from __future__ import annotations

import csv
import json
import random
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from PIL import Image

from tasks.artifacts import sha256_file
from tasks.stage import _run_locked, read_dvc_yaml

REPO = Path(__file__).resolve().parents[1]
# Params that bound a run or judge its end, and change no result: no stage depends on them.
LIMITS = {
    "resources.cache_gb", "resources.min_free_disk_gb", "monitoring.gate", "monitoring.margin", "source.url",
    "source.query",
}  # fmt: skip
WORDS = {
    "fruit": ["apple", "pear", "plum", "cherry", "lemon"],
    "metal": ["iron", "copper", "zinc", "silver", "lead"],
    "bird": ["crow", "robin", "heron", "finch", "stork"],
}
FILLER = ["the", "a", "one", "this", "that", "some", "old", "new"]


def write_text_model(folder: Path, family: str = "Bert") -> None:
    """A random body with two blocks of width 16, and its word tokenizer."""
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[PAD]", "[UNK]", *sorted([*FILLER, *(word for words in WORDS.values() for word in words)])]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, pad_token_id=0,
    )  # fmt: skip
    getattr(transformers, f"{family}Model")(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))


def write_texts(path: Path) -> None:
    """180 distinct texts of three labels."""
    draw = random.Random(0)
    rows: dict[str, str] = {}
    while len(rows) < 180:
        label = sorted(WORDS)[len(rows) % 3]
        words = draw.choices(FILLER, k=draw.randint(2, 6)) + draw.choices(WORDS[label], k=2)
        draw.shuffle(words)
        rows.setdefault(" ".join(words), label)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(rows.items())


def write_image_model(folder: Path) -> None:
    """A random ResNet with two stages, the last of width 16, and its preprocessor: 16 x 16 pixels."""
    import torch
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ResNetModel(config).save_pretrained(folder)
    preprocessor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 16, "width": 16}}
    preprocessor |= {"image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))


def write_images(folder: Path) -> None:
    """180 distinct images of 20 x 24 noisy pixels, brightest on the left, in the middle or on the right."""
    draw = np.random.default_rng(0)
    for number in range(180):
        label = ("left", "middle", "right")[number % 3]
        levels = draw.integers(0, 120, (20, 24, 3), dtype=np.uint8)
        levels[:, number % 3 * 8 : number % 3 * 8 + 8] += 120
        path = folder / label / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels).save(path)


class Kind(NamedTuple):
    """What a project of one modality is made of; `data` as data.path, data.input_column and data.label_column."""

    write_model: Callable[[Path], None]
    write_data: Callable[[Path], None]
    data: tuple[str, str, str]


KINDS = {
    "text": Kind(write_text_model, write_texts, ("data/raw/rows.csv", "text", "label")),
    "image": Kind(write_image_model, write_images, ("data/raw/images", "path", "label")),
}


def write_project(root: Path, modality: str = "text", **changes: Any) -> Path:
    """The project; `changes` are dotted leaves of params.yaml with `__` for the dot."""
    kind = KINDS[modality]
    path, input_column, label_column = kind.data
    (root / "data/raw").mkdir(parents=True)
    kind.write_model(root / "model")
    kind.write_data(root / path)
    tree = yaml.safe_load((REPO / "params.yaml").read_text(encoding="utf-8"))
    tree["project"]["modality"] = modality
    tree["data"] |= {"path": path, "input_column": input_column, "label_column": label_column, "where": {}}
    tree["resources"] |= {"min_free_disk_gb": 0, "threads": 1}  # a second thread only waits on matrices this small
    revision = sha256_file(root / "model/model.safetensors")
    tree["selection"]["candidates"] = [{"source": "path:model", "revision": revision}]
    for training in (tree["adaptation"]["training"], tree["receipt"]["scratch"]):
        training |= {"learning_rates": [0.001, 0.003], "epochs": 3}
    tree["receipt"] |= {"resamples": 200, "gate": "off"}
    tree["deployment"]["forms"] = ["optimised", "int8"]
    tree["data"]["near_duplicate_similarity"] = None  # the texts are of few words
    for path, value in changes.items():
        *sections, leaf = path.split("__")
        section = tree
        for name in sections:
            section = section[name]
        section[leaf] = value
    (root / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    shutil.copyfile(REPO / "dvc.yaml", root / "dvc.yaml")
    (root / "code.yaml").write_text("{}\n")
    (root / ".git").mkdir()
    (root / ".dvc").mkdir()
    (root / ".dvc/config").touch()
    return root


def pin(root: Path) -> None:
    """Name the model as it lies there now."""
    tree = yaml.safe_load((root / "params.yaml").read_text())
    revision = sha256_file(root / "model/model.safetensors")
    tree["selection"]["candidates"] = [{"source": "path:model", "revision": revision}]
    (root / "params.yaml").write_text(yaml.safe_dump(tree, sort_keys=False))


def run_stage(root: Path, name: str) -> None:
    """One stage in this process, as its command runs it."""
    module = read_dvc_yaml(root)["stages"][name]["cmd"].split("-m ")[1]
    try:
        main = import_module(f"{module}.__main__").main
    except ModuleNotFoundError:
        main = import_module(module).main
    _run_locked(name, root, main)


def stages(root: Path) -> list[str]:
    """All stages but `code`, in order."""
    return [name for name in read_dvc_yaml(root)["stages"] if name != "code"]
