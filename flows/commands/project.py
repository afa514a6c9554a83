"""`graft check`, `status`, `schema`: what a project says about itself. Nothing but code.yaml is written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands import Json, command, show


@command
def check(
    root: Path,
    deep: Annotated[bool, typer.Option("--deep", help="Also hash the weights of every candidate.")] = False,
    as_json: Json = False,
) -> None:
    """Find every fault of params and data at once."""
    from tasks.check import check

    faults = check(root, deep)
    show({"faults": faults}, as_json, lambda record: "\n".join(record["faults"]) or "No faults.")
    if faults:
        raise typer.Exit(2)


@command
def status(root: Path, as_json: Json = False) -> None:
    """What is stale and why; what is released."""
    from deploy.releases import CHALLENGER, CHAMPION, releases_of
    from tasks.params import load
    from tasks.reproduce import stale

    load(root / "params.yaml")
    releases = releases_of(root)
    record = {"stale": stale(root)} | {alias: releases.current(alias) for alias in (CHAMPION, CHALLENGER)}
    show(record, as_json, _status_text)


def _status_text(record: dict[str, Any]) -> str:
    lines = [f"{name}: {reason}" for name, reason in record["stale"].items()] or ["Everything is up to date."]
    lines.append(f"Champion: {record['champion'] or 'none; promote a run with `graft promote`'}.")
    return "\n".join([*lines, *([f"Challenger: {record['challenger']}."] if record["challenger"] else [])])


@command
def schema(root: Path) -> None:
    """Type, range and meaning of every value in params.yaml, as JSON Schema."""
    import json

    from tasks.params import Params

    print(json.dumps(Params.model_json_schema(), indent=1))
