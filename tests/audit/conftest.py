"""Hotels whose audit logs are under keys, on both databases."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from hotelcore import HotelCore
from hotelcore.vault import KeyRing
from tests.small_hotel import SmallHotel, open_hotel

KEYS = KeyRing({1: os.urandom(32), 2: os.urandom(32)})


@pytest.fixture
def core(schema_url: str) -> Iterator[HotelCore]:
    """Return a core with keys over a database with tables, on SQLite and PostgreSQL in turn."""
    core = HotelCore(schema_url, keys=KEYS)
    core.create_schema()
    yield core
    core.close()


@pytest.fixture
def hotel(core: HotelCore) -> SmallHotel:
    """Return a hotel with a guest and some rooms."""
    return open_hotel(core)
