"""Rows adapted by the stage `adaptation` itself, in a folder that holds what the stages before it leave."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tasks import predictions, prepared
from tasks.adaptation import __main__ as adaptation
from tasks.artifacts import read_json, write_json
from tasks.params import Params, read_tree
from tasks.prepared import Prepared
from tasks.rows.clean import Row
from tasks.stage import Stage
from tasks.training.scope.lora import ADAPTERS

HOUSE = Path(__file__).resolve().parents[1]


def settings(strategy: str, seed: int) -> Params:
    """The repo's own `params.yaml`, with a scope, an adapter, or pairs for all blocks, a seed and one thread."""
    tree = read_tree(HOUSE / "params.yaml")
    tree["project"]["seed"] = seed
    tree["resources"]["threads"] = 1
    pairs = strategy == "contrastive"
    tree["adaptation"]["scope"]["kind"] = "full" if pairs else "lora" if strategy in ADAPTERS else strategy
    if strategy in ADAPTERS:
        tree["adaptation"]["scope"]["lora"]["adapter"] = strategy
    tree["adaptation"]["objective"]["kind"] = strategy if pairs else "auto"
    return Params.model_validate(tree)


def logits(rows: Prepared, params: Params, depth: int, pool: str, model: Path) -> np.ndarray:
    """(M, K) of the M test rows among `rows`, after learning from the training and validation rows.

    Args:
        rows: ids are unlike, splits are train, validation and test.
        params: with the scope.
        depth: lowest blocks that are kept.
        pool: of the features.
        model: folder of the pre-trained one.
    """
    return learned(rows, params, depth, pool, model)[0]


def learned(rows: Prepared, params: Params, depth: int, pool: str, model: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """The same, and what the stage wrote into `adaptation.json`."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        scope = params.adaptation.scope.kind
        write_json(root / "data/selection/choice.json", {"scopes": {scope: {"depth": depth, "pool": pool}}})
        _prepare(root / prepared.FOLDER, rows, model)
        (root / "code.yaml").write_text("{}\n", encoding="utf-8")
        stage = Stage("adaptation", root, params, root / "staging")
        with redirect_stdout(StringIO()):
            adaptation.main(stage)
        answers = predictions.load(stage.out("data/adaptation/predictions.arrow"), rows.of("test").ids)
        return answers.logits, read_json(stage.out("data/adaptation/adaptation.json"))


def _prepare(folder: Path, rows: Prepared, model: Path) -> None:
    columns = zip(rows.ids, rows.inputs, rows.classes, rows.splits, strict=True)
    own = [
        Row(id=key, file="rows", number=number, input=text, label=rows.labels[label], split=split, size=len(text))
        for number, (key, text, label, split) in enumerate(columns)
    ]
    prepared.save(folder, own, rows.encoded, rows.labels)
    (folder / prepared.MODEL).symlink_to(model)
