"""A release that fails its own check is not taken over, and is no start."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from deploy import live
from tasks.runtime import Runtime
from tests.bundles import tiny_bundle, with_known_answer
from tests.following import Two, until_metric, until_served


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Two:
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.005)
    return Two(tmp_path)


def not_finite(folder: Path) -> Path:
    return tiny_bundle(folder, np.array([[np.inf, 0], [0, 4]], dtype=np.float32))


def of_another_shape(folder: Path) -> Path:
    return tiny_bundle(folder, np.ones((2, 3), dtype=np.float32))


def otherwise(folder: Path) -> Path:
    return with_known_answer(tiny_bundle(folder), logits=[4 / 3, 8 / 3])


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (not_finite, "answers a fixed example with a number that is not finite"),
        (of_another_shape, "has 3 logits for 2 labels"),
        (otherwise, "answers a fixed example otherwise than when it was made"),
    ],
)
def test_a_release_that_fails_its_own_check_leaves_the_old_one_answering(
    two: Two, tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: Any, reason: str
) -> None:
    version = two.releases.add(broken(tmp_path / "broken"))

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        two.promote(version)
        await until_metric(client, 'graft_release_refused{alias="champion"} 1.0')
        answer = await client.post("/predict", json={"inputs": ["good"]})
        assert answer.status_code == 200 and answer.json()["version"] == two.first
        two.promote(two.second)
        await until_served(client, two.second)

    with caplog.at_level(logging.INFO):
        two.run(test)
    (line,) = [record.fields for record in caplog.records if record.getMessage() == "release refused"]  # type: ignore[attr-defined]
    assert line["version"] == version and f"model.onnx {reason}" in line["reason"]


def test_a_release_that_fails_its_own_check_is_no_start(two: Two, tmp_path: Path) -> None:
    two.promote(two.releases.add(not_finite(tmp_path / "broken")))

    async def test(client: httpx.AsyncClient, app: FastAPI) -> None:
        assert "a number that is not finite" in str(app.state.answering.failure)
        assert (await client.get("/readyz")).status_code == 503

    two.run(test)


def test_a_release_is_asked_off_the_event_loop(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []
    asked = Runtime.asked

    def ask(runtime: Runtime, value: str) -> Any:
        threads.append(threading.current_thread())
        return asked(runtime, value)

    monkeypatch.setattr(Runtime, "asked", ask)

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        two.promote(two.second)
        await until_served(client, two.second)

    two.run(test)
    assert len(threads) == 2 and threading.main_thread() not in threads
