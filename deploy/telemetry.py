"""What a server says about its work: metrics, one JSON line per request; never the text of a request."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import traceback
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tasks.runtime import Manifest

LOG = logging.getLogger("graft.serve")
REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
STOPPING = "The server is stopping: send the request to another one."
ROWS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Prometheus metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("graft_requests", "Requests.", ["route", "status"], registry=self.registry)
        self.connections_ended = Counter(
            "graft_connections_ended",
            "Connections ended: headers that did not come, an answer not taken, too many open.",
            ["reason"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "graft_request_seconds", "Seconds per request.", ["route"], buckets=SECONDS, registry=self.registry
        )
        self.batch_rows = Histogram("graft_batch_rows", "Rows per forward pass.", buckets=ROWS, registry=self.registry)
        self.queue_rows = Gauge("graft_queue_rows", "Rows that wait.", ["alias"], registry=self.registry)
        self.bundle = Info("graft_bundle", "The bundles that answer.", ["alias"], registry=self.registry)
        self.refused = Gauge(
            "graft_release_refused",
            "1 while the alias names a release that cannot be loaded.",
            ["alias"],
            registry=self.registry,
        )
        self.unreadable = Gauge(
            "graft_alias_unreadable",
            "1 while the alias cannot be read or, of the champion, names no release: what answers goes on.",
            ["alias"],
            registry=self.registry,
        )
        self.predictions = Counter(
            "graft_predictions", "Answers by release and label.", ["version", "label"], registry=self.registry
        )
        self.answer_seconds = Histogram(
            "graft_answer_seconds",
            "Seconds from a request's examples to their answers.",
            ["version"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.challenger_failures = Counter(
            "graft_challenger_failures",
            "Requests that the challenger did not answer, by error.",
            ["version", "error"],
            registry=self.registry,
        )
        self.shadow_rows = Counter(
            "graft_shadow_rows",
            "Answers of the challenger to copies, by whether they are the champion's.",
            ["version", "same"],
            registry=self.registry,
        )
        self._versions: dict[str, list[str]] = {}
        self.log_dropped = Counter(
            "graft_log_dropped_rows", "Rows that the prediction log had no room for.", registry=self.registry
        )
        self.log_refused = Counter(
            "graft_log_refused_writes", "Writes of the prediction log that failed.", registry=self.registry
        )

    def serves(self, alias: str, manifest: Manifest | None, waiting: Callable[[], float]) -> None:
        """Another release answers under a name, or none does.

        Args:
            alias: the name.
            manifest: of the release.
            waiting: gives the rows that wait for it.
        """
        self.queue_rows.labels(alias).set_function(waiting)
        if manifest is None:
            self.bundle.remove(alias)
            return
        told = {"version": manifest.version, "project": manifest.project, "artefact": manifest.artefact}
        self.bundle.labels(alias).info(told)
        self._versions[alias] = [*self._versions.get(alias, []), manifest.version]
        self._forget(alias)

    def _forget(self, alias: str) -> None:
        """What the last release but one counted: of the last, a scraper may not have seen the end."""
        *old, _, _ = ["", *self._versions[alias]]
        self._versions[alias] = self._versions[alias][-2:]
        kept = {version for versions in self._versions.values() for version in versions}
        for version in {*old} - kept:
            for metric in (self.predictions, self.answer_seconds, self.challenger_failures, self.shadow_rows):
                metric.remove_by_labels({"version": version})

    def answered(self, version: str, labels: Iterable[str], seconds: float) -> None:
        """A request was answered by a release with these labels."""
        self.answer_seconds.labels(version).observe(seconds)
        for label in labels:
            self.predictions.labels(version, label).inc()


class RequestLog:
    """ASGI middleware: request id, metrics and log line of every request, and the answer to an unforeseen error.

    Args:
        app: what is wrapped.
        metrics: where requests are counted.
        routes: paths that are named in metrics and lines; others are "other", since a path may hold anything.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: frozenset[str]) -> None:
        self._app, self._metrics, self._routes = app, metrics, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        line: dict[str, Any] = {"request_id": _request_id(scope), "method": scope["method"]}
        scope.setdefault("state", {})["line"] = line

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = line["request_id"]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            pass  # nobody is there to be answered
        except asyncio.CancelledError:
            if status:
                raise
            # uvicorn cancels what is not answered when its time to stop is over, and would answer 500.
            await JSONResponse({"detail": STOPPING}, 503, {"Retry-After": "1"})(scope, receive, send_with_id)
        except Exception as error:
            line |= _without_values(error)
            if not status:
                answer = JSONResponse({"detail": _unforeseen(line["request_id"])}, status_code=500)
                await answer(scope, receive, send_with_id)
        finally:
            self._record(scope, line, status, time.perf_counter() - started)

    def _record(self, scope: Scope, line: dict[str, Any], status: int, seconds: float) -> None:
        route = scope["path"] if scope["path"] in self._routes else "other"
        # 499 as nginx says it: the client went away before there was an answer.
        line |= {"route": route, "status": status or 499, "milliseconds": round(seconds * 1e3, 2)}
        self._metrics.requests.labels(route, str(line["status"])).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        LOG.info("request", extra={"fields": line})


class JsonLines(logging.Formatter):
    """Every log record as one line of JSON, with its `fields` where it has some."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "when": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[1]:
            line |= _without_values(record.exc_info[1])
        return json.dumps(line | getattr(record, "fields", {}))


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else token_hex(16)


def _without_values(error: BaseException) -> dict[str, Any]:
    """Type and place of an error; its message may quote what was sent."""
    return {"error": type(error).__name__, "trace": traceback.format_tb(error.__traceback__)}


def _unforeseen(request_id: str) -> str:
    return f"The server failed on this request in a way nobody foresaw: look for {request_id} in its log."
