"""The hotel that every contestant works in, and what it is asked for."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from attrs import frozen

from hotelcore import Stay
from hotelcore.ids import FolioId, GuestId, HotelId, RoomTypeId

__all__ = ["DAY", "MOST", "NOW", "PAGE", "RANGE", "STAY", "TODAY", "House"]

DAY = timedelta(days=1)
TODAY = date(2026, 6, 1)
"""The business date of every hotel."""
NOW = datetime.combine(TODAY, time(12), UTC)

STAY = Stay(TODAY, TODAY + DAY)
"""The stay for which free rooms are looked for."""
RANGE = (TODAY + 10 * DAY, TODAY + 13 * DAY)
"""The first and the last day of the arrivals that are asked for as one list."""
PAGE = 50
MOST = 1_000
"""How many records the longest page has."""


@frozen(kw_only=True)
class House:
    """The first hotel of the database, and the records in it that are asked for."""

    hotel_id: HotelId
    room_type_id: RoomTypeId
    guest_id: GuestId
    email: str
    folio_id: FolioId
