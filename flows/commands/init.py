"""`graft init` and `graft upgrade`: a project for one's own data, and what a newer Graft adds to it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands import Json, command, show
from tasks.errors import InputError, InterruptError

if TYPE_CHECKING:
    from tasks.sources.snapshot import Snapshot


@command
def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The project's folder.", show_default=False)],
    data: Annotated[
        str, typer.Option("--data", help="CSV, JSONL, Parquet, a folder of files, or the URL of a source.")
    ],
    query: Annotated[str | None, typer.Option("--query", help="SELECT, where --data is the URL of a database.")] = None,
    test: Annotated[Path | None, typer.Option("--test", help="The source's own test set.")] = None,
    input_column: Annotated[
        str | None, typer.Option("--text", "--input", metavar="COL", help="Column of the examples.")
    ] = None,
    label_column: Annotated[str | None, typer.Option("--label", metavar="COL", help="Column of the labels.")] = None,
    describe: Annotated[
        list[str] | None,
        typer.Option(
            "--describe",
            metavar="LABEL[=WORDS]",
            help="A label and what it means, its name if not said; repeatable. Where no row has a label, these answer.",
        ),
    ] = None,
    modality: Annotated[str | None, typer.Option("--modality", help="Kind of data.")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="SOURCE", help="package:NAME, path:FOLDER or hub:OWNER/NAME; repeatable."),
    ] = None,
    commit: Annotated[bool, typer.Option("--commit", help="Commit also where a git repository was before.")] = False,
    as_json: Json = False,
) -> None:
    """Begin a project with one's own data."""
    from tasks.project.create import Wishes, create, described
    from tasks.project.guess import Given

    with _brought(data, query) as (path, snapshot):
        given = Given(input_column, label_column, modality, described(describe or ()))
        wishes = Wishes(path, test, given, model or (), commit, snapshot)
        made = create(directory, wishes, _ask if _terminal() else None, _silent if as_json else print)
    record = {
        "project": str(directory),
        "guessed": made.told,
        "params": made.params,
        "files": made.files,
        "committed": made.committed,
    }
    show(record, as_json, _init_text)


@contextmanager
def _brought(data: str, query: str | None) -> Iterator[tuple[Path, Snapshot | None]]:
    """The data as a file or folder here, and what is known of it if a source had to be asked."""
    from tasks.sources.url import is_url

    if not is_url(data):
        if query is not None:
            raise InputError("--query is for the URL of a database, and --data names a file or folder: leave one out.")
        yield Path(data), None
        return
    from tasks.sources.snapshot import first

    with first(data, query, Path.cwd()) as snapshot:
        yield snapshot.path, snapshot


def _init_text(record: dict[str, Any]) -> str:
    folder = shlex.quote(record["project"])
    lines = [f"Made the project {record['project']}."]
    if not record["committed"]:
        files = " ".join(map(shlex.quote, record["files"]))
        lines.append(f"Nothing is committed: cd {folder} && git add {files} && git commit")
    return "\n".join([*lines, f"Next: cd {folder} && graft run"])


def _silent(_: str) -> None:
    pass


def _terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask(question: str, answers: Sequence[str]) -> str:
    """The user's answer, by its number where there are answers to choose from; all on stderr, for stdout has JSON."""
    for number, answer in enumerate(answers, 1):
        print(f"  {number}. {answer}", file=sys.stderr)
    while True:
        print(question, end=" ", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise InterruptError("Interrupted: nothing was made.")
        given = line.strip()
        if given in answers or (given and not answers):
            return given
        if given.isdecimal() and 1 <= int(given) <= len(answers):
            return answers[int(given) - 1]
        print(f"Answer with a number from 1 to {len(answers)}." if answers else "Answer in a word.", file=sys.stderr)


@command
def upgrade(root: Path, as_json: Json = False) -> None:
    """Add what a newer Graft knows to params.yaml, with comments, and renew dvc.yaml."""
    from tasks.project.upgrade import upgrade

    show(asdict(upgrade(root)), as_json, _upgrade_text)


def _upgrade_text(record: dict[str, Any]) -> str:
    lines = [f"params.yaml has {leaf} now." for leaf in record["added"]]
    lines += ["dvc.yaml is renewed."] if record["dvc_yaml"] else []
    lines += [f"{leaf} is not known any more: remove it from params.yaml." for leaf in record["unknown"]]
    return "\n".join(lines or ["Everything is up to date."])
