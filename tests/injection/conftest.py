"""The server of the tests that let one end."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.postgres_server import administration, fresh_database
from tests.torture.server import CrashingServer, crashing_server


@pytest.fixture(scope="module")
def own_server() -> Generator[CrashingServer]:
    """Return a PostgreSQL that nobody else uses, so that it may end."""
    with crashing_server() as server:
        yield server


@pytest.fixture
def ending_url(own_server: CrashingServer) -> Generator[str]:
    """Return the URL of an empty database on that server."""
    with fresh_database(administration(own_server.url)) as url:
        yield url
