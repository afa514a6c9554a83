"""`graft up`, `stop`, `schedule`: a Prefect server and a worker, and what runs there by itself."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from flows.commands import Json, command, show


@command
def up(root: Path, as_json: Json = False) -> None:
    """Start a Prefect server (where none is configured) and a worker, and apply the schedules."""
    from flows import standing
    from flows.overview import overview

    done = standing.up(root)
    record = asdict(done) | {"deployments": overview(done.url, done.scheduled)}
    del record["scheduled"]
    show(record, as_json, _up_text)


def _up_text(record: dict[str, Any]) -> str:
    page = record["url"].removesuffix("/api")
    state = f"Started: {' and '.join(record['started'])}." if record["started"] else "Everything was up already."
    return "\n".join([state, *record["crashed"], f"Prefect's page: {page}", *_table(record["deployments"])])


@command
def stop(root: Path, as_json: Json = False) -> None:
    """End this project's worker, the runs it started, and its Prefect server."""
    from flows import standing

    record = {"ended": standing.stop(root)}
    show(record, as_json, lambda _: "\n".join(record["ended"] or ["Nothing was running."]))


@command
def schedule(root: Path, as_json: Json = False) -> None:
    """Apply deploy/prefect.yaml, and show what runs when."""
    from flows import scheduling
    from flows.overview import overview

    names = scheduling.apply(root)
    url = str(scheduling.server_of(root))
    record = {"url": url, "worker": scheduling.has_worker(root, url), "deployments": overview(url, names)}
    show(record, as_json, _schedule_text)


def _schedule_text(record: dict[str, Any]) -> str:
    worker = [] if record["worker"] else ["No worker of this project runs on this machine: `graft up` starts one."]
    return "\n".join([f"Scheduled on {record['url']}:", *_table(record["deployments"]), *worker])


def _table(deployments: list[dict[str, Any]]) -> list[str]:
    rows = [
        (one["name"], "; ".join(one["schedules"]) or "at no fixed time", *_times(one), *one["automations"])
        for one in deployments
    ]
    widths = [max(map(len, column)) for column in zip(*(row[:4] for row in rows), strict=True)] if rows else []
    lines = []
    for row in rows:
        lines.append("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)).rstrip())
        lines += [f"  {automation}" for automation in row[4:]]
    return lines


def _times(one: dict[str, Any]) -> tuple[str, str]:
    planned = "paused" if one["paused"] else f"next {one['next'] or 'not planned yet'}"
    return planned, f"last {one['last_state']} {one['last']}" if one["last"] else "no run yet"
