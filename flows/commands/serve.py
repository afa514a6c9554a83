"""`graft predict` and `graft serve`: answers from a release, by file and over HTTP. Neither loads torch."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands import Json, command
from tasks.errors import InputError
from tasks.words import counted

if TYPE_CHECKING:
    from tasks.bulk.answer import Tally

Release = Annotated[str, typer.Option("--release", help="An alias or a version.")]


@command
def predict(
    root: Path,
    source: Annotated[
        str, typer.Argument(metavar="IN", help="CSV, JSONL or Parquet file, or a folder; - reads standard input.")
    ],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Where to write; without it, CSV to stdout.")] = None,
    release: Release = "champion",
    as_json: Json = False,
) -> None:
    """Add the columns prediction and probability to a file; print the score when the label column is there.

    A call that was killed while it wrote to OUT is taken up by the next one.
    """
    from deploy.releases import releases_of
    from flows.progress import row_progress
    from tasks.bulk.answer import answer
    from tasks.bulk.source import open_source, spooled
    from tasks.bulk.table import refuse_unwritable
    from tasks.params import load
    from tasks.runtime import Runtime

    if out is not None and source != "-" and _is_one_file(Path(source), out):
        raise InputError(f"{out} is what is to be answered, and would be overwritten: let -o name another file.")
    params = load(root / "params.yaml")
    threads, data = params.resources.threads, params.data
    with spooled(sys.stdin.buffer) if source == "-" else nullcontext(Path(source)) as path:
        rows = open_source(path, data.input_column, Path() if source == "-" else None)
        refuse_unwritable(rows.schema, out)
        runtime = Runtime.load(releases_of(root).path_of(release), threads)
        rows_are_seen = out is None and sys.stdout.isatty()
        with row_progress(rows.rows, quiet=as_json or rows_are_seen) as advance:
            tally = answer(rows, runtime, data.input_column, data.label_column, out, threads, advance)
    judged = data.label_column in rows.schema.names
    _tell(tally, judged, runtime.version, as_json)


def _is_one_file(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _tell(tally: Tally, judged: bool, version: str, as_json: bool) -> None:
    """Counts and score go to stderr, so that stdout stays a table."""
    record: dict[str, Any] = {"rows": tally.rows, "unanswered": tally.unanswered, "version": version}
    if judged:
        record["accuracy"] = round(tally.right / tally.judged, 6) if tally.judged else None
    if as_json:
        from tasks.artifacts import canonical_json

        print(canonical_json(record), end="", file=sys.stderr)
        return
    score = ""
    if record.get("accuracy") is not None:
        score = f", accuracy {record['accuracy']:.1%} (of rows that it learned from, this says nothing)"
    lost = f", {tally.unanswered} left empty (nothing that can be answered)" if tally.unanswered else ""
    found = f", {tally.found} of them by a call before, which was cut off" if tally.found else ""
    print(f"{counted(tally.rows, 'row')} by release {version}{found}{lost}{score}.", file=sys.stderr)


@command
def serve(
    root: Path,
    port: Annotated[int | None, typer.Option("--port", help="TCP port; 8000 without it.")] = None,
    release: Release = "champion",
) -> None:
    """Answer over HTTP: POST /predict, GET /livez, /readyz, /metrics."""
    from dataclasses import replace

    from deploy import service
    from deploy.releases import releases_of
    from deploy.settings import Settings

    settings = Settings.from_environment()
    if port is not None:
        settings = replace(settings, listen_port=port)
    service.serve(releases_of(root), release, settings)
