"""Fixtures for the tests of a program that uses hotelcore; pytest finds them by itself.

They stand outside the package, and import nothing of it before one of them is asked for, so a test
run that needs none pays nothing. Override one in your ``conftest.py`` to change what the others
build on: ``hotelcore_database`` for a database of your own, ``hotelcore_core`` for your own policy
or subscriptions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hotelcore import HotelCore
    from hotelcore.clock import FixedClock
    from hotelcore.events.catalogue import Event
    from hotelcore.testing.hotels import SampleHotel


@pytest.fixture
def hotelcore_clock() -> FixedClock:
    """Return the clock of the test: it stands still at noon of 15 January 2026, UTC."""
    from hotelcore.clock import FixedClock
    from hotelcore.testing.hotels import NOON

    return FixedClock(NOON)


@pytest.fixture
def hotelcore_database() -> str:
    """Return the URL of the database: one in memory, which only this test uses."""
    return "sqlite://"


@pytest.fixture
def hotelcore_core(hotelcore_database: str, hotelcore_clock: FixedClock) -> Iterator[HotelCore]:
    """Return a core over the database, with its tables, on the clock of the test."""
    from hotelcore import HotelCore

    core = HotelCore(hotelcore_database, clock=hotelcore_clock)
    core.create_schema()
    yield core
    core.close()


@pytest.fixture
def hotelcore_hotel(hotelcore_core: HotelCore) -> SampleHotel:
    """Return a hotel with rooms, guests, a booking that is expected and one in house."""
    from hotelcore.testing.hotels import open_sample_hotel

    return open_sample_hotel(hotelcore_core, name="Harbour Hotel")


@pytest.fixture
def hotelcore_second_hotel(hotelcore_core: HotelCore) -> SampleHotel:
    """Return another hotel of the same database, to show that nothing crosses over."""
    from hotelcore.testing.hotels import open_sample_hotel

    return open_sample_hotel(hotelcore_core, name="Second Hotel")


@pytest.fixture
def hotelcore_events(hotelcore_core: HotelCore) -> list[Event]:
    """Return the list to which every event is added that is committed from now on."""
    from hotelcore.events.catalogue import CATALOGUE

    events: list[Event] = []

    for kind in CATALOGUE.values():
        hotelcore_core.events.subscribe(kind, events.append)
    return events
