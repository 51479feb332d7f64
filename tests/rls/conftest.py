"""What the tests of row-level security may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.rls.land import Land, new_land


@pytest.fixture(scope="module")
def land(postgresql_server: Engine) -> Iterator[Land]:
    """Return a database with its owner and the application's role, for all tests of a module."""
    with new_land(postgresql_server) as land:
        yield land
