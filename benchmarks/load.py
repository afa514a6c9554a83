"""Servers as processes and what is asked of them: the benchmarks of serving share it.

`saturate` is wrk (https://github.com/wg/wrk), which must be on PATH: a client written in Python takes the CPU that it
measures. `paced` sends at a rate, whatever the answers take, as the world does.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

HEAD = b"POST /predict HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
LUA = """
local requests, next_one, refused = {}, 0, 0
function init(args)
  for line in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("POST", "/predict", {["Content-Type"] = "application/json"}, line)
  end
end
function request()
  next_one = next_one % #requests + 1
  return requests[next_one]
end
"""


@dataclass
class Load:
    """What clients got.

    Attributes:
        rate: answers with status 200 a second.
        p50_ms: median of their latency.
        p99_ms: 99th percentile of it.
        statuses: status -> answers; 0 is a connection that broke.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    statuses: Counter[int] = field(default_factory=Counter)


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextmanager
def process(command: Sequence[object], port: int, body: bytes, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server, once it answers `body` on `port`; ended with the block."""
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [str(part) for part in command], env={**os.environ, **environment}, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 120
            while asyncio.run(_status(port, body)) != 200:
                if server.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise SystemExit(f"{command} does not answer:\n{log.read()[-3000:].decode(errors='replace')}")
                time.sleep(0.2)
            yield server
        finally:
            server.terminate()
            with suppress(subprocess.TimeoutExpired):
                server.wait(20)
            with suppress(ProcessLookupError):  # some leave workers behind
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def graft(releases: Path, port: int, **environment: str) -> tuple[list[object], dict[str, str]]:
    """Command and environment of Graft's server."""
    own = {"GRAFT_RELEASES": str(releases), "GRAFT_LISTEN_PORT": str(port)}
    return [sys.executable, "-m", "deploy.service"], own | environment


async def _status(port: int, body: bytes) -> int:
    with suppress(OSError, asyncio.IncompleteReadError):
        connection = await asyncio.open_connection("127.0.0.1", port)
        try:
            return (await ask(*connection, body))[0]
        finally:
            connection[1].close()
    return 0


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> tuple[int, bytes]:
    """Status and body of the answer to one question, on a connection that is kept."""
    return await answer_to(reader, writer, HEAD % (len(body), body))


async def answer_to(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, bytes]:
    """The same for a whole request."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    return int(head[9:12]), await reader.readexactly(int(length[1]) if length else 0)


def saturate(port: int, bodies: Sequence[bytes], clients: int, seconds: float) -> Load:
    """That many clients, each asking again as soon as it is answered, for whole seconds; one process, wrk."""
    with tempfile.TemporaryDirectory() as folder:
        script, lines = Path(folder) / "ask.lua", Path(folder) / "bodies"
        script.write_text(LUA)
        lines.write_bytes(b"\n".join(bodies) + b"\n")
        said = subprocess.run(
            ["wrk", "-t1", f"-c{clients}", f"-d{seconds:.0f}s", "--timeout", "30s", "--latency", "-s", script,
             f"http://127.0.0.1:{port}", "--", lines],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    errors = int(m[1]) if (m := re.search(r"Non-2xx or 3xx responses: (\d+)", said)) else 0
    total = int(re.search(r"(\d+) requests in", said)[1])  # type: ignore[index]
    rate = float(re.search(r"Requests/sec: *([\d.]+)", said)[1])  # type: ignore[index]
    p50, p99 = (_milliseconds(re.search(rf"{p}% *(\S+)", said)[1]) for p in ("50", "99"))  # type: ignore[index]
    return Load(rate * (1 - errors / max(1, total)), p50, p99, Counter({200: total - errors, 0: errors}))


def _milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}[unit]


async def paced(port: int, bodies: Sequence[bytes], rate: float, seconds: float, connections: int = 256) -> Load:
    """Requests that come by chance (Poisson) at `rate` a second, each on a connection that is free; a latency counts
    from when the request was due, so that a server that stalls is not spared what queued meanwhile."""
    draw = np.random.default_rng(0)
    due = np.cumsum(draw.exponential(1 / rate, int(rate * seconds)))
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    permits, statuses, times = asyncio.Semaphore(connections), Counter[int](), list[float]()
    started = time.perf_counter()

    async def one(number: int) -> None:
        async with permits:
            status = 0
            while not status:
                known = bool(idle)
                with suppress(OSError, asyncio.IncompleteReadError):
                    connection = idle.pop() if known else await asyncio.open_connection("127.0.0.1", port)
                    status, _ = await ask(*connection, bodies[number % len(bodies)])
                    idle.append(connection)
                if not known:
                    break  # one that was kept may have been closed meanwhile: clients try again
            statuses[status] += 1
            if status == 200:
                times.append(time.perf_counter() - started - due[number])

    async with asyncio.TaskGroup() as tasks:
        for number, when in enumerate(due):
            if (wait := when - (time.perf_counter() - started)) > 0:
                await asyncio.sleep(wait)
            tasks.create_task(one(number))
    for _, writer in idle:
        writer.close()
    p50, p99 = np.percentile(times, [50, 99]) * 1e3 if times else (np.nan, np.nan)
    return Load(len(times) / (time.perf_counter() - started), float(p50), float(p99), statuses)


def memory_mb(pid: int) -> float:
    """Resident memory of a process now."""
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0]) / 1024


def cpu_seconds(pid: int) -> float:
    """CPU seconds so far of a process, and of those that it and its children have started and that are there."""
    parents: dict[int, tuple[int, int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended since
            values = path.read_text().rpartition(")")[2].split()
            parents[int(path.parent.name)] = int(values[1]), int(values[11]) + int(values[12])
    family = {pid}
    while more := {one for one, (parent, _) in parents.items() if parent in family} - family:
        family |= more
    return sum(ticks for one, (_, ticks) in parents.items() if one in family) / os.sysconf("SC_CLK_TCK")


def texts_of(path: Path) -> list[str]:
    """The first column of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return [row[0] for row in csv.reader(file)][1:]


def bodies_of(texts: Sequence[str]) -> list[bytes]:
    """One request for each text."""
    return [json.dumps({"inputs": [text]}).encode() for text in texts]
