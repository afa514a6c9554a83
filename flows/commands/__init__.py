"""The `graft` command. Each command imports what it needs when it runs, so that `--help` costs nothing."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from tasks.errors import GraftError, InputError, refused_write

app = typer.Typer(
    name="graft",
    help="Transfer learning that proves the transfer paid off before it ships.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_PROJECT = Annotated[Path, typer.Option("--project", help="The project's folder.", show_default=False)]
_DEBUG = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Register a function; adds --debug, and --project if it takes a `root`; errors become sentences and exit codes."""

    @functools.wraps(function)
    def run(*, debug: bool, project: Path | None = None, **options: Any) -> None:
        try:
            function(*([] if project is None else [_project(project)]), **options)
        except GraftError as error:
            if debug:
                raise
            _leave(error.sentences, error.exit_code)
        except KeyboardInterrupt:
            _leave(["Interrupted: nothing is half written; run again to complete."], 130)
        except BrokenPipeError:
            sys.stderr.close()
            raise typer.Exit(1) from None
        except typer.Exit:
            raise
        except Exception as error:
            if debug:
                raise
            _leave(*_unforeseen(error))

    signature = inspect.signature(function, eval_str=True)
    own = [p.replace(kind=p.KEYWORD_ONLY) for name, p in signature.parameters.items() if name != "root"]
    shared = [inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_DEBUG)]
    if "root" in signature.parameters:
        named = inspect.Parameter("project", inspect.Parameter.KEYWORD_ONLY, default=Path(), annotation=_PROJECT)
        shared.insert(0, named)
    run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in [*own, *shared]}
    app.command(name=function.__name__)(run)
    return function


def _project(folder: Path) -> Path:
    if not (folder / "params.yaml").is_file():
        raise InputError(
            "There is no params.yaml in this folder: run graft from a project's folder or name it with --project."
        )
    return folder.resolve()


def _leave(sentences: list[str], code: int) -> None:
    for sentence in sentences:
        print(sentence, file=sys.stderr)
    raise typer.Exit(code)


def _unforeseen(error: Exception) -> tuple[list[str], int]:
    refusal = refused_write(error)
    if refusal:
        return [refusal], 2
    first = (str(error).splitlines() or [""])[0]
    return [f"graft broke with {type(error).__name__}: {first}; run again with --debug and report it."], 1


def show(record: Any, as_json: bool, text: Callable[[Any], str]) -> None:
    """Print a result once, as JSON or as text."""
    from tasks.artifacts import canonical_json

    print(canonical_json(record) if as_json else text(record), end="" if as_json else "\n")


from flows.commands import init, iterate, project, refresh, release, run, schedule, serve, versions  # noqa: E402

__all__ = ["app", "init", "iterate", "project", "refresh", "release", "run", "schedule", "serve", "versions"]
