"""Seeded fuzzed requests to a real server: no crash, no 5xx, no growth of memory.

python -m benchmarks.fuzz_server [COUNT] [SEED]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from benchmarks import load
from tests.fuzz import Request, requests
from tests.serving import released

TENTHS, CLIENTS = 10, 8


async def ask(port: int, some: list[Request]) -> Counter[int]:
    """Statuses; 0 for a connection that broke."""
    statuses: Counter[int] = Counter()
    connection = None
    for request in some:
        status = 0
        with suppress(OSError, asyncio.IncompleteReadError):
            connection = connection or await asyncio.open_connection("127.0.0.1", port)
            head = f"POST /predict?{request.query} HTTP/1.1\r\nHost: t\r\nContent-Type: {request.kind}\r\n"
            head += f"Content-Length: {len(request.body)}\r\n\r\n"
            status, _ = await load.answer_to(*connection, head.encode("latin-1") + request.body)
        statuses[status] += 1
        if not status and connection:
            connection[1].close()
            connection = None
    if connection:
        connection[1].close()
    return statuses


async def tenth(port: int, some: list[Request]) -> Counter[int]:
    """Statuses of all, asked by some clients at once."""
    parts = await asyncio.gather(*[ask(port, some[i::CLIENTS]) for i in range(CLIENTS)])
    return sum(parts, Counter())


def main(count: int = 100_000, seed: int = 0) -> None:
    """Print statuses, and the server's memory after each tenth."""
    port, statuses, started = load.free_port(), Counter[int](), time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        line, environment = load.graft(released(Path(place)), port, GRAFT_LOG_FOLDER="")
        with load.process(line, port, b'{"inputs": ["good"]}', **environment) as server:
            memory = []
            stream = requests(seed, count)
            for _ in range(TENTHS):
                statuses += asyncio.run(tenth(port, [next(stream) for _ in range(count // TENTHS)]))
                memory.append(load.memory_mb(server.pid))
            alive = server.poll() is None
    print(
        f"{count} requests in {time.perf_counter() - started:.0f} s: {dict(sorted(statuses.items()))}, alive: {alive}"
    )
    print("memory after each tenth, MB:", *[f"{one:.1f}" for one in memory])


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
