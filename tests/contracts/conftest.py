"""What the tests of a repository's contract share: two hotels on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from hotelcore import HotelCore
from hotelcore.clock import FixedClock
from hotelcore.testing.hotels import NOON, SampleHotel, open_sample_hotel
from tests.contracts.spa import SPA
from tests.postgres_server import fresh_database


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def two_hotels(request: pytest.FixtureRequest) -> Iterator[tuple[SampleHotel, SampleHotel]]:
    """Return two hotels of a database that a module's tests share, and that has a host's table."""
    with ExitStack() as kept:
        url = "sqlite://"
        if request.param == "postgresql":
            url = kept.enter_context(fresh_database(request.getfixturevalue("postgresql_server")))
        core = HotelCore(url, clock=FixedClock(NOON))
        kept.callback(core.close)
        core.create_schema()
        SPA.create_all(core.engine)
        yield open_sample_hotel(core), open_sample_hotel(core, name="Second Hotel")


@pytest.fixture
def hotelcore_hotel(two_hotels: tuple[SampleHotel, SampleHotel]) -> SampleHotel:
    """Return the first hotel in place of the plugin's own, which would have a new database."""
    return two_hotels[0]


@pytest.fixture
def hotelcore_second_hotel(two_hotels: tuple[SampleHotel, SampleHotel]) -> SampleHotel:
    """Return the second hotel."""
    return two_hotels[1]
