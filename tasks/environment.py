"""Whether this machine may run this project: versions against the lock, git and DVC, free disk, memory."""

from __future__ import annotations

import re
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from tasks.params import Params

LOCK = Path(__file__).resolve().parents[1] / "requirements.lock"


def faults(root: Path, params: Params) -> list[str]:
    """A sentence for everything that forbids a run here; empty when nothing does."""
    return [*_project_faults(root), *_disk_faults(root, params), *_version_faults(locked(LOCK))]


def locked(path: Path) -> dict[str, str]:
    """Distribution -> version that the lock pins."""
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(sorted(pins))


def readings(root: Path) -> dict[str, Any]:
    """Free disk and memory in GB, and the installed versions of what the lock pins, read now."""
    fields = dict(re.findall(r"^(\w+):\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"), re.MULTILINE))
    return {
        "free_disk_gb": round(shutil.disk_usage(root).free / 1e9, 1),
        "memory_gb": round(int(fields["MemTotal"]) * 1024 / 1e9, 1),
        "free_memory_gb": round(int(fields["MemAvailable"]) * 1024 / 1e9, 1),
        "versions": {name: version for name in locked(LOCK) if (version := _installed(name))},
    }


def _project_faults(root: Path) -> list[str]:
    found = []
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        found.append("This folder is in no git repository, which DVC and every record need: run `git init` here.")
    if not (root / ".dvc" / "config").is_file():
        found.append("DVC is not initialised in this folder: run `dvc init` here.")
    return found


def _disk_faults(root: Path, params: Params) -> list[str]:
    free, needed = shutil.disk_usage(root).free / 1e9, params.resources.min_free_disk_gb
    if free >= needed:
        return []
    return [
        f"Only {free:.1f} GB of disk are free where this project lies, resources.min_free_disk_gb asks for "
        f"{needed:g}: free some or lower it."
    ]


def _version_faults(pins: dict[str, str]) -> list[str]:
    installed = {name: version for name in pins if (version := _installed(name))}
    off = {name: version for name, version in installed.items() if not _same(version, pins[name])}
    if not off:
        return []
    differences = ", ".join(f"{name} {version} (lock: {pins[name]})" for name, version in off.items())
    return [
        f"Installed versions differ from requirements.lock: {differences}; run `pip install -c requirements.lock "
        f"{' '.join(off)}` where Graft is installed, or lock anew on purpose."
    ]


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _same(installed: str, pinned: str) -> bool:
    # torch names its CPU build 2.13.0+cpu: the part after + is how, not what.
    return installed.split("+")[0] == pinned.split("+")[0]
