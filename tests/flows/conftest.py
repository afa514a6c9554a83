"""What the tests of the flows share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prefect.settings import PREFECT_HOME, PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
from prefect.testing.utilities import prefect_test_harness


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Prefect server and a home of its own, which report to nobody."""
    home = tmp_path_factory.mktemp("prefect")
    quiet = {PREFECT_HOME: home, PREFECT_SERVER_ANALYTICS_ENABLED: False}
    with pytest.MonkeyPatch.context() as patch, temporary_settings(updates=quiet):
        patch.setenv("DO_NOT_TRACK", "1")
        with prefect_test_harness(server_startup_timeout=120):
            yield
