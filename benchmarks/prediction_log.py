"""Requests a second with and without the prediction log, in turns: of a model that costs nothing, and of the demo's."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from deploy.predictions import read
from deploy.releases import Releases
from tests.bundles import REFERENCE, tiny_bundle, write_manifest

CLIENTS, TURNS, SECONDS = 16, 10, 2.0
DEMO = Path("data/deployment/bundle")
TEXT = "Where is my parcel? good tracking stopped on Monday."


def free(folder: Path) -> Path:
    """A bundle whose model costs nothing, with as long a projection as a real one."""
    bundle = tiny_bundle(folder / "free")
    reference = replace(REFERENCE, projection=np.eye(2, 32, dtype=np.float32), offset=np.zeros(32, dtype=np.float32))
    reference.save(bundle / "drift.npz")
    write_manifest(bundle)
    return bundle


def released(bundle: Path, folder: Path) -> Path:
    releases = Releases(folder)
    releases.promote(releases.add(bundle), "speed", {})
    return releases.folder


async def ask(port: int, until: float) -> int:
    """Answers that one client got."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"inputs": [TEXT]})
    request = f"POST /predict HTTP/1.1\r\nHost: t\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    count = 0
    while time.perf_counter() < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        await reader.readexactly(int(re.findall(rb"content-length: (\d+)", head)[0]))
        count += 1
    writer.close()
    return count


async def rate(port: int) -> float:
    """Requests a second of all clients together."""
    until = time.perf_counter() + SECONDS
    return sum(await asyncio.gather(*[ask(port, until) for _ in range(CLIENTS)])) / SECONDS


def compare(name: str, releases: Path) -> None:
    """Two servers of one release, asked in turns, so that whatever else the machine does befalls both."""
    rates: dict[int, list[float]] = {_free_port(): [] for _ in range(2)}
    with ExitStack() as stack:
        for port, log in zip(rates, ("predictions", ""), strict=True):
            environment = {**os.environ, "GRAFT_RELEASES": str(releases), "GRAFT_LISTEN_PORT": str(port)}
            server = subprocess.Popen(
                [sys.executable, "-m", "deploy.service"],
                env=environment | {"GRAFT_LOG_FOLDER": log, "GRAFT_LOG_ROWS": "1000000"},
                stdout=subprocess.DEVNULL,
            )
            stack.callback(server.wait)
            stack.callback(server.terminate)
        for port in rates:
            _until_ready(port)
            asyncio.run(rate(port))
        for _ in range(TURNS):
            for port, found in rates.items():
                found.append(asyncio.run(rate(port)))
    logged, plain = rates.values()
    ratios = [a / b for a, b in zip(logged, plain, strict=True)]
    print(f"{name}: with log {statistics.median(logged):.0f}/s, without {statistics.median(plain):.0f}/s")
    print(f"ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f} in {TURNS} turns)")
    files = list((releases / "predictions").iterdir())
    rows = sum(table.num_rows for _, table in read(releases / "predictions", ["row"]))
    print(f"{rows} rows, {sum(path.stat().st_size for path in files) / rows:.0f} bytes each")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _until_ready(port: int) -> None:
    deadline = time.perf_counter() + 60
    while time.perf_counter() < deadline:
        with suppress(OSError, AssertionError):
            asyncio.run(ask(port, time.perf_counter() + 0.01))
            return
        time.sleep(0.1)
    raise SystemExit(f"No server answers on port {port} of this machine within a minute: see what it printed.")


def main() -> None:
    """Print rates and their ratio."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        compare("a model that costs nothing", released(free(folder), folder / "of-free"))
        if DEMO.is_dir():
            compare("the demo's model", released(DEMO, folder / "of-demo"))


if __name__ == "__main__":
    main()
