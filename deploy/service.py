"""The HTTP server of one release: POST /predict, GET /livez, /readyz, /metrics. Loads neither torch nor Prefect."""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from deploy.admission import Intake, Late, deadline
from deploy.answering import Answering
from deploy.batching import Closed, Overloaded
from deploy.connections import protocol
from deploy.keys import Keys
from deploy.openapi import QUESTION, Alive, Answers, Ready, responses, tell
from deploy.question import check_named, examples_of, top_k_of
from deploy.releases import CHAMPION, Releases, releases_of
from deploy.settings import Settings, ignored_names
from deploy.telemetry import LOG, JsonLines, RequestLog
from tasks.errors import GraftError, InputError

ROUTES = frozenset({"/predict", "/livez", "/readyz", "/metrics", "/openapi.json"})
THERE_IS = "there are POST /predict, GET /livez, /readyz, /metrics and /openapi.json"
DETAILS = {404: f"This path does not exist: {THERE_IS}.", 405: f"This path takes another method: {THERE_IS}."}
# Open files of a server beside its connections: graphs, libraries, logs, pipes.
OTHER_FILES = 256
# FastAPI's own telemetry records what clients sent.
NO_TELEMETRY: Any = dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)


def create_app(
    releases: Releases, alias: str = CHAMPION, settings: Settings | None = None, keys: Keys | None = None
) -> FastAPI:
    """The application; `app.state.answering` is the release behind it, `app.state.loading` the task that loads it.

    Args:
        releases: where they lie.
        alias: an alias, whose moves the application follows within seconds, or a version, which it keeps.
        settings: of the server; from the environment if not given.
        keys: that requests need; from the environment if not given.
    """
    settings = settings or Settings.from_environment()
    answering = Answering(releases, alias, settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.loading = asyncio.create_task(answering.load())
        yield
        app.state.loading.cancel()  # a store may be minutes in answering
        await asyncio.wait([app.state.loading])
        await answering.close()

    app = FastAPI(
        title="Graft", docs_url=None, redoc_url=None, lifespan=lifespan, telemetry=NO_TELEMETRY,
    )  # fmt: skip
    app.router.route_class = _Described
    app.state.answering = answering
    app.add_middleware(RequestLog, metrics=answering.metrics, routes=ROUTES)
    keys = Keys.from_environment() if keys is None else keys
    _add_routes(app, answering, settings, keys)
    _add_errors(app)
    tell(app, answering.runtime, keys.wanted)
    return app


class _Described(APIRoute):
    """A route whose endpoint takes the request and gives the response: FastAPI describes it, and checks nothing."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


def _add_routes(app: FastAPI, answering: Answering, settings: Settings, keys: Keys) -> None:
    intake = Intake(settings)

    told = responses(401, 408, 413, 422, 429, 500, 503, 504)

    @app.post("/predict", response_model=Answers, responses=told, openapi_extra=QUESTION)
    async def predict(request: Request) -> Response:
        """Answer 1 to 64 texts, or files where the release answers files, each with `top_k` labels if asked for."""
        keys.check(request)
        line, top_k = request.state.line, top_k_of(request)
        with intake.place() as body:
            await intake.read(request, body)
            async with deadline(settings.deadline_ms):
                examples = await examples_of(request, bytes(body), answering.runtime())
                line["rows"] = len(examples)
                check_named(len(examples), top_k, answering.runtime())
                answers = await answering.answer(line["request_id"], examples, top_k)
        line["version"] = answers["version"]
        return JSONResponse(answers, headers={"connection": "close"} if answering.draining else None)

    @app.get("/livez", response_model=Alive)
    async def livez(_: Request) -> Response:
        """The process answers."""
        return JSONResponse({"alive": True})

    @app.get("/readyz", response_model=Ready, responses=responses(503))
    async def readyz(_: Request) -> Response:
        """The release is loaded and requests are taken."""
        return JSONResponse({"version": answering.ready().version})

    @app.get("/metrics", response_class=PlainTextResponse, responses=responses(401))
    async def metrics(request: Request) -> Response:
        """Prometheus metrics."""
        keys.check(request)
        return Response(generate_latest(answering.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _add_errors(app: FastAPI) -> None:
    for kind, status in {InputError: 422, Overloaded: 429, Closed: 503, Late: 504}.items():
        _answer_with(app, kind, status)

    @app.exception_handler(HTTPException)
    async def _(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"detail": DETAILS.get(error.status_code, error.detail)}, error.status_code, error.headers)


def _answer_with(app: FastAPI, kind: type[GraftError], status: int) -> None:
    @app.exception_handler(kind)
    async def _(_: Request, error: GraftError) -> Response:
        later = {"Retry-After": str(getattr(error, "retry_s", 1))} if status in (429, 503, 504) else None
        return JSONResponse({"detail": str(error)}, status, later)


class _Server(uvicorn.Server):
    """uvicorn that ends by itself when the release cannot be loaded, and quietly when it is told to stop."""

    def __init__(self, config: uvicorn.Config, answering: Answering, drain_seconds: float = 0) -> None:
        super().__init__(config)
        self._answering, self._drain_seconds, self._stops_at = answering, drain_seconds, math.inf

    async def on_tick(self, counter: int) -> bool:
        over = self._answering.failure is not None or time.monotonic() >= self._stops_at
        return over or await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self._answering.draining:
            self._answering.draining = True
            self._stops_at = time.monotonic() + self._drain_seconds
            self.should_exit = not self._drain_seconds
            return
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def serve(releases: Releases, alias: str = CHAMPION, settings: Settings | None = None) -> None:
    """Serve a release until a signal ends it; requests that have begun are finished.

    Args:
        releases: where they lie.
        alias: an alias or a version.
        settings: of the server; from the environment if not given.

    Raises:
        InputError: no such release, a damaged one, or a port that cannot be opened.
    """
    settings = settings or Settings.from_environment()
    settings = replace(settings, connections=_connections(settings.connections))
    releases.path_of(alias)  # a wrong name is told before a port is opened
    app = create_app(releases, alias, settings)
    server = _server(app, settings)
    listening = _listen(settings.listen_host, settings.listen_port)
    _log_lines()
    host, port = listening.getsockname()[:2]
    LOG.info("start", extra={"fields": {**asdict(settings), "address": f"{host}:{port}"}})
    if ignored := ignored_names():
        told = {"names": ignored, "reason": "No setting of the server is called so: correct the name, or unset it."}
        LOG.warning("settings ignored", extra={"fields": told})
    server.run([listening])
    if app.state.answering.failure:
        raise app.state.answering.failure


def _server(app: FastAPI, settings: Settings) -> _Server:
    answering: Answering = app.state.answering
    config = uvicorn.Config(
        app, http=protocol(settings, answering.metrics), ws="none", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, timeout_graceful_shutdown=settings.stop_seconds,
        timeout_keep_alive=math.ceil(settings.header_seconds) + 1,  # after `Connection`, which counts what it ends
    )  # fmt: skip
    return _Server(config, answering, settings.drain_seconds)


def _connections(wanted: int) -> int:
    """As many of them as the system allows: the lower limit of open files is for programs that use select()."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # where no limit is said, the system may have one
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if allowed == resource.RLIM_INFINITY else max(1, min(wanted, allowed - OTHER_FILES))


def _listen(host: str, port: int) -> socket.socket:
    """Raises InputError: the host is no address of this machine, or the port cannot be opened."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only where the protocol is named: without it, an answer waits 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except (OSError, TypeError) as error:  # the latter of a name that cannot be encoded
        listening.close()
        raise InputError(_not_opened(host, port, error)) from None
    return listening


def _not_opened(host: str, port: int, error: OSError | TypeError) -> str:
    told = error.strerror if isinstance(error, OSError) else "it is no name"
    if isinstance(error, TypeError | socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return (
            f"Host {host} is no address of this machine ({told}): set GRAFT_LISTEN_HOST to one, as 127.0.0.1 for this "
            "machine alone, or to 0.0.0.0 for all of them."
        )
    return f"Port {port} of {host} cannot be opened ({told}): set --port or GRAFT_LISTEN_PORT to a free one."


def _log_lines() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.INFO)


def main() -> int:
    """Serve what GRAFT_RELEASES and GRAFT_RELEASE name; exit code 0 when stopped, 2 for unusable input."""
    try:
        serve(releases_of(Path()), os.environ.get("GRAFT_RELEASE", CHAMPION))
    except GraftError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
