"""What the tests of the transports may ask for: a place on every broker in turn."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from hotelcore.transports.jobs import JobTransport
from tests.transports.places import KINDS, Place, place_on


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest) -> Generator[Place]:
    """Return a place on each kind of broker in turn, which the test has for itself.

    Jobs have a new database of the tests' PostgreSQL.
    """
    if request.param == "jobs":
        database: str = request.getfixturevalue("postgresql_url")
        place = Place(kind="jobs", url=f"procrastinate+{database.replace('+psycopg', '')}")
        with JobTransport(place.url) as transport:
            transport.create_tables()
    else:
        place = place_on(request.param)
    yield place
    place.cleared()
