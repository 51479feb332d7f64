"""A hotel that is connected to a property management system, on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hotelcore.clock import FixedClock
from hotelcore.core import HotelCore
from tests.operations.recount import untold
from tests.operations.small_hotel import NOON, SmallHotel
from tests.pms.remote import connected


@pytest.fixture
def core(schema_url: str) -> Iterator[HotelCore]:
    """Return a core over a fresh database of each kind."""
    core = HotelCore(schema_url, clock=FixedClock(NOON))
    core.create_schema()
    yield core
    core.close()


@pytest.fixture
def hotel(core: HotelCore) -> Iterator[SmallHotel]:
    """Return a hotel that is connected to a PMS; whatever is done in it, its audit log retells."""
    hotel = connected(core)
    yield hotel
    assert untold(hotel) == []
