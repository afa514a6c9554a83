"""Params and rows for tests: the repo's own params.yaml with a few leaves changed, and rows with a known split."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tasks.artifacts import write_json
from tasks.modalities.text.source import identity
from tasks.params import Params, load
from tasks.receipt import gate
from tasks.rows.columns import Cells, Clean, Columns, Quarantine, Rows
from tasks.rows.row import Quarantined, Row
from tasks.rows.split import SPLITS, Split, keys_of, place
from tasks.stage import outs, read_dvc_yaml

REPO = Path(__file__).resolve().parents[1]


def tree(**changes: Any) -> dict[str, Any]:
    """The repo's params.yaml as a tree; a change names its leaf with __ for the dots."""
    made: dict[str, Any] = yaml.safe_load((REPO / "params.yaml").read_text(encoding="utf-8"))
    made["data"]["max_quarantined_share"] = 1.0  # a handful of rows, made to break, loses most of them
    # Texts of tests are cut from one pattern.
    made["data"]["near_duplicate_similarity"] = None
    for path, value in changes.items():
        *folders, leaf = path.split("__")
        branch = made
        for folder in folders:
            branch = branch[folder]
        branch[leaf] = value
    return made


def params(**changes: Any) -> Params:
    """Checked params of `tree`."""
    return Params.model_validate(tree(**changes))


def texts_in(split: Split, test_share: float = 0.25, validation_share: float = 0.15) -> Iterator[str]:
    """Endless texts whose hash places them in this split."""
    number = 0
    while True:
        number += 1
        text = f"note number {number} of many"
        if place(identity(text), test_share, validation_share) == split:
            yield text


def row(text: str, label: str | None, split: Split, number: int = 1, file: str = "rows.csv") -> Row:
    """One usable row."""
    return Row(identity(text), file, number, text, label, split, len(text))


def clean(rows: list[Row], quarantined: list[Quarantined] | None = None, left_out: int = 0) -> Clean:
    """A validated data set of these rows."""
    lost, cells = quarantined or [], Cells()
    every: list[Row | Quarantined] = [*rows, *lost]
    files = sorted({one.file for one in every})
    names = sorted({one.label for one in every if one.label is not None})
    cells.append([one.input for one in every])
    columns = Columns(
        cells=cells,
        keys=keys_of([*(row.id for row in rows), *(identity(fault.input or "") for fault in lost)]),
        sources=np.array([files.index(one.file) for one in every], dtype=np.int8),
        numbers=np.array([one.number for one in every], dtype=np.int32),
        labels=np.array([-1 if one.label is None else names.index(one.label) for one in every], dtype=np.int32),
        splits=np.array([*(SPLITS.index(row.split) for row in rows), *(-1 for _ in lost)], dtype=np.int8),
        sizes=np.array([*(row.size for row in rows), *(0 for _ in lost)], dtype=np.int32),
        groups=None,
        names=names,
        files=files,
        reasons={len(rows) + i: fault.reason for i, fault in enumerate(lost)},
    )
    labels = sorted({row.label for row in rows if row.label is not None})
    return Clean(Rows(columns, columns.used()), Quarantine(columns), labels, left_out, dict.fromkeys(SPLITS, 0))


def pass_gate(root: Path) -> None:
    """Let the gate have said yes to the bundle of a project, as it stands."""
    for name in ("chain", "server", "receipt"):
        write_json(root / gate.JUDGED[name], {})
    write_json(root / gate.RECORD, gate.judged(root, load(root / "params.yaml").receipt))
    write_lock(root, gate.RECORD)


def write_whole_lock(root: Path, remade: Sequence[str] = (), without: Sequence[str] = ()) -> None:
    """The DAG of the house, with a dvc.lock of one whole run, behind which these stages made their outputs anew.

    Args:
        root: the project's folder.
        remade: stages.
        without: stages that never ran.
    """
    shutil.copy(REPO / "dvc.yaml", root)
    stages = read_dvc_yaml(root)["stages"]
    lock = {
        name: {
            "deps": [{"path": path, "md5": "first"} for path in stage.get("deps", [])],
            "outs": [{"path": path, "md5": "second" if name in remade else "first"} for path in outs(stage)],
        }
        for name, stage in stages.items()
        if name not in without
    }
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": lock}), encoding="utf-8")


def write_lock(root: Path, path: str) -> None:
    """A dvc.lock that names this file as an output."""
    md5 = hashlib.md5((root / path).read_bytes()).hexdigest()
    lock = {"schema": "2.0", "stages": {"any": {"cmd": "true", "outs": [{"path": path, "hash": "md5", "md5": md5}]}}}
    (root / "dvc.lock").write_text(yaml.safe_dump(lock), encoding="utf-8")


def with_code(folder: Path) -> Path:
    """A model's folder names code of its own from now on; the file that the code would make if it ran."""
    mark = folder.parent / "ran"
    (folder / "modeling_evil.py").write_text(f"open({str(mark)!r}, 'w')\nclass Evil: ...\nclass Config: ...\n")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "modeling_evil.Evil", "AutoConfig": "modeling_evil.Config"}
    (folder / "config.json").write_text(json.dumps(config))
    return mark
