"""What is let in and how long it may take: so many requests at once, so many bytes, so many seconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from fastapi import Request
from starlette.exceptions import HTTPException

from deploy.batching import Overloaded, lasting
from deploy.settings import MEGABYTE, Settings
from tasks.errors import GraftError
from tasks.words import counted


class Late(GraftError):
    """An answer was not there in time."""


@asynccontextmanager
async def deadline(milliseconds: float) -> AsyncIterator[None]:
    """What is not done in time is given up, and its rows leave the queue.

    Raises:
        Late: the time is over.
    """
    try:
        async with asyncio.timeout(milliseconds / 1e3):
            yield
    except TimeoutError:
        told = f"There was no answer in {lasting(milliseconds / 1e3)}: send fewer examples, or try again later."
        raise Late(told) from None


class Intake:
    """Bodies that are read or answered: what of them is held at once is bounded, and each has to come in time.

    Args:
        settings: of the server, those of requests and bodies.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._requests = self._bytes = 0

    @contextmanager
    def place(self) -> Iterator[bytearray]:
        """A place for one body, free again with the block.

        Raises:
            Overloaded: all are taken.
        """
        if self._requests >= self._settings.requests:
            most = counted(self._settings.requests, "request")
            raise Overloaded(f"The server holds {most} that it has not answered, and takes no more: try again later.")
        self._requests += 1
        body = bytearray()
        try:
            yield body
        finally:
            self._requests -= 1
            self._bytes -= len(body)

    async def read(self, request: Request, body: bytearray) -> None:
        """Fill `body` with that of a request.

        Raises:
            HTTPException: 413, it is too large; 408, it did not come in time.
            Overloaded: the bodies of all requests are too large together.
        """
        try:
            async with asyncio.timeout(self._settings.body_seconds):
                async for chunk in request.stream():
                    self._take(chunk, body)
        except TimeoutError:
            told = f"The body was not there in {lasting(self._settings.body_seconds)}: send it faster."
            raise HTTPException(408, told) from None

    def _take(self, chunk: bytes, body: bytearray) -> None:
        body += chunk
        self._bytes += len(chunk)
        if len(body) > self._settings.body_mb * MEGABYTE:
            raise HTTPException(413, f"The body is over {self._settings.body_mb} MB: send fewer or smaller examples.")
        if self._bytes > self._settings.bodies_mb * MEGABYTE:
            raise Overloaded(f"The bodies of all requests are over {self._settings.bodies_mb} MB: try again later.")
