"""The hotel, the rivals and the record of a race."""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest

from tests.races.racing import Record, Track, track
from tests.records import RECORD
from tests.small_hotel import SmallHotel, opened


@pytest.fixture
def record(record_property: Callable[[str, object], None]) -> Generator[Record]:
    """Return the record that the race fills; it is shown at the end of the run."""
    record = Record()
    yield record
    if record.rounds:
        record_property(RECORD, str(record))


@pytest.fixture
def hotel(database_url: str) -> Generator[SmallHotel]:
    """Return a hotel in an empty database, on SQLite and PostgreSQL in turn."""
    with opened(database_url) as hotel:
        yield hotel


@pytest.fixture
def rivals() -> Generator[Track]:
    """Return the threads that race."""
    with track() as threads:
        yield threads
