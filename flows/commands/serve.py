"""`graft predict` and `graft serve`: answers from a release, by file and over HTTP. Neither loads torch."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands import Json, command
from tasks.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from tasks.runtime import Runtime

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
    """Add the columns prediction and probability to a file; print the score when the label column is there."""
    from deploy.releases import Releases
    from tasks.params import load
    from tasks.rows.table import check_columns
    from tasks.runtime import Runtime

    data = load(root / "params.yaml").data
    table = _read(source, data.max_rows)
    check_columns(Path(source).name, table, [data.input_column], "rename the one that holds the examples")
    _refuse_unwritable(table, out)
    runtime = Runtime.load(Releases(root / "releases").path_of(release), load(root / "params.yaml").resources.threads)
    answered, skipped = _answer(runtime, table, data.input_column, _folder_of(source))
    _write(answered, out)
    _tell(answered, data.label_column, skipped, runtime.version, as_json)


def _read(source: str, max_rows: int) -> pa.Table:
    """All columns of a CSV stay text: they are handed back as they came."""
    from tasks.rows.read import read_source
    from tasks.rows.table import MAX_FILE_BYTES, read_table

    if source != "-":
        return read_source(Path(source), max_rows, None, labelled=False).table
    content = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    with tempfile.TemporaryDirectory() as folder:
        kind = ".jsonl" if content.lstrip()[:1] == b"{" else ".csv"
        path = Path(folder) / f"standard input{kind}"
        path.write_bytes(content)
        return read_table(path, max_rows, None)


def _folder_of(source: str) -> Path:
    """From where the files that a table names count."""
    path = Path(source)
    return path if path.is_dir() else path.parent


def _answer(runtime: Runtime, table: pa.Table, column: str, folder: Path) -> tuple[pa.Table, int]:
    import pyarrow as pa

    cells = table.column(column).to_pylist()
    found = runtime.predict_usable(runtime.read(cell, folder) for cell in cells)
    predictions = [None if answer is None else answer.prediction for answer in found]
    probabilities = [None if answer is None else answer.probability for answer in found]
    for name, values, kind in (
        ("prediction", predictions, pa.string()),
        ("probability", probabilities, pa.float64()),
    ):
        if name in table.column_names:
            table = table.drop_columns([name])
        table = table.append_column(name, pa.array(values, type=kind))
    return table, found.count(None)


def _csv(table: pa.Table, sink: Any) -> None:
    import pyarrow.csv

    pyarrow.csv.write_csv(table, sink)


def _jsonl(table: pa.Table, sink: Any) -> None:
    import json

    with open(sink, "w", encoding="utf-8") as file:
        for row in table.to_pylist():
            plain = {name: None if value != value else value for name, value in row.items()}
            file.write(json.dumps(plain, ensure_ascii=False, default=str) + "\n")


def _parquet(table: pa.Table, sink: Any) -> None:
    import pyarrow.parquet

    pyarrow.parquet.write_table(table, sink)


WRITERS = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}


def _refuse_unwritable(table: pa.Table, out: Path | None) -> None:
    """Before anything is answered: a target of unknown form, in no folder, or unable to hold the columns."""
    import pyarrow as pa

    if out is not None and out.suffix not in WRITERS:
        raise InputError(f"{out.name}: only files ending in {', '.join(WRITERS)} are written; name it so.")
    if out is not None and not out.parent.is_dir():
        raise InputError(f"There is no folder {out.parent} to write {out.name} into: make it.")
    nested = [field.name for field in table.schema if pa.types.is_nested(field.type)]
    if nested and (out is None or out.suffix == ".csv"):
        raise InputError(f"CSV cannot hold the nested column {nested[0]!r}: write with -o to .jsonl or .parquet.")


def _write(table: pa.Table, out: Path | None) -> None:
    if out is None:
        _csv(table, sys.stdout.buffer)
        return
    part = out.with_name(f".{out.name}.part")
    try:
        WRITERS[out.suffix](table, str(part))
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def _tell(table: pa.Table, label_column: str, skipped: int, version: str, as_json: bool) -> None:
    """Counts and score go to stderr, so that stdout stays a table."""
    record: dict[str, Any] = {"rows": table.num_rows, "unanswered": skipped, "version": version}
    if label_column in table.column_names:
        from tasks.rows.read import label_text

        labels = map(label_text, table.column(label_column).to_pylist())
        pairs = zip(labels, table.column("prediction").to_pylist(), strict=True)
        judged = [label == prediction for label, prediction in pairs if label is not None and prediction]
        record["accuracy"] = round(sum(judged) / len(judged), 6) if judged else None
    if as_json:
        from tasks.artifacts import canonical_json

        print(canonical_json(record), end="", file=sys.stderr)
        return
    score = ""
    if record.get("accuracy") is not None:
        score = f", accuracy {record['accuracy']:.1%} (of rows that it learned from, this says nothing)"
    lost = f", {skipped} left empty (nothing that can be answered)" if skipped else ""
    print(f"{table.num_rows} rows by release {version}{lost}{score}.", file=sys.stderr)


@command
def serve(
    root: Path,
    port: Annotated[int | None, typer.Option("--port", help="TCP port; 8000 without it.")] = None,
    release: Release = "champion",
) -> None:
    """Answer over HTTP: POST /predict, GET /livez, /readyz, /metrics."""
    from dataclasses import replace

    from deploy import service
    from deploy.settings import Settings

    settings = Settings.from_environment()
    if port is not None:
        settings = replace(settings, listen_port=port)
    service.serve(root / "releases", release, settings)
