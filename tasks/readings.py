"""Readings: times, rates and peaks, taken once on a machine and reused, so that what rests on one is decided again."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.artifacts import canonical_json, read_json, sha256_text, write_json

FOLDER = "readings"
CPUINFO = Path("/proc/cpuinfo")


def once(store: Path, of: dict[str, Any], take: Callable[[], dict[str, Any] | None]) -> dict[str, Any] | None:
    """The reading that the store has, else a new one, which it keeps.

    Args:
        store: folder of one JSON file a reading; whoever deletes one has it taken anew.
        of: what is read and where, as plain JSON: the name of the reading.
        take: takes it; None where it cannot, which is not kept.
    """
    path = store / f"{sha256_text(canonical_json(of))}.json"
    if path.is_file():
        kept: dict[str, Any] = read_json(path)["found"]
        return kept
    found = take()
    if found is not None:
        write_json(path, {"of": of, "found": found})
    return found


def machine() -> str:
    """The kind of machine that a time belongs to: its processor and the number of its cores."""
    cpuinfo = CPUINFO.read_text(encoding="utf-8", errors="replace") if CPUINFO.is_file() else ""
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores"
