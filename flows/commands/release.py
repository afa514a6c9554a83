"""`graft promote`, `rollback`, `history`: which release is live, and which was; `graft export`: one for elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands import Json, command, show
from tasks.errors import InputError


@command
def promote(
    root: Path,
    version: Annotated[str | None, typer.Argument(help="A release; without one, the bundle of the last run.")] = None,
    why: Annotated[str, typer.Option("--why", help="Reason, for the history.")] = "promoted by hand",
    challenger: Annotated[bool, typer.Option("--challenger", help="Try it beside the champion instead.")] = False,
    as_json: Json = False,
) -> None:
    """Make a release the champion, or the challenger; the last bundle only if it passes against the champion."""
    from flows.promotion import added, context, promote_and_watch, promote_passed

    if challenger:
        from deploy.releases import CHALLENGER, releases_of

        move = releases_of(root).promote(version or added(root), why, context(root), CHALLENGER)
        show({CHALLENGER: move.version, "changed": move.changed}, as_json, lambda _: move.sentence)
        return
    passed = promote_passed(root, why) if version is None else (*promote_and_watch(root, version, why), None)
    _show_move(*passed, as_json)


@command
def export(
    root: Path,
    folder: Annotated[Path, typer.Argument(help="A new folder, in Hugging Face's form, for Optimum's ORTModel.")],
    as_json: Json = False,
) -> None:
    """Write the bundle of the last run, if the gate passed it, as a Hugging Face folder of a text classifier."""
    from flows.promotion import passed_bundle
    from tasks import huggingface

    bundle, config = passed_bundle(root), root / "data/adaptation/model/config.json"
    if not config.is_file():
        raise InputError("There is no model beside the bundle: `dvc checkout` brings it, or `graft run`.")
    version = huggingface.write(bundle, config, folder).version
    record = {"version": version, "folder": str(folder)}
    show(record, as_json, lambda _: f"{folder} holds {version} for ORTModelForSequenceClassification.")


@command
def rollback(
    root: Path,
    why: Annotated[str, typer.Option("--why", help="Reason, for the history.")] = "rolled back by hand",
    as_json: Json = False,
) -> None:
    """Bring back the champion before the current one."""
    from deploy.releases import releases_of
    from flows.promotion import context

    _show_move(releases_of(root).rollback(why, context(root)), None, None, as_json)


def _show_move(move: Any, monitoring: str | None, comparison: str | None, as_json: bool) -> None:
    more = {"comparison": comparison, "monitoring": monitoring}
    told = more | {"trial": move.trial}
    record = {"champion": move.version, "changed": move.changed} | {name: said for name, said in told.items() if said}
    show(record, as_json, lambda _: "\n".join(filter(None, [move.sentence, *more.values()])))


@command
def history(root: Path, as_json: Json = False) -> None:
    """Every move of an alias: when, from, to, why."""
    from deploy.releases import releases_of

    records = releases_of(root).history()
    show(records, as_json, _history_text)


def _history_text(records: list[dict[str, Any]]) -> str:
    if not records:
        return "Nothing was released yet."
    return "\n".join(map(_move_text, records))


def _move_text(record: dict[str, Any]) -> str:
    context = record["context"]
    commit = (context.get("commit") or "none")[:9] + (" (dirty)" if context.get("dirty") else "")
    move = f"{record['alias']}: {record['from'] or 'none'} -> {record['to'] or 'none'}"
    return f"{record['when']}  {move}  commit {commit}  {record['why']}"
