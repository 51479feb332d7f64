"""A core over a database of each kind, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hotelcore.clock import FixedClock
from hotelcore.core import HotelCore
from tests.operations.small_hotel import NOON, SmallHotel, open_hotel


@pytest.fixture
def clock() -> FixedClock:
    """Return a clock that stands at noon, UTC, of the first of December 2026."""
    return FixedClock(NOON)


@pytest.fixture
def core(database_url: str, clock: FixedClock) -> Iterator[HotelCore]:
    """Return a core over a fresh database with all tables, SQLite and PostgreSQL in turn."""
    core = HotelCore(database_url, clock=clock)
    core.create_schema()
    yield core
    core.close()


@pytest.fixture
def hotel(core: HotelCore, clock: FixedClock) -> SmallHotel:
    """Return a hotel of four rooms."""
    return open_hotel(core, clock)
