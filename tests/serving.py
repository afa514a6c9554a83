"""A started application and its client, in one event loop: what the tests of the server share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from deploy.releases import Releases
from deploy.service import create_app
from deploy.settings import Settings
from tests.bundles import tiny_bundle

Test = Callable[[httpx.AsyncClient, FastAPI], Awaitable[None]]


def released(folder: Path) -> Path:
    """A folder of releases whose champion is the tiny bundle."""
    releases = Releases(folder / "releases")
    releases.promote(releases.add(tiny_bundle(folder / "bundle")), "test", {})
    return releases.folder


@asynccontextmanager
async def started(
    releases: Path | Releases, alias: str, **settings: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, FastAPI]]:
    place = Releases(releases) if isinstance(releases, Path) else releases
    app = create_app(place, alias, Settings(**{"threads": 1, **settings}))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        yield client, app


def run(
    releases: Path | Releases, test: Test, *, alias: str = "champion", until_ready: bool = True, **settings: Any
) -> None:
    async def whole() -> None:
        async with started(releases, alias, **settings) as (client, app):
            if until_ready:
                await app.state.loading
            await test(client, app)

    asyncio.run(asyncio.wait_for(whole(), timeout=60))


def is_sentence(detail: Any) -> bool:
    return isinstance(detail, str) and detail.endswith(".") and "\n" not in detail and detail[0].isupper()
