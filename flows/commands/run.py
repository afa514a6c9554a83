"""`graft run` and `graft report`: the four phases, and the evidence they left."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands import Json, command, show
from flows.progress import stage_bar

if TYPE_CHECKING:
    from tasks.params import Params


@command
def run(
    root: Path,
    dry: Annotated[bool, typer.Option("--dry", help="Say what would run, with time and disk; run nothing.")] = False,
    promote: Annotated[bool, typer.Option("--promote", help="Make the bundle the champion, if it passes.")] = False,
    as_json: Json = False,
) -> None:
    """Bring all four phases up to date: what ran, what was fresh, the verdict."""
    from deploy.releases import releases_of
    from tasks.check import refuse_unusable
    from tasks.receipt import render
    from tasks.reproduce import last_ran, stale

    params = refuse_unusable(root)
    waiting = stale(root)
    if dry:
        show(_estimate(root, params, waiting), as_json, _dry_text)
        return
    if waiting:
        with stage_bar(lambda: _estimate(root, params, waiting)["seconds"]) as follow_log:
            _transfer(root, follow_log)
    evidence = render.collect(root)
    ran = last_ran(root) if waiting else []
    record: dict[str, Any] = {"ran": ran, "verdict": evidence["verdict"], "sentence": evidence["sentence"]}
    if promote:
        from flows.promotion import promote_passed

        move, record["monitoring"], record["comparison"] = promote_passed(root, evidence["sentence"])
        record["trial"] = move.trial
    record |= {"bundle": evidence["lineage"]["bundle"], "champion": releases_of(root).current()}
    show(record, as_json, _run_text)


def _transfer(root: Path, follow_log: Callable[[], None]) -> None:
    from flows import embedded

    embedded.start()
    from flows.transfer import transfer
    from tasks.phases import error_of

    follow_log()
    error = error_of(embedded.recorded(transfer, root))
    if error:
        raise error


def _run_text(record: dict[str, Any]) -> str:
    ran = f"Ran: {', '.join(record['ran'])}." if record["ran"] else "Nothing to run: everything is up to date."
    champion = f"Champion: {record['champion'] or 'none'}."
    if record["champion"] != record["bundle"]:
        champion += f" `graft promote` makes {record['bundle']}, what this project made last, the champion."
    said = filter(None, map(record.get, ("trial", "comparison", "monitoring")))
    return "\n".join([ran, record["sentence"], champion, *said])


def _estimate(root: Path, params: Params, waiting: dict[str, str]) -> dict[str, Any]:
    """Seconds as the last run of each stage here took, a rough guess where there was none; disk in GB."""
    from tasks import estimate
    from tasks.reproduce import last_seconds

    known = last_seconds(root)
    unknown = sorted(set(waiting) - set(known))
    guessed = estimate.seconds(root, params) if unknown else {}
    return {
        "would_run": waiting,
        "seconds": {name: known.get(name, guessed.get(name, 0.0)) for name in waiting},
        "guessed": unknown,
        "disk_gb": estimate.disk_gb(root, params) if waiting else 0.0,
        "free_disk_gb": round(shutil.disk_usage(root).free / 1e9, 1),
    }


def _dry_text(record: dict[str, Any]) -> str:
    if not record["would_run"]:
        return "Nothing would run: everything is up to date."
    lines = [
        f"{name}: {reason}; {'roughly' if name in record['guessed'] else 'about'} {record['seconds'][name]:.0f} s"
        for name, reason in record["would_run"].items()
    ]
    total = sum(record["seconds"].values())
    basis = "guessed from rows, model and this machine's speed" if record["guessed"] else "as the last runs here took"
    disk = f"{record['disk_gb']} GB of disk ({record['free_disk_gb']} free)"
    lines.append(f"About {max(1, round(total / 60))} min, {basis}; {disk}.")
    return "\n".join(lines)


@command
def report(root: Path, as_json: Json = False) -> None:
    """The receipt: did the transfer pay off, by which evidence, and what ships."""
    from flows.promotion import GATE, cut_off
    from tasks.receipt import render
    from tasks.reproduce import unfinished

    evidence = render.collect(root)
    late = [name for name in unfinished(root) if name != GATE]  # which has nothing to show

    def told(record: dict[str, Any]) -> str:
        mixed = [f"{cut_off(late)} What is told of these here, if anything, is of an earlier run.", ""] if late else []
        return "\n".join([*mixed, render.text(record)])

    show(evidence | {"unfinished": late}, as_json, told)
