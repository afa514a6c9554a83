"""Open connections: so many at once, and none waits for its client for ever. Bodies are the business of `admission`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from deploy.settings import Settings
from deploy.telemetry import Metrics

# llhttp has no limit of its own.
MOST_HEAD_BYTES = 65_536


def protocol(settings: Settings, metrics: Metrics) -> Any:
    """What makes uvicorn's connections, within the settings of one server."""
    return partial(Connection, settings, metrics, {})


class Connection(HttpToolsProtocol):
    """uvicorn's connection, which by itself ends none but those that are silent after an answer.

    Args:
        settings: of the server, those of connections, headers and bodies.
        metrics: where connections are counted that the server ends.
        waiting: those of the server that wait for the headers of a request, and since when, in this order.
        given: by uvicorn.
    """

    def __init__(
        self, settings: Settings, metrics: Metrics, waiting: dict[Connection, asyncio.TimerHandle], **given: Any
    ) -> None:
        super().__init__(**given)
        self._settings, self._metrics, self._waiting = settings, metrics, waiting
        self._head_bytes = 0.0
        self._untaken: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for it where there is none, as nginx does: the one that has waited longest for headers goes."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # so that `pause_writing` tells of every answer that is not taken
        if len(self.connections) > self._settings.connections:
            # One whose answer is still on its way would get a part of it.
            idle = (one for one in self._waiting if not one.transport.get_write_buffer_size())
            longest = next(idle, self)
            longest._end("full", longest.transport.abort)
        if not transport.is_closing():
            self._wait_for_headers()

    def data_received(self, data: bytes) -> None:
        """Count what comes until headers are complete."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The headers are over {MOST_HEAD_BYTES} bytes: send fewer.")

    def on_headers_complete(self) -> None:
        """From here on, `admission` sees to it that the body comes."""
        self._head_bytes = -math.inf
        self._wait_no_longer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next bytes are headers again."""
        self._head_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, unless it is there already."""
        super().on_response_complete()
        if not (self.pipeline or self.transport.is_closing()):
            self._wait_for_headers()

    def pause_writing(self) -> None:
        """The client does not take its answer."""
        super().pause_writing()
        later = partial(self._end, "answer", self.transport.abort)
        self._untaken = self.loop.call_later(self._settings.body_seconds, later)

    def resume_writing(self) -> None:
        """The client has taken all of its answer."""
        super().resume_writing()
        self._take()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._wait_no_longer()
        self._take()
        super().connection_lost(exc)

    def _wait_for_headers(self) -> None:
        self._wait_no_longer()
        # An answer that is still on its way is let out.
        later = partial(self._end, "headers", self.transport.close)
        self._waiting[self] = self.loop.call_later(self._settings.header_seconds, later)

    def _wait_no_longer(self) -> None:
        if timer := self._waiting.pop(self, None):
            timer.cancel()

    def _take(self) -> None:
        if self._untaken:
            self._untaken.cancel()

    def _end(self, why: str, close: Callable[[], None]) -> None:
        self._wait_no_longer()
        self._metrics.connections_ended.labels(why).inc()
        close()
