"""`graft refresh`: a new snapshot of the source that params.yaml names."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flows.commands import Json, command, show


@command
def refresh(root: Path, as_json: Json = False) -> None:
    """Take a new snapshot of source.url to data.path; the last one stays if anything is wrong."""
    from tasks.params import load
    from tasks.sources.snapshot import refresh

    show(asdict(refresh(root, root, load(root / "params.yaml"))), as_json, _refresh_text)


def _refresh_text(record: dict[str, Any]) -> str:
    if not record["new"]:
        return str(record["sentence"])
    files = " ".join(map(shlex.quote, record["files"]))
    return f"{record['sentence']}\nNext: graft run, and git add {files}"
