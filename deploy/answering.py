"""Who answers a request: the champion, or the challenger where a share of requests is given to it. No HTTP."""

from __future__ import annotations

import asyncio
import sys
import time
import zlib
from dataclasses import asdict
from typing import Any

import numpy as np

from deploy.batching import Closed, Overloaded
from deploy.live import Live
from deploy.prediction_log import PredictionLog
from deploy.releases import CHALLENGER, Releases
from deploy.settings import MEGABYTE, Settings
from deploy.telemetry import LOG, STOPPING, Metrics
from tasks.errors import GraftError
from tasks.runtime import Example, Runtime

# Folder of what the challenger answers to copies of requests, inside that of the prediction log: feedback and drift
# are about what clients were told.
SHADOW = "shadow"


class Answering:
    """The releases behind a server.

    Args:
        releases: where they lie.
        name: an alias or a version: the champion here.
        settings: of the server.
    """

    def __init__(self, releases: Releases, name: str, settings: Settings) -> None:
        self._settings = settings
        self.metrics = Metrics()
        self._champion = Live(releases, name, settings, self.metrics)
        self._challenger: Live | None = None
        if settings.challenger_percent or settings.shadow_percent:
            self._challenger = Live(releases, CHALLENGER, settings, self.metrics, needed=False)
        self._log = self._shadow_log = None
        if settings.log_folder:
            folder = releases.folder / settings.log_folder
            self._log = PredictionLog(folder, settings, self.metrics)
            if settings.shadow_percent:
                self._shadow_log = PredictionLog(folder / SHADOW, settings, self.metrics)
        self._copies: dict[asyncio.Task[None], int] = {}  # and the bytes of examples that each holds
        self.draining = False

    @property
    def failure(self) -> GraftError | None:
        """Why there is no champion, if it could not be loaded."""
        return self._champion.failure

    @property
    def _lives(self) -> list[Live]:
        return [live for live in (self._champion, self._challenger) if live]

    @property
    def _logs(self) -> list[PredictionLog]:
        return [log for log in (self._log, self._shadow_log) if log]

    def ready(self) -> Runtime:
        """The champion's bundle, if new requests should come.

        Raises:
            Closed: not loaded yet, could not be loaded, or draining.
        """
        if self.draining:
            raise Closed(STOPPING)
        return self.runtime()

    def runtime(self) -> Runtime:
        """The champion's bundle, for a request that has begun.

        Raises:
            Closed: not loaded yet, or could not be loaded.
        """
        return self._champion.runtime()

    async def load(self) -> None:
        """Load what the names stand for."""
        for log in self._logs:
            log.start()
        for live in self._lives:
            await live.load()

    async def answer(self, request_id: str, examples: list[Example], top_k: int | None = None) -> dict[str, Any]:
        """Version and predictions of N >= 1 examples, each with its `top_k` most probable labels if asked for.

        Raises:
            InputError: an example that the bundle refuses.
            Overloaded: too many rows wait.
            Closed: not loaded yet, or closed.
        """
        began, place = time.perf_counter(), zlib.crc32(request_id.encode())
        answered = await self._by_challenger(examples) if self._goes(place, self._settings.challenger_percent) else None
        if answered is None:
            answered = await self._champion.run(examples)
            if self._goes(place // 10_000, self._settings.shadow_percent):
                self._copy(request_id, examples, *answered)
        runtime, numbers = answered
        count = len(runtime.manifest.labels)
        logits, projection = numbers[:, :count], numbers[:, count:]
        answers = runtime.answers(logits)
        self.metrics.answered(runtime.version, [one.prediction for one in answers], time.perf_counter() - began)
        if self._log:
            self._log.add(request_id, runtime.version, answers, projection, self._kept(examples))
        predictions = [{**vars(answer)} for answer in answers]
        if top_k:
            for prediction, top in zip(predictions, runtime.ranked(logits, top_k), strict=True):
                prediction["top"] = [asdict(answer) for answer in top]
        return {"version": runtime.version, "predictions": predictions}

    def _goes(self, place: int, percent: float) -> bool:
        """Whether a request is one of those that the challenger gets; one that is repeated is again."""
        challenger = self._challenger and self._challenger.version
        # As champion, it needs no second look.
        return place % 10_000 < 100 * percent and challenger not in (None, self._champion.version)

    async def _by_challenger(self, examples: list[Example]) -> tuple[Runtime, np.ndarray] | None:
        """None if it fails or takes half of the deadline: an experiment costs no client an answer."""
        assert self._challenger
        version = self._challenger.version
        try:
            async with asyncio.timeout(self._settings.deadline_ms / 2e3):
                runtime, numbers = await self._challenger.run(examples)
            runtime.answers(numbers[:, : len(runtime.manifest.labels)])
        except Exception as error:
            self._failed(str(version), error)
            return None
        return runtime, numbers

    def _failed(self, version: str, error: Exception) -> None:
        kind = type(error).__name__
        self.metrics.challenger_failures.labels(version, kind).inc()
        if not isinstance(error, GraftError):
            LOG.error("challenger", exc_info=error)

    def _kept(self, examples: list[Example]) -> list[str] | None:
        texts = [one for one in examples if isinstance(one, str)] if self._settings.log_inputs else []
        return texts or None

    def _copy(self, request_id: str, examples: list[Example], champion: Runtime, numbers: np.ndarray) -> None:
        """Ask the challenger too, when the client is answered already and its body counts no more."""
        assert self._challenger
        size = sum(map(sys.getsizeof, examples))
        if sum(self._copies.values()) + size > self._settings.bodies_mb * MEGABYTE:
            full = Overloaded(f"Copies of requests are over {self._settings.bodies_mb} MB: this one is not made.")
            self._failed(str(self._challenger.version), full)
            return
        logits = numbers[:, : len(champion.manifest.labels)]
        task = asyncio.create_task(self._compare(request_id, examples, champion, logits))
        self._copies[task] = size
        task.add_done_callback(self._copies.pop)

    async def _compare(self, request_id: str, examples: list[Example], champion: Runtime, logits: np.ndarray) -> None:
        answered = await self._by_challenger(examples)
        if answered is None:
            return
        runtime, numbers = answered
        own, projection = np.split(numbers, [len(runtime.manifest.labels)], axis=1)
        answers = runtime.answers(own)
        for before, after in zip(champion.answers(logits), answers, strict=True):
            same = str(before.prediction == after.prediction).lower()
            self.metrics.shadow_rows.labels(runtime.version, same).inc()
        if self._shadow_log:
            self._shadow_log.add(request_id, runtime.version, answers, projection, self._kept(examples))

    async def close(self) -> None:
        """Take no more requests, answer those that wait, and write the log."""
        self.draining = True
        for live in self._lives:
            live.stop()
        for live in self._lives:
            await live.close()
        await asyncio.gather(*self._copies, return_exceptions=True)
        for log in self._logs:
            await asyncio.to_thread(log.close)
