"""Starts of a server until it says that it is ready: python -m benchmarks.cold_start RELEASES [STARTS]

RELEASES is a folder of releases, such as benchmarks.serving makes.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import load


def start(releases: Path) -> tuple[float, float, float]:
    """Seconds, CPU seconds and resident MB of one start."""
    command, environment = load.graft(releases, load.free_port(), GRAFT_LOG_FOLDER="")
    began = time.perf_counter()
    server = subprocess.Popen(
        [str(part) for part in command], env={**os.environ, **environment}, stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    try:
        assert any(b'"message": "ready"' in line for line in server.stdout), "the server ended"
        return time.perf_counter() - began, load.cpu_seconds(server.pid), load.memory_mb(server.pid)
    finally:
        server.terminate()
        server.wait()


def main(place: str, starts: int = 10) -> None:
    """Print median, least and most."""
    found = [start(Path(place)) for _ in range(starts + 1)][1:]  # the first one reads the disk
    for name, values in zip(("seconds", "CPU seconds", "MB"), zip(*found, strict=True), strict=True):
        print(f"{name} until ready: {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:3]))
