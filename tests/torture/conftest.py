"""The server of the torture."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.torture.server import CrashingServer, crashing_server


@pytest.fixture(scope="session")
def own_server() -> Generator[CrashingServer]:
    """Return a PostgreSQL that nobody else uses, so that it may crash."""
    with crashing_server() as server:
        yield server
