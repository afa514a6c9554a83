"""Twice as many requests as a server can answer: no 5xx, the refused get 429, memory flat, p99 within the deadline.

python -m benchmarks.overload RELEASES TEXTS.csv [SECONDS] [DEADLINE_MS] [RATE]

RELEASES is a folder of releases, such as benchmarks.serving makes. Capacity is what the server answers to 32 clients
that wait for their answers; the flood comes by chance, at twice that, or at RATE a second.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks import load

CLIENTS, TENTHS = 32, 10


def main(place: str, path: str, seconds: float = 600.0, deadline_ms: float = 1000.0, rate: float = 0.0) -> None:
    """Print statuses, p99 of what was answered, and the server's memory after each tenth."""
    bodies, port = load.bodies_of(load.texts_of(Path(path))), load.free_port()
    line, environment = load.graft(Path(place), port, GRAFT_DEADLINE_MS=str(deadline_ms))
    with load.process(line, port, bodies[0], **environment) as server:
        load.saturate(port, bodies, CLIENTS, 2)
        capacity = load.saturate(port, bodies, CLIENTS, 5).rate
        rate = rate or 2 * capacity
        statuses: Counter[int] = Counter()
        memory, p99 = [], []
        for _ in range(TENTHS):
            found = asyncio.run(load.paced(port, bodies, rate, seconds / TENTHS, connections=2048))
            statuses += found.statuses
            p99.append(found.p99_ms)
            memory.append(load.memory_mb(server.pid))
    print(f"CPU of the client: {time.process_time() / statuses.total() * 1e3:.2f} ms a request")
    print(f"capacity {capacity:.0f}/s, asked {rate:.0f}/s for {seconds:.0f} s: {dict(sorted(statuses.items()))}")
    print("p99 of the answered in each tenth, ms:", *[f"{one:.0f}" for one in p99])
    print("memory after each tenth, MB:", *[f"{one:.1f}" for one in memory])


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(float, sys.argv[3:6]))
