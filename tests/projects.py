"""A whole project in miniature: a random two-block BERT, 180 rows, params and dvc.yaml of the repo."""

from __future__ import annotations

import csv
import random
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from tasks.artifacts import sha256_file
from tasks.stage import _run_locked, read_dvc_yaml

REPO = Path(__file__).resolve().parents[1]
# Params that bound a run and change no result: no stage depends on them.
LIMITS = {"resources.cache_gb", "resources.min_free_disk_gb"}
WORDS = {
    "fruit": ["apple", "pear", "plum", "cherry", "lemon"],
    "metal": ["iron", "copper", "zinc", "silver", "lead"],
    "bird": ["crow", "robin", "heron", "finch", "stork"],
}
FILLER = ["the", "a", "one", "this", "that", "some", "old", "new"]


def write_model(folder: Path) -> None:
    """A random BERT with two blocks of width 16, and its word tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel

    words = ["[PAD]", "[UNK]", *sorted([*FILLER, *(word for words in WORDS.values() for word in words)])]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, pad_token_id=0,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))


def write_rows(path: Path) -> None:
    """180 distinct rows of three labels."""
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


def write_project(root: Path, **changes: Any) -> Path:
    """The project; `changes` are dotted leaves of params.yaml with `__` for the dot."""
    (root / "data/raw").mkdir(parents=True)
    write_model(root / "model")
    write_rows(root / "data/raw/rows.csv")
    tree = yaml.safe_load((REPO / "params.yaml").read_text(encoding="utf-8"))
    tree["data"] |= {"path": "data/raw/rows.csv", "where": {}}
    tree["resources"] |= {"min_free_disk_gb": 0, "threads": 1}  # a second thread only waits on matrices this small
    revision = sha256_file(root / "model/model.safetensors")
    tree["selection"]["candidates"] = [{"source": "path:model", "revision": revision}]
    for training in (tree["adaptation"]["scope"]["full"], tree["receipt"]["scratch"]):
        training |= {"learning_rates": [0.001, 0.003], "epochs": 3}
    tree["receipt"] |= {"resamples": 200, "gate": "off"}
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
