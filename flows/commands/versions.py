"""`graft reproduce`: whether a revision still gives the bytes it gave."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands import Json, command, show


@command
def reproduce(
    root: Path,
    revision: Annotated[str, typer.Argument(metavar="[REV]", help="A commit or tag.")] = "HEAD",
    as_json: Json = False,
) -> None:
    """Run a revision again from nothing, in a place of its own: identical, or where it first differs."""
    from tasks.rerun import rerun

    done = asdict(rerun(root, revision, lambda line: print(line, file=sys.stderr, flush=True)))
    record: dict[str, Any] = {"revision": revision, "identical": done["difference"] is None, **done}
    show(record, as_json, lambda record: str(record["sentence"]))
    if not record["identical"]:
        raise typer.Exit(1)
