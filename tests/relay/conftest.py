"""Databases of each kind that the tests of the relay share, one after the other."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from sqlalchemy import Engine

from tests.relay.scene import Scene
from tests.small_hotel import shared_core


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Generator[Engine]:
    """Return an engine on a database with the tables, of each kind in turn."""
    with shared_core(request) as core:
        yield core.engine


@pytest.fixture
def scene(engine: Engine) -> Scene:
    """Return a core of the test's own in a database in which no event waits."""
    return Scene.over(engine)
