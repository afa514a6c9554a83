"""A release that answers: loaded in the background, fed in batches, drained at the end. No HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deploy.batching import Batcher, Closed, Overloaded
from deploy.releases import Releases
from deploy.settings import Settings
from deploy.telemetry import LOG, Metrics
from tasks.errors import CrashError, GraftError
from tasks.runtime import Example, Runtime

# So many characters are encoded in under a millisecond: another thread would cost more.
ENCODED_AT_ONCE = 1_000


class Answering:
    """The release behind a server.

    Args:
        releases: folder of releases.
        name: an alias or a version.
        settings: of the server.
    """

    def __init__(self, releases: Path, name: str, settings: Settings) -> None:
        self._releases, self._name, self._settings = Releases(releases), name, settings
        self._loaded: tuple[Runtime, Batcher] | None = None
        self.metrics = Metrics()
        self._encoding = 0
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
        try:
            runtime = await asyncio.to_thread(self._load)
            self._loaded = runtime, self._batcher(runtime)
            LOG.info("ready", extra={"fields": {"version": runtime.version}})
        except GraftError as error:
            self.failure = error
        except Exception as error:
            LOG.error("load", exc_info=error)
            self.failure = CrashError(f"The release could not be loaded ({type(error).__name__}): its log says where.")

    def _load(self) -> Runtime:
        path = self._releases.path_of(self._name)
        return Runtime.load(path, self._settings.threads, version=path.name)

    def _batcher(self, runtime: Runtime) -> Batcher:
        manifest = runtime.manifest
        self.metrics.bundle.info(
            {"version": runtime.version, "project": manifest.project, "artefact": manifest.artefact}
        )
        batcher = Batcher(
            lambda rows: runtime.run(rows)[0],
            batch_rows=self._settings.batch_rows,
            wait_s=self._settings.wait_ms / 1e3,
            queue_rows=self._settings.queue_rows,
            on_batch=self.metrics.batch_rows.observe,
        )
        self.metrics.queue_rows.set_function(lambda: batcher.waiting)
        return batcher

    async def answer(self, examples: list[Example]) -> dict[str, Any]:
        """Version and predictions of N >= 1 examples.

        Raises:
            InputError: an example that the bundle refuses.
            Overloaded: too many rows wait.
            Closed: not loaded yet, or closed.
        """
        runtime, batcher = self._working()
        if batcher.waiting + self._encoding + len(examples) > self._settings.queue_rows:
            raise Overloaded(f"The queue of {self._settings.queue_rows} rows is full: try again in a second.")
        self._encoding += len(examples)
        try:
            encoded = await self._encode(runtime, examples)
        finally:
            self._encoding -= len(examples)
        answers = runtime.answers(await batcher.submit(encoded))
        for answer in answers:
            self.metrics.predictions.labels(answer.prediction).inc()
        return {"version": runtime.version, "predictions": [asdict(answer) for answer in answers]}

    async def _encode(self, runtime: Runtime, examples: list[Example]) -> list[Any]:
        if runtime.takes_files or sum(map(len, examples)) > ENCODED_AT_ONCE:
            return await asyncio.to_thread(runtime.encode, examples)
        return runtime.encode(examples)

    async def close(self) -> None:
        """Take no more requests and answer those that wait."""
        self.draining = True
        if self._loaded:
            await self._loaded[1].close()
