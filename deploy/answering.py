"""A release that answers: loaded aside, fed in batches, swapped while it runs, drained at the end. No HTTP."""

from __future__ import annotations

import asyncio
import ctypes
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from deploy.batching import Batcher, Closed
from deploy.prediction_log import PredictionLog
from deploy.releases import VERSION, Releases
from deploy.settings import Settings
from deploy.telemetry import LOG, Metrics
from tasks.errors import CrashError, GraftError
from tasks.runtime import Example, Runtime

# So many characters are encoded in under a millisecond: another thread would cost more.
ENCODED_AT_ONCE = 1_000
LOOK_SECONDS = 1.0
# What could not be loaded may have been restored since; checking it costs a second of a CPU.
RETRY_SECONDS = 60.0


class Answering:
    """The release behind a server; with an alias, always the one that it names.

    Args:
        releases: folder of releases.
        name: an alias or a version.
        settings: of the server.
    """

    def __init__(self, releases: Path, name: str, settings: Settings) -> None:
        self._releases, self._name, self._settings = Releases(releases), name, settings
        self._loaded: tuple[Runtime, Batcher] | None = None
        self.metrics = Metrics()
        self._log: PredictionLog | None = None
        if settings.log_folder:
            self._log = PredictionLog(releases / settings.log_folder, settings, self.metrics)
        self._encoding = 0
        self._refused, self._refused_at = "", 0.0
        self._stop = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self.failure: GraftError | None = None
        self.draining = False

    def ready(self) -> Runtime:
        """The loaded bundle, if new requests should come.

        Raises:
            Closed: not loaded yet, could not be loaded, or draining.
        """
        if self.draining:
            raise Closed("The server is stopping: send the request to another one.")
        return self.runtime()

    def runtime(self) -> Runtime:
        """The loaded bundle, for a request that has begun.

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
        """Load the release; a failure is kept, since the server has to say why it ends."""
        if self._log:
            self._log.start()
        try:
            runtime = await asyncio.to_thread(self._load, self._name)
        except GraftError as error:
            self.failure = error
            return
        self._loaded = runtime, self._batcher(runtime)
        LOG.info("ready", extra={"fields": {"version": runtime.version}})
        if not VERSION.fullmatch(self._name):
            self._following = asyncio.create_task(self._follow())

    def _load(self, name: str) -> Runtime:
        try:
            path = self._releases.path_of(name)
            return Runtime.load(path, self._settings.threads, version=path.name)
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

        manifest = runtime.manifest
        self.metrics.bundle.info(
            {"version": runtime.version, "project": manifest.project, "artefact": manifest.artefact}
        )
        batcher = Batcher(
            run,
            tokens_of=runtime.size_of,
            batch_rows=self._settings.batch_rows,
            batch_tokens=self._settings.batch_tokens,
            wait_s=self._settings.wait_ms / 1e3,
            queue_rows=self._settings.queue_rows,
            # Half of the deadline, since what waits may take longer than what was before it.
            longest_s=self._settings.deadline_ms / 2e3,
            on_batch=self.metrics.batch_rows.observe,
        )
        self.metrics.queue_rows.set_function(lambda: batcher.waiting)
        return batcher

    async def _follow(self) -> None:
        """Look, until the server stops, which release the alias names, and let that one answer."""
        while not self.draining:
            named = await asyncio.to_thread(self._named)
            if named == self.runtime().version:
                self._refused = ""
            elif named and (named != self._refused or time.monotonic() - self._refused_at > RETRY_SECONDS):
                await self._swap(named)
                await asyncio.to_thread(_return_memory)
            self.metrics.refused.set(bool(self._refused))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), LOOK_SECONDS)

    def _named(self) -> str | None:
        try:
            return self._releases.current(self._name)
        except (GraftError, OSError):
            return None  # whoever moves the alias is told; here, what answers goes on

    async def _swap(self, version: str) -> None:
        """Let another release answer new requests, and then close the old one, which answers those that wait in it."""
        try:
            runtime = await asyncio.to_thread(self._load, version)
        except GraftError as error:
            if version != self._refused:
                LOG.error("release refused", extra={"fields": {"version": version, "reason": str(error)}})
            self._refused, self._refused_at = version, time.monotonic()
            return
        before, batcher = self._working()
        self._loaded, self._refused = (runtime, self._batcher(runtime)), ""
        LOG.info("ready", extra={"fields": {"version": runtime.version, "before": before.version}})
        await batcher.close()

    async def answer(self, request_id: str, examples: list[Example]) -> dict[str, Any]:
        """Version and predictions of N >= 1 examples.

        Raises:
            InputError: an example that the bundle refuses.
            Overloaded: too many rows wait, or for too long.
            Closed: not loaded yet, or closed.
        """
        runtime, numbers = await self._run(examples)
        logits, projection = np.split(numbers, [len(runtime.manifest.labels)], axis=1)
        answers = runtime.answers(logits)
        for answer in answers:
            self.metrics.predictions.labels(answer.prediction).inc()
        if self._log:
            texts = [one for one in examples if isinstance(one, str)] if self._settings.log_inputs else []
            self._log.add(request_id, runtime.version, answers, projection, texts or None)
        return {"version": runtime.version, "predictions": [asdict(answer) for answer in answers]}

    async def _run(self, examples: list[Example]) -> tuple[Runtime, np.ndarray]:
        """The release that took the examples, and logits and projected features (N, K + P)."""
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
            if batcher is self._working()[1]:
                raise
        return await self._run(examples)  # another release has come while they were encoded

    async def _encode(self, runtime: Runtime, examples: list[Example]) -> list[Any]:
        if runtime.takes_files or sum(map(len, examples)) > ENCODED_AT_ONCE:
            return await asyncio.to_thread(runtime.encode, examples)
        return runtime.encode(examples)

    async def close(self) -> None:
        """Take no more requests, answer those that wait, and write the log."""
        self.draining = True
        self._stop.set()
        if self._following:
            await self._following
        if self._loaded:
            await self._loaded[1].close()
        if self._log:
            await asyncio.to_thread(self._log.close)


def _return_memory() -> None:
    """To the system, what the release before has freed: glibc would keep it, over 100 MB after a few releases."""
    with suppress(AttributeError, OSError):  # other C libraries have no such call
        ctypes.CDLL(None).malloc_trim(0)
