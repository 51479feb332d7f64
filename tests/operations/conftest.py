"""A core over a database of each kind, with a clock that the test moves.

The tests of a file share a database, because each opens hotels of its own: that is what many hotels
in one database are for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from sqlalchemy import Engine

from hotelcore.clock import FixedClock
from hotelcore.core import HotelCore
from tests.operations.recount import untold
from tests.operations.small_hotel import NOON, SmallHotel, open_hotel
from tests.postgres_server import fresh_database


@pytest.fixture
def clock() -> FixedClock:
    """Return a clock that stands at noon, UTC, of the first of December 2026."""
    return FixedClock(NOON)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def prepared_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Return the URL of a database with all tables, SQLite and PostgreSQL in turn."""
    with ExitStack() as cleanup:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('hotels') / 'hotels.db'}"
        else:
            server: Engine = request.getfixturevalue("postgresql_server")
            url = cleanup.enter_context(fresh_database(server))
        with closing(HotelCore(url)) as core:
            core.create_schema()
        yield url


@pytest.fixture
def core(prepared_url: str, clock: FixedClock) -> Iterator[HotelCore]:
    """Return a core whose time is the test's."""
    with closing(HotelCore(prepared_url, clock=clock)) as core:
        yield core


@pytest.fixture
def hotel(core: HotelCore, clock: FixedClock) -> Iterator[SmallHotel]:
    """Return a hotel of four rooms; whatever is done in it, its audit log retells."""
    hotel = open_hotel(core, clock)
    yield hotel
    assert untold(hotel) == []
