"""Settings of a server: they change how fast it answers, never what; so they come from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from tasks.errors import InputError

PREFIX = "GRAFT_"
MEGABYTE = 1_000_000
NAMES_ELSEWHERE = {
    "GRAFT_RELEASES", "GRAFT_RELEASE", "GRAFT_CACHE", "GRAFT_PROJECT", "GRAFT_PROJECT_FOLDER", "GRAFT_API_KEYS",
    "GRAFT_API_KEYS_FILE", "GRAFT_LEADER", "GRAFT_PARENT",
}  # fmt: skip
LIMITS: dict[str, tuple[float, float]] = {
    "threads": (1, 256),
    "pass_threads": (1, 256),
    "batch_rows": (1, 256),
    "batch_tokens": (1, 1_000_000),
    "wait_ms": (0, 1000),
    "queue_rows": (64, 100_000),
    "deadline_ms": (1, 3_600_000),
    "connections": (1, 1_000_000),
    "header_seconds": (0.01, 3600),
    "requests": (1, 100_000),
    "body_mb": (1, 1024),
    "bodies_mb": (1, 1_000_000),
    "body_seconds": (0.01, 3600),
    "challenger_percent": (0, 100),
    "shadow_percent": (0, 100),
    "drain_seconds": (0, 3600),
    "stop_seconds": (1, 3600),
    "listen_port": (0, 65535),
    "log_seconds": (0.01, 3600),
    "log_rows": (1, 10_000_000),
    "log_hours": (1, 100_000),
    "log_inputs": (0, 1),
}


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Settings:
    """Settings of one server, each also a variable: `queue_rows` is GRAFT_QUEUE_ROWS.

    Attributes:
        threads: CPU threads of all forward passes, 1 to 256; the CPUs this process may use if not said.
        pass_threads: of them that one pass has, 1 to 256. With 1, as many passes run at once as there are threads, and
            most requests a second are answered; with all, one runs at once, and a long text alone is answered soonest.
        batch_rows: rows of a forward pass, at most, 1 to 256.
        batch_tokens: tokens of a forward pass with padding, at most, 1 to 1000000; a longer text has a pass of its own.
        wait_ms: longest wait for a batch to fill, 0 to 1000 milliseconds.
        queue_rows: rows that may wait, 64 to 100000; beyond, requests are answered 429.
        deadline_ms: from a whole body to its answer, 1 to 3600000 milliseconds; what takes longer is answered 504. What
            would have to wait for over a quarter of it, as far as one can tell, is answered 429 at once.
        connections: that are open, 1 to 1000000; beyond, the one that has waited longest for the headers of a request
            is closed, or the new one where none waits.
        header_seconds: from the beginning of a connection or the end of an answer until the headers of the next request
            are there, 0.01 to 3600; a slower connection is closed.
        requests: that have begun and are not answered, 1 to 100000; beyond, 429.
        body_mb: megabytes of one request, 1 to 1024; larger ones are answered 413.
        bodies_mb: megabytes of all requests that have begun, 1 to 1000000; beyond, 429. Copies of requests for the
            challenger may hold as much again; one that would be beyond is not made.
        body_seconds: for a body to come, 0.01 to 3600; a slower one is answered 408. A client that takes longer to read
            its answer is left.
        challenger_percent: of requests that the release which the alias challenger names answers, 0 to 100. One that it
            cannot answer, the champion does.
        shadow_percent: of the champion's requests that the challenger gets a copy of, 0 to 100, its answers in metrics
            and in a log of their own.
        drain_seconds: to go on as ever after a signal, but for /readyz, 0 to 3600: until a load balancer has seen it.
        stop_seconds: seconds to finish begun requests when stopped, 1 to 3600.
        listen_host: address to listen on. (GRAFT_HOST and GRAFT_PORT are names that Kubernetes sets itself.)
        listen_port: TCP port, 0 to 65535; 0 takes a free one.
        log_folder: of the prediction log, counted from the folder of releases, or from `releases` here where those lie
            at a URL; empty for no log.
        log_seconds: between two writes of the log, 0.01 to 3600; what a kill may cost.
        log_rows: rows an hour that are logged, 1 to 10000000; the rest of the hour is dropped and counted. An input
            that is kept counts one more for every thousand characters.
        log_hours: hours whose files are kept, 1 to 100000, the current one among them.
        log_inputs: 1 to log the texts too, 0 for none; files are never logged.

    Raises:
        InputError: a value out of its range.
    """

    threads: int = field(default_factory=_cpus)
    pass_threads: int = 1
    batch_rows: int = 16
    batch_tokens: int = 128
    wait_ms: float = 2.0
    queue_rows: int = 256
    deadline_ms: float = 5000.0
    connections: int = 2000
    header_seconds: float = 10.0
    requests: int = 1024
    body_mb: int = 16
    bodies_mb: int = 256
    body_seconds: float = 30.0
    challenger_percent: float = 0.0
    shadow_percent: float = 0.0
    drain_seconds: float = 0.0
    stop_seconds: int = 30
    listen_host: str = "127.0.0.1"
    listen_port: int = 8000
    log_folder: str = "predictions"
    log_seconds: float = 5.0
    log_rows: int = 50_000
    log_hours: int = 168
    log_inputs: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            if not low <= getattr(self, name) <= high:
                raise InputError(f"{_variable(name)} is {getattr(self, name)}: set it to {_wanted(name)}.")

    @property
    def passes(self) -> int:
        """Forward passes at once."""
        return max(1, self.threads // self.pass_threads)

    @property
    def threads_of_pass(self) -> int:
        """Threads that one pass has."""
        return min(self.pass_threads, self.threads)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Settings from variables; those that are not set keep their default.

        Raises:
            InputError: no number where one is needed, or out of its range.
        """
        given: dict[str, Any] = {}
        for name, kind in KINDS.items():
            text = environment.get(_variable(name))
            if text is None:
                continue
            try:
                given[name] = kind(text)
            except ValueError:
                raise InputError(f"{_variable(name)} is {text!r}: set it to {_wanted(name)}, or unset it.") from None
        return cls(**given)


KINDS = {entry.name: {"int": int, "float": float, "str": str}[str(entry.type)] for entry in fields(Settings)}


def ignored_names(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Variables that look like settings and are none: a misspelt one should not go unnoticed."""
    known = {_variable(name) for name in KINDS} | NAMES_ELSEWHERE
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _wanted(name: str) -> str:
    low, high = LIMITS[name]
    if KINDS[name] is float:
        return f"a number from {low} to {high}"
    return "0 or 1" if (low, high) == (0, 1) else f"a whole number from {low} to {high}"
