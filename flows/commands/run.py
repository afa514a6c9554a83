"""`graft run` and `graft report`: the four phases, and the evidence they left."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands import Json, command, show


@command
def run(
    root: Path,
    dry: Annotated[bool, typer.Option("--dry", help="Say what would run, with time and disk; run nothing.")] = False,
    promote: Annotated[bool, typer.Option("--promote", help="Make the bundle the champion.")] = False,
    as_json: Json = False,
) -> None:
    """Bring all four phases up to date: what ran, what was fresh, the verdict."""
    from tasks.receipt import render
    from tasks.reproduce import refuse_unusable, stale

    refuse_unusable(root)
    waiting = stale(root)
    if dry:
        show(_estimate(root, waiting), as_json, _dry_text)
        return
    if waiting:
        _transfer(root)
    evidence = render.collect(root)
    record: dict[str, Any] = {"ran": sorted(waiting), "verdict": evidence["verdict"], "sentence": evidence["sentence"]}
    if promote:
        record["champion"] = _promote(root, evidence["sentence"])
    show(record, as_json, _run_text)


def _transfer(root: Path) -> None:
    import os

    # Without these, Prefect's start-up waits on telemetry that goes nowhere.
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from flows.transfer import transfer
    from tasks.phases import error_of

    error = error_of(transfer(str(root), return_state=True))
    if error:
        raise error


def _promote(root: Path, why: str) -> str:
    from flows.commands.release import add_and_promote

    return add_and_promote(root, why)


def _run_text(record: dict[str, Any]) -> str:
    ran = f"Ran: {', '.join(record['ran'])}." if record["ran"] else "Nothing to run: everything is up to date."
    champion = [f"Champion: {record['champion']}."] if "champion" in record else []
    return "\n".join([ran, record["sentence"], *champion])


def _estimate(root: Path, waiting: dict[str, str]) -> dict[str, Any]:
    """Seconds as the last run of each stage here took, None where there was none; disk of outputs and cache, in GB."""
    from tasks.reproduce import last_seconds

    known = last_seconds(root)
    size = sum(path.stat().st_size for path in root.glob("data/*/*") if path.is_file())
    model = sum(path.stat().st_size for path in root.glob("data/*/model/*") if path.is_file()) or 100_000_000
    return {
        "would_run": waiting,
        "seconds": {name: known.get(name) for name in waiting},
        "disk_gb": round((4 * model + 2 * size) / 1e9, 2) if waiting else 0.0,
        "free_disk_gb": round(shutil.disk_usage(root).free / 1e9, 1),
    }


def _dry_text(record: dict[str, Any]) -> str:
    if not record["would_run"]:
        return "Nothing would run: everything is up to date."
    lines = [f"{name}: {reason}; {_seconds(record['seconds'][name])}" for name, reason in record["would_run"].items()]
    known = [seconds for seconds in record["seconds"].values() if seconds is not None]
    lines.append(
        f"About {sum(known):.0f} s for the {len(known)} stages that ran here before, {record['disk_gb']} GB of disk "
        f"({record['free_disk_gb']} free)."
    )
    return "\n".join(lines)


def _seconds(seconds: float | None) -> str:
    return "never ran here" if seconds is None else f"about {seconds:.0f} s"


@command
def report(root: Path, as_json: Json = False) -> None:
    """The receipt: did the transfer pay off, by which evidence, and what ships."""
    from tasks.receipt import render

    show(render.collect(root), as_json, render.text)
