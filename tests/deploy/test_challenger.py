"""A challenger beside the champion: it answers its share, or copies alone, and never costs a client an answer.

The challenger answers "good" with bad and "bad" with good, so that an answer shows who gave it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from deploy import answering, live
from deploy.predictions import read
from deploy.releases import CHALLENGER, Releases
from deploy.telemetry import Metrics
from tests.bundles import HEAD, tiny_bundle
from tests.serving import run


class Two:
    """Releases with a champion, and another one that is the challenger when `challenge` was called."""

    def __init__(self, folder: Path) -> None:
        self.releases = Releases(folder / "releases")
        self.champion = self.releases.add(tiny_bundle(folder / "champion"))
        self.other = self.releases.add(tiny_bundle(folder / "challenger", head=HEAD[::-1]))
        self.releases.promote(self.champion, "test", {})

    def challenge(self, version: str) -> None:
        self.releases.promote(version, "test", {}, alias=CHALLENGER)


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Two:
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.005)
    return Two(tmp_path)


async def until(client: httpx.AsyncClient, line: str, there: bool = True) -> None:
    while (line in (await client.get("/metrics")).text) != there:
        await asyncio.sleep(0.005)


def info(version: str) -> str:
    return f'graft_bundle_info{{alias="challenger",artefact="onnx",project="tiny",version="{version}"}}'


async def versions(client: httpx.AsyncClient, count: int) -> dict[str, str]:
    """Request id -> version, of requests whose answers are those of the version they name."""
    found = {}
    for number in range(count):
        answer = await client.post("/predict", json={"inputs": ["good"]}, headers={"x-request-id": f"r-{number}"})
        assert answer.status_code == 200
        found[f"r-{number}"] = (answer.json()["version"], answer.json()["predictions"][0]["prediction"])
    assert len({*found.values()}) <= 2 and len({label for _, label in found.values()}) == len({*found.values()})
    return {name: version for name, (version, _) in found.items()}


def test_it_answers_its_share_and_a_request_that_is_repeated_again(two: Two) -> None:
    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        assert {*(await versions(client, 20)).values()} == {two.champion}, "an alias that names nothing is no fault"
        two.challenge(two.other)
        await until(client, info(two.other))
        first = await versions(client, 200)
        assert 20 < Counter(first.values())[two.other] < 80, "30 % of 200, give or take four standard deviations"
        assert await versions(client, 200) == first
        metrics = (await client.get("/metrics")).text
        assert f'graft_predictions_total{{label="bad",version="{two.other}"}}' in metrics

    run(two.releases.folder, test, challenger_percent=30)
    rows = [row for _, table in read(two.releases.folder / "predictions") for row in table.to_pylist()]
    assert {row["version"]: row["prediction"] for row in rows} == {two.champion: "good", two.other: "bad"}


def test_it_goes_with_its_alias_and_comes_back_with_no_rollback(two: Two) -> None:
    two.challenge(two.other)

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        await until(client, info(two.other))
        assert {*(await versions(client, 3)).values()} == {two.other}
        (two.releases.folder / "aliases/challenger").unlink()
        await until(client, 'graft_bundle_info{alias="challenger"', there=False)
        assert {*(await versions(client, 3)).values()} == {two.champion}
        two.challenge(two.other)
        await until(client, info(two.other))
        two.releases.promote(two.other, "test", {})
        two.releases.rollback("test", {})
        await until(client, 'graft_bundle_info{alias="challenger"', there=False)
        await until(client, info(two.champion).replace("challenger", "champion"))
        assert {*(await versions(client, 3)).values()} == {two.champion}

    run(two.releases.folder, test, challenger_percent=100)


@pytest.mark.parametrize("fault", ["raises", "not finite"])
def test_one_that_fails_costs_no_answer(two: Two, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    two.challenge(two.other)
    method = live.Runtime.run

    def broken(self: Any, rows: Any) -> Any:
        if self.version != two.other:
            return method(self, rows)
        if fault == "raises":
            raise ValueError("secret")
        return np.full((len(rows), 2), np.nan), np.zeros((len(rows), 2))

    monkeypatch.setattr(live.Runtime, "run", broken)

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        await until(client, info(two.other))
        assert {*(await versions(client, 3)).values()} == {two.champion}
        kind = "ValueError" if fault == "raises" else "CrashError"
        line = f'graft_challenger_failures_total{{error="{kind}",version="{two.other}"}} 3.0'
        assert line in (await client.get("/metrics")).text

    run(two.releases.folder, test, challenger_percent=100)


def test_one_that_is_slow_leaves_the_champion_half_of_the_deadline(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    two.challenge(two.other)
    method, go_on = live.Live.run, asyncio.Event()

    async def slow(self: Any, examples: Any) -> Any:
        if self.version == two.other:
            await go_on.wait()
        return await method(self, examples)

    monkeypatch.setattr(live.Live, "run", slow)

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        await until(client, info(two.other))
        assert {*(await versions(client, 1)).values()} == {two.champion}
        line = f'graft_challenger_failures_total{{error="TimeoutError",version="{two.other}"}} 1.0'
        assert line in (await client.get("/metrics")).text

    run(two.releases.folder, test, challenger_percent=100, deadline_ms=400)


def test_one_that_cannot_be_loaded_is_told_and_changes_nothing(two: Two) -> None:
    two.challenge(two.other)
    (two.releases.path_of(two.other) / "card.md").unlink()

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        await until(client, 'graft_release_refused{alias="challenger"} 1.0')
        assert (await client.get("/readyz")).json() == {"version": two.champion}
        assert {*(await versions(client, 3)).values()} == {two.champion}

    run(two.releases.folder, test, challenger_percent=100)


def test_in_the_shadow_it_answers_copies_that_no_client_sees(two: Two) -> None:
    two.challenge(two.other)

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        await until(client, info(two.other))
        assert {*(await versions(client, 5)).values()} == {two.champion}
        both = await client.post("/predict", json={"inputs": ["good bad"]})  # a tie, which goes to the first label
        assert both.json()["version"] == two.champion
        await until(client, f'graft_shadow_rows_total{{same="false",version="{two.other}"}} 5.0')
        await until(client, f'graft_shadow_rows_total{{same="true",version="{two.other}"}} 1.0')

    run(two.releases.folder, test, shadow_percent=100)
    for folder, version in (("predictions", two.champion), ("predictions/shadow", two.other)):
        rows = [row for _, table in read(two.releases.folder / folder) for row in table.to_pylist()]
        assert [row["version"] for row in rows] == [version] * 6


def test_copies_that_would_hold_more_than_they_may_are_not_made(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    two.challenge(two.other)
    monkeypatch.setattr(answering, "MEGABYTE", sys.getsizeof("good"))
    method, begun, go = live.Runtime.run, threading.Event(), threading.Event()

    def held(self: Any, rows: Any) -> Any:
        if self.version == two.other:
            begun.set()
            assert go.wait(timeout=30)
        return method(self, rows)

    monkeypatch.setattr(live.Runtime, "run", held)

    async def test(client: httpx.AsyncClient, _: FastAPI) -> None:
        await until(client, info(two.other))
        assert {*(await versions(client, 1)).values()} == {two.champion}
        assert await asyncio.to_thread(begun.wait, 20)
        assert {*(await versions(client, 3)).values()} == {two.champion}, "which costs no client an answer"
        refused = f'graft_challenger_failures_total{{error="Overloaded",version="{two.other}"}} 3.0'
        assert refused in (await client.get("/metrics")).text
        go.set()
        compared = f'graft_shadow_rows_total{{same="false",version="{two.other}"}}'
        await until(client, f"{compared} 1.0")
        assert {*(await versions(client, 1)).values()} == {two.champion}
        await until(client, f"{compared} 2.0")
        assert refused in (await client.get("/metrics")).text, "there is room again when a copy has ended"

    run(two.releases.folder, test, shadow_percent=100, bodies_mb=1)


def test_it_is_not_loaded_where_nothing_is_asked_of_it(two: Two) -> None:
    two.challenge(two.other)

    async def test(client: httpx.AsyncClient, app: FastAPI) -> None:
        assert app.state.answering._challenger is None
        assert {*(await versions(client, 3)).values()} == {two.champion}

    run(two.releases.folder, test)


def test_metrics_forget_the_last_release_but_one() -> None:
    metrics = Metrics()

    class Made:
        project, artefact = "p", "onnx"

        def __init__(self, version: str) -> None:
            self.version = version

    for version in ("a", "b", "c", "b"):
        metrics.serves("champion", Made(version), lambda: 0)  # type: ignore[arg-type]
        metrics.answered(version, ["good"], 0.1)
    metrics.serves("challenger", Made("d"), lambda: 0)  # type: ignore[arg-type]
    told = {sample.labels["version"] for sample in next(iter(metrics.predictions.collect())).samples}
    assert told == {"b", "c"}
