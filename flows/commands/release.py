"""`graft promote`, `rollback`, `history`: which release is live, and which was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands import Json, command, show
from tasks.errors import GateError, InputError


def _releases(root: Path) -> Any:
    from deploy.releases import Releases

    return Releases(root / "releases")


def _context(root: Path) -> dict[str, Any]:
    from tasks.reproduce import lineage

    return lineage(root) | {"machine": os.uname().nodename}


def add_and_promote(root: Path, why: str) -> Any:
    """Make the project's bundle a release and the champion; answers the move.

    Raises:
        InputError: there is no bundle.
        GateError: the gate did not pass this bundle.
    """
    from tasks.params import load
    from tasks.receipt.gate import JUDGED, passed

    bundle = (root / JUDGED["bundle"]).parent
    if not bundle.is_dir():
        raise InputError("There is no bundle in this project yet: run `graft run` first.")
    if not passed(root, load(root / "params.yaml").receipt):
        raise GateError("The gate did not pass this bundle: see `graft report`, and `graft run` once it is mended.")
    releases = _releases(root)
    return releases.promote(releases.add(bundle), why, _context(root))


@command
def promote(
    root: Path,
    version: Annotated[str | None, typer.Argument(help="A release; without one, the bundle of the last run.")] = None,
    why: Annotated[str, typer.Option("--why", help="Reason, for the history.")] = "promoted by hand",
    as_json: Json = False,
) -> None:
    """Make a release the champion."""
    move = add_and_promote(root, why) if version is None else _releases(root).promote(version, why, _context(root))
    _show_move(move, as_json)


@command
def rollback(
    root: Path,
    why: Annotated[str, typer.Option("--why", help="Reason, for the history.")] = "rolled back by hand",
    as_json: Json = False,
) -> None:
    """Bring back the champion before the current one."""
    _show_move(_releases(root).rollback(why, _context(root)), as_json)


def _show_move(move: Any, as_json: bool) -> None:
    show({"champion": move.version, "changed": move.changed}, as_json, lambda _: move.sentence)


@command
def history(root: Path, as_json: Json = False) -> None:
    """Every move of an alias: when, from, to, why."""
    records = _releases(root).history()
    show(records, as_json, _history_text)


def _history_text(records: list[dict[str, Any]]) -> str:
    if not records:
        return "Nothing was released yet."
    return "\n".join(map(_move_text, records))


def _move_text(record: dict[str, Any]) -> str:
    context = record["context"]
    commit = (context.get("commit") or "none")[:9] + (" (dirty)" if context.get("dirty") else "")
    move = f"{record['alias']}: {record['from'] or 'none'} -> {record['to']}"
    return f"{record['when']}  {move}  commit {commit}  {record['why']}"
