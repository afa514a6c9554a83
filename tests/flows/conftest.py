"""What the tests of the flows share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    PREFECT_SERVER_DATABASE_CONNECTION_URL,
    temporary_settings,
)

from tests.servers import free_port


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a Prefect server answers that reports to nobody; its start takes seconds, so that all share it."""
    home = tmp_path_factory.mktemp("prefect")
    database = {PREFECT_SERVER_DATABASE_CONNECTION_URL: f"sqlite+aiosqlite:///{home / 'test.db'}"}
    hosted = SubprocessASGIServer(port=free_port())
    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings(updates={PREFECT_HOME: home, PREFECT_SERVER_ANALYTICS_ENABLED: False} | database),
    ):
        patch.setenv("DO_NOT_TRACK", "1")
        hosted.start(timeout=120)
    yield hosted.api_url
    hosted.stop()


@pytest.fixture(scope="module")
def server(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The server, known to the tests of this module alone, and a home of their own."""
    home = tmp_path_factory.mktemp("prefect")
    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings(
            updates={PREFECT_HOME: home, PREFECT_SERVER_ANALYTICS_ENABLED: False, PREFECT_API_URL: address}
        ),
    ):
        patch.setenv("DO_NOT_TRACK", "1")
        yield
        APILogWorker.instance().drain()
        EventsWorker.drain_all()
