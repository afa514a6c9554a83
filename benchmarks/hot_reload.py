"""Releases that change under load: no request fails, and every answer is that of the version it names.

python -m benchmarks.hot_reload [RELOADS]

The other release answers "good" with bad and "bad" with good, so that an answer shows who gave it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks import load
from deploy.releases import Releases
from tests.bundles import HEAD, tiny_bundle

CLIENTS, WORDS = 16, ("good", "bad")


async def client(port: int, word: str, versions: list[str], stop: asyncio.Event, found: Counter[str]) -> None:
    """Asks until it is told to stop, and counts what it gets by version, or as wrong or failed."""
    connection = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"inputs": [word]}).encode()
    while not stop.is_set():
        status, content = await load.ask(*connection, body)
        if status != 200:
            found[f"status {status}"] += 1
            continue
        answer = json.loads(content)
        opposite = versions.index(answer["version"])
        right = WORDS[WORDS.index(word) ^ opposite]
        found[answer["version"] if answer["predictions"][0]["prediction"] == right else "wrong"] += 1
    connection[1].close()


async def reloads(port: int, pid: int, releases: Releases, versions: list[str], count: int) -> None:
    """Promote one and the other in turns, each when the one before it answers."""
    stop, found, memory = asyncio.Event(), Counter[str](), []
    clients = [asyncio.create_task(client(port, WORDS[i % 2], versions, stop, found)) for i in range(CLIENTS)]
    await asyncio.sleep(1)
    for number in range(count):
        version = versions[(number + 1) % 2]
        await asyncio.to_thread(releases.promote, version, "speed", {})
        before = found[version]
        while found[version] < before + CLIENTS:
            await asyncio.sleep(0.01)
            assert not any(task.done() for task in clients), "a client's connection broke"
        memory.append(load.memory_mb(pid))
    stop.set()
    await asyncio.gather(*clients)
    failed = {what: times for what, times in found.items() if what not in versions}
    print(f"{count} reloads, {found.total()} requests, failed or wrong: {failed or 0}")
    print(f"memory after each tenth, MB: {' '.join(f'{one:.1f}' for one in memory[:: max(1, count // 10)])}")


def main(count: int = 100) -> None:
    """Print what became of the requests."""
    with tempfile.TemporaryDirectory() as place:
        folder, port, started = Path(place), load.free_port(), time.perf_counter()
        releases = Releases(folder / "releases")
        versions = [releases.add(tiny_bundle(folder / name, head=HEAD[::step])) for name, step in (("a", 1), ("b", -1))]
        releases.promote(versions[0], "speed", {})
        line, environment = load.graft(releases.folder, port)
        with load.process(line, port, b'{"inputs": ["good"]}', **environment) as server:
            asyncio.run(reloads(port, server.pid, releases, versions, count))
        print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
