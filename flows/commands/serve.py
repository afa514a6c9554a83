"""`graft predict` and `graft serve`: answers from a release, by file and over HTTP. Neither loads torch."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands import Json, command
from tasks.errors import InputError

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
    from tasks.bulk.learned import learned_from
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
        folder = releases_of(root).path_of(release)
        runtime = Runtime.load(folder, threads)
        seen = learned_from(folder, runtime)
        rows_are_seen = out is None and sys.stdout.isatty()
        with row_progress(rows.rows, quiet=as_json or rows_are_seen) as advance:
            tally = answer(rows, runtime, data.input_column, data.label_column, out, threads, advance, seen)
    judged = data.label_column in rows.schema.names
    _tell(tally, judged, runtime.version, out, as_json)


def _is_one_file(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _tell(tally: Tally, judged: bool, version: str, out: Path | None, as_json: bool) -> None:
    """Counts and score go to stderr, so that stdout stays a table."""
    record: dict[str, Any] = {"rows": tally.rows, "unanswered": tally.unanswered, "version": version}
    if out:
        record["out"] = str(out)
    if judged:
        right, others = _of_others(tally)
        record |= {"accuracy": _share(tally.right, tally.judged), "learned_from": tally.learned}
        record["accuracy_of_others"] = None if tally.learned is None else _share(right, others)
    if as_json:
        from tasks.artifacts import canonical_json

        print(canonical_json(record), end="", file=sys.stderr)
        return
    lost = f", {tally.unanswered:,} left empty (nothing that can be answered)" if tally.unanswered else ""
    found = f", {tally.found:,} of them by a call before, which was cut off" if tally.found else ""
    rows = f"{tally.rows:,} {'row' if tally.rows == 1 else 'rows'}"
    written = f" Written to {out}." if out else ""
    print(f"{rows} by release {version}{found}{lost}{_score(tally)}.{written}", file=sys.stderr)


def _share(right: int, judged: int) -> float | None:
    return round(right / judged, 6) if judged else None


def _of_others(tally: Tally) -> tuple[int, int]:
    """Right answers and rows, of those that it did not learn from."""
    return tally.right - tally.learned_right, tally.judged - (tally.learned or 0)


def _score(tally: Tally) -> str:
    """How often the answer is the label, and what that is worth: on rows that it learned from, nothing."""
    if not tally.judged:
        return ""
    score, (right, others) = f", accuracy {tally.right / tally.judged:.1%}", _of_others(tally)
    if tally.learned is None:
        return f"{score} (if it learned from these rows, this says nothing)"
    if not tally.learned:
        return f"{score} (it learned from none of these rows)"
    if not others:
        return f"{score} (it learned from these rows, so that this says nothing)"
    told = f"on the {others:,} other{'' if others == 1 else 's'} {right / others:.1%}"
    return f"{score} (it learned from {tally.learned:,} of these rows, {told})"


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
