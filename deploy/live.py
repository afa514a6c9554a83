"""One release that answers: loaded aside, fed in batches, swapped while it runs, drained at the end. No HTTP."""

from __future__ import annotations

import asyncio
import ctypes
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np

from deploy.batching import Batcher, Closed
from deploy.releases import VERSION, Releases
from deploy.settings import Settings
from deploy.telemetry import LOG, Metrics
from tasks.errors import CrashError, GraftError, InputError
from tasks.runtime import Example, Runtime

# So many characters are encoded in under a millisecond: another thread would cost more.
ENCODED_AT_ONCE = 1_000
LOOK_SECONDS = 1.0
T = TypeVar("T")
# What could not be loaded may have been restored since; checking it costs a second of a CPU.
RETRY_SECONDS = 60.0


class Live:
    """The release that a name stands for; of an alias, always the one that it names.

    Args:
        releases: where it lies.
        name: an alias or a version.
        settings: of the server.
        metrics: where it is told.
        needed: whether there must be one; if not, an alias that names none is no fault, and one that is taken away ends
            what it named.
    """

    def __init__(
        self, releases: Releases, name: str, settings: Settings, metrics: Metrics, needed: bool = True
    ) -> None:
        self._releases, self._name, self._settings = releases, name, settings
        self._metrics, self._needed = metrics, needed
        self._loaded: tuple[Runtime, Batcher] | None = None
        self._encoding = 0
        self._refused, self._refused_at = "", 0.0
        self._unreadable = False
        self._following: asyncio.Task[None] | None = None
        self._leaving: asyncio.Task[None] | None = None
        self.failure: GraftError | None = None

    @property
    def version(self) -> str | None:
        """Of the release that is loaded, None if there is none."""
        return self._loaded[0].version if self._loaded else None

    def runtime(self) -> Runtime:
        """The loaded bundle.

        Raises:
            Closed: not loaded yet, or could not be loaded.
        """
        return self._working()[0]

    def _working(self) -> tuple[Runtime, Batcher]:
        if self.failure:
            raise Closed(str(self.failure))
        if self._loaded is None:
            raise Closed("The server is still loading its release: try again in a second.")
        return self._loaded

    async def load(self) -> None:
        """Load the release; a failure is kept where one is needed, since the server has to say why it ends."""
        if self._needed:
            try:
                await self._answer_with(await self._load(self._name))
            except GraftError as error:
                self.failure = error
                return
        if not VERSION.fullmatch(self._name):
            self._following = asyncio.create_task(self._follow())

    async def _load(self, name: str) -> Runtime:
        try:
            path = await _aside(self._releases.path_of, name)
            return await _aside(Runtime.load, path, self._settings.threads_of_pass, path.name)
        except GraftError:
            raise
        except Exception as error:
            LOG.error("load", exc_info=error)
            told = f"The release could not be loaded ({type(error).__name__}): its log says where."
            raise CrashError(told) from error

    def _batcher(self, runtime: Runtime) -> Batcher:
        def run(rows: list[Any]) -> np.ndarray:
            logits, pooled = runtime.run(rows)
            return np.hstack([logits, runtime.projected(pooled)])

        settings = self._settings
        return Batcher(
            run,
            passes=settings.passes,
            tokens_of=runtime.size_of,
            batch_rows=settings.batch_rows,
            batch_tokens=settings.batch_tokens,
            wait_s=settings.wait_ms / 1e3,
            queue_rows=settings.queue_rows,
            # A quarter of the deadline, since what waits may take longer than what was before it.
            longest_s=settings.deadline_ms / 4e3,
            on_batch=self._metrics.batch_rows.observe,
        )

    async def _answer_with(self, runtime: Runtime | None) -> None:
        """Let another release, or none, answer new requests, and then close the old one, which answers what waits."""
        before, self._loaded = self._loaded, (runtime, self._batcher(runtime)) if runtime else None
        after, self._refused = self._loaded, ""
        manifest = runtime.manifest if runtime else None
        self._metrics.serves(self._name, manifest, lambda: after[1].waiting if after else 0)
        told = {"alias": self._name, "version": self.version, "before": before[0].version if before else None}
        LOG.info("ready" if runtime else "gone", extra={"fields": told})
        if before:
            self._leaving = asyncio.create_task(before[1].close())
            await asyncio.shield(self._leaving)

    async def _follow(self) -> None:
        """Look, until the server stops, which release the alias names, and let that one answer."""
        while True:
            await self._look()
            self._metrics.refused.labels(self._name).set(bool(self._refused))
            self._metrics.unreadable.labels(self._name).set(self._unreadable)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        try:
            named = await _aside(self._releases.current, self._name)
            if not named and self._needed:
                raise InputError(f"Alias {self._name} names no release now: promote one, or bring back the folder.")
        except Exception as error:  # whatever befalls one look, what answers goes on and the next is made
            self._tell(error)
            return
        self._tell(None)
        if named == self.version:
            self._refused = ""
        elif named and (named != self._refused or time.monotonic() - self._refused_at > RETRY_SECONDS):
            await self._swap(named)
            await asyncio.to_thread(_return_memory)
        elif not named:
            await self._answer_with(None)

    def _tell(self, error: Exception | None) -> None:
        """Say once that the alias cannot be read, and once that it can again."""
        fields = {"alias": self._name, "version": self.version}
        if error and not self._unreadable:
            LOG.error("alias unreadable", extra={"fields": fields | {"reason": self._reason(error)}})
        if self._unreadable and not error:
            LOG.info("alias read again", extra={"fields": fields})
        self._unreadable = error is not None

    def _reason(self, error: Exception) -> str:
        if isinstance(error, GraftError):
            return str(error)
        told = getattr(error, "strerror", None) or type(error).__name__
        place = getattr(error, "filename", None) or f"Alias {self._name}"
        return f"{place} cannot be read ({told}): let the server's user read it."

    async def _swap(self, version: str) -> None:
        try:
            runtime = await self._load(version)
        except GraftError as error:
            if version != self._refused:
                fields = {"alias": self._name, "version": version, "reason": str(error)}
                LOG.error("release refused", extra={"fields": fields})
            self._refused, self._refused_at = version, time.monotonic()
            return
        await self._answer_with(runtime)

    async def run(self, examples: list[Example]) -> tuple[Runtime, np.ndarray]:
        """The release that took N >= 1 examples, and their logits and projected features (N, K + P).

        Raises:
            InputError: an example that the bundle refuses.
            Overloaded: too many rows wait, or for too long.
            Closed: not loaded yet, or closed.
        """
        runtime, batcher = self._working()
        batcher.admit(len(examples), coming=self._encoding)
        self._encoding += len(examples)
        try:
            encoded = await self._encode(runtime, examples)
        finally:
            self._encoding -= len(examples)
        try:
            return runtime, await batcher.submit(encoded)
        except Closed:
            if self._loaded and batcher is self._loaded[1]:
                raise
        return await self.run(examples)  # another release has come while they were encoded

    async def _encode(self, runtime: Runtime, examples: list[Example]) -> list[Any]:
        if runtime.takes_files or sum(map(len, examples)) > ENCODED_AT_ONCE:
            return await asyncio.to_thread(runtime.encode, examples)
        return runtime.encode(examples)

    def stop(self) -> None:
        """Follow the alias no longer, whatever the store has not said yet."""
        if self._following:
            self._following.cancel()

    async def close(self) -> None:
        """Take no more requests and answer those that wait."""
        self.stop()
        if self._following:
            await asyncio.wait([self._following])
        if self._leaving:
            await self._leaving
        if self._loaded:
            await self._loaded[1].close()


async def _aside(ask: Callable[..., T], *given: Any) -> T:
    """What a store says; unlike with asyncio.to_thread, a process ends though the store never answers."""
    loop = asyncio.get_running_loop()
    said: asyncio.Future[T] = loop.create_future()

    def tell(give: Callable[[Any], None], what: Any) -> None:
        if not said.done():
            give(what)

    def work() -> None:
        told: tuple[Callable[[Any], None], Any]
        try:
            told = said.set_result, ask(*given)
        except Exception as error:
            told = said.set_exception, error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, *told)

    threading.Thread(target=work, name="store", daemon=True).start()
    return await said


def _return_memory() -> None:
    """To the system, what the release before has freed: glibc would keep it, over 100 MB after a few releases."""
    with suppress(AttributeError, OSError):  # other C libraries have no such call
        ctypes.CDLL(None).malloc_trim(0)
