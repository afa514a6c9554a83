"""`graft monitor`, `feedback`, `retrain`: what happens to a model that is live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands import Json, command, show
from tasks.errors import InputError
from tasks.words import counted

if TYPE_CHECKING:
    from tasks.params import Params


@command
def monitor(root: Path, as_json: Json = False) -> None:
    """Judge the answers that came since the last look; exit code 1 for drift."""
    from flows import embedded

    embedded.configure()
    from deploy import watch
    from flows.monitor import look
    from flows.scheduling import server_of

    url = server_of(root)
    found = look(root, url)
    told = "" if url or not found.alarms else " No event was sent: no Prefect server is configured."
    show(found.record(), as_json, lambda _: watch.sentence(found) + told)
    if found.alarms:
        raise typer.Exit(1)


@command
def feedback(
    root: Path,
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="Labelled rows: CSV, JSONL, Parquet, or a folder of files.")
    ],
    as_json: Json = False,
) -> None:
    """Hand in labelled rows that came after the release; the next retraining learns from those that are new.

    A row has the example and its label in the columns of data.input_column and data.label_column, or the label with the
    request_id of an answer (and its place there, row, if it was not the first).
    """
    from tasks.params import load
    from tasks.rows.feedback import take

    params = load(root / "params.yaml")
    rows, live = _labelled(root, params, source)
    new = _new_labels(root, rows)
    taken = take(root, params, rows, source if source.is_dir() else source.parent)
    record = {"taken": taken.rows, "known": taken.known, "refused": taken.refused, "new_labels": new, "live": live}
    show(record, as_json, _feedback_text)


def _labelled(
    root: Path, params: Params, source: Path
) -> tuple[list[tuple[str | None, str | None]], dict[str, Any] | None]:
    """Example and label of each row, and what the labels say of the answers where the rows name those."""
    from deploy.answered import REQUEST, join, keys_of
    from deploy.releases import releases_of
    from deploy.watch import log_of
    from tasks.rows.read import label_text, own, read, read_source
    from tasks.rows.table import check_columns

    data, live = params.data, None
    table = read_source(source, data.max_rows, None).table
    if REQUEST in table.column_names:
        check_columns(source.name, table, [data.label_column], "name the labels so")
        labels = [label_text(label) for label in table.column(data.label_column).to_pylist()]
        joined = join(log_of(releases_of(root)), keys_of(source.name, table), labels)
        live = {"joined": len(joined.rows), "right": joined.right, "unknown": joined.unknown}
        if data.input_column not in table.column_names:
            _refuse_without_inputs(source.name, data.input_column, joined.rows)
            return joined.rows, live
    wanted = dict.fromkeys((data.input_column, data.label_column))
    check_columns(source.name, table, wanted, "rename its columns, for the project's own data have these")
    raw = read(source, own(data))
    return list(zip(raw.inputs, raw.labels, strict=True)), live


def _new_labels(root: Path, rows: list[tuple[str | None, str | None]]) -> list[str]:
    """Labels that the champion does not know: what comes new, or is mistyped; none without a champion."""
    from deploy.releases import releases_of
    from tasks.manifest import read_manifest

    releases = releases_of(root)
    if releases.current() is None:
        return []
    return sorted({label for _, label in rows if label} - {*read_manifest(releases.path_of()).labels})


def _refuse_without_inputs(name: str, column: str, rows: list[tuple[str | None, str | None]]) -> None:
    if not rows:
        raise InputError(f"{name} names no request that the prediction log has: add the column {column!r}.")
    if not any(text for text, _ in rows):
        raise InputError(
            f"{name} names requests whose inputs were not logged: add the column {column!r}, or serve with "
            "GRAFT_LOG_INPUTS=1 from now on."
        )


def _feedback_text(record: dict[str, Any]) -> str:
    taken = counted(record["taken"], "row")
    lines = [f"{taken} taken, {record['known']} known already: `graft retrain` learns from what is new."]
    lines += [f"{count} refused: {reason}." for reason, count in record["refused"].items()]
    if record["new_labels"]:
        lines.append(f"The champion does not know these labels: {', '.join(record['new_labels'])}.")
    if record["live"]:
        live, answers = record["live"], counted(record["live"]["joined"], "answer")
        lines.append(f"Of {answers} in the log {live['right']} were right; {live['unknown']} are not there.")
    return "\n".join(lines)


@command
def retrain(root: Path, as_json: Json = False) -> None:
    """Train on the rows that came since, in a worktree, and promote what is better than the champion."""
    from deploy.releases import releases_of
    from flows import embedded
    from flows.scheduling import server_of

    embedded.start(server_of(root))
    from flows.retrain import retrain
    from tasks.phases import error_of

    state = embedded.recorded(retrain, root)
    error = error_of(state)
    if error:
        raise error
    record = {"outcome": state.name, "sentence": state.message, "champion": releases_of(root).current()}
    show(record, as_json, lambda _: str(state.message))
