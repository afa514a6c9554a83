"""A folder of releases with a champion, and a log of what it answered: what the tests of drift share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from deploy import predictions
from deploy.releases import Releases
from deploy.watch import Look, Watch
from tasks.problems.classification.answer import Answer
from tests.bundles import tiny_bundle

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


class House:
    """Releases of tiny bundles, and a log that is written where servers write it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.releases = folder, Releases(folder / "releases")
        self.log = self.releases.folder / "predictions"
        self.state = folder / "watch.json"
        self.version = self.releases.add(tiny_bundle(folder / "bundle"))
        self.releases.promote(self.version, "test", {})
        self.clock = NOON
        self.paths: dict[str, tuple[Path, list[predictions.Request]]] = {}

    def answer(self, count: int, good: float = 0.5, version: str | None = None, file: str = "a") -> None:
        """So many answers, this share of them good; the reference of the tiny bundle has half."""
        version = version or self.version
        for i in range(count):
            is_good = int(i * good) != int((i + 1) * good)
            self.clock += timedelta(seconds=1)
            request = predictions.Request(
                self.clock, f"r{i}", version, [Answer("good" if is_good else "bad", 0.982)],
                np.eye(2, dtype=np.float32)[[0 if is_good else 1]], None,
            )  # fmt: skip
            path, requests = self.paths.setdefault(
                file, (predictions.new_path(self.log, f"{self.clock:%Y-%m-%dT%H}"), [])
            )
            requests.append(request)
        predictions.write(path, predictions.table_of(requests))

    def look(self, remember: bool = True) -> Look:
        watch = Watch(self.releases, self.log, self.state)
        found = watch.look()
        if remember:
            watch.remember()
        return found
