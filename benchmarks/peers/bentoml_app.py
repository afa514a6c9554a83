"""BentoML over the bare model: BUNDLE=... bentoml serve bentoml_app:Answers --port PORT"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bentoml
from bare_model import Model


@bentoml.service(workers=1, traffic={"timeout": 60}, metrics={"enabled": True}, logging={"access": {"enabled": False}})
class Answers:
    """Batches of 16, as Graft's default."""

    def __init__(self) -> None:
        self.bare = Model(Path(os.environ["BUNDLE"]))

    @bentoml.api(batchable=True, max_batch_size=16, max_latency_ms=10_000)
    def predict(self, inputs: list[str]) -> list[dict[str, Any]]:
        return self.bare.answers(inputs)
