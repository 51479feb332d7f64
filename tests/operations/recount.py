"""What the rows themselves say: counters recomputed, rooms of nights, events, audit entries."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, TextClause, Uuid, bindparam, text

from tests.operations.small_hotel import SmallHotel

Units = dict[tuple[str, str], tuple[int, int]]
"""Committed and held units by type code and night."""


def _of_hotel(sql: str) -> TextClause:
    return text(sql).bindparams(bindparam("hotel", type_=Uuid()))


_COUNTERS = _of_hotel(
    """
    SELECT t.code, a.night, a.committed, a.held
    FROM hc_room_availability a
    JOIN hc_room_type t ON t.hotel_id = a.hotel_id AND t.id = a.room_type_id
    WHERE a.hotel_id = :hotel AND (a.committed <> 0 OR a.held <> 0)
    """
)
_NIGHTS = _of_hotel(
    """
    SELECT t.code, n.night,
           count(*) FILTER (WHERE b.status <> 'tentative') AS committed,
           count(*) FILTER (WHERE b.status = 'tentative') AS held
    FROM hc_booking_night n
    JOIN hc_booking b ON b.hotel_id = n.hotel_id AND b.id = n.booking_id
    JOIN hc_room_type t ON t.hotel_id = n.hotel_id AND t.id = n.room_type_id
    WHERE n.hotel_id = :hotel AND NOT n.released
    GROUP BY t.code, n.night
    """
)
# A night given back has no room. A night to come has the room that its booking says, if any. A
# room is always of the type whose unit the night takes.
_MISPLACED = _of_hotel(
    """
    SELECT b.confirmation_number, n.night
    FROM hc_booking_night n
    JOIN hc_booking b ON b.hotel_id = n.hotel_id AND b.id = n.booking_id
    JOIN hc_hotel h ON h.hotel_id = n.hotel_id
    LEFT JOIN hc_room_night x
           ON x.hotel_id = n.hotel_id AND x.booking_id = n.booking_id AND x.night = n.night
    LEFT JOIN hc_room r ON r.hotel_id = x.hotel_id AND r.id = x.room_id
    WHERE n.hotel_id = :hotel
      AND (n.released AND r.id IS NOT NULL
           OR NOT n.released AND n.night >= h.business_date AND r.id IS DISTINCT FROM b.room_id
           OR r.id IS NOT NULL AND r.room_type_id <> n.room_type_id)
    """
)
_EVENTS = _of_hotel("SELECT name FROM hc_outbox WHERE hotel_id = :hotel ORDER BY id")
_COMMANDS = _of_hotel("SELECT operation FROM hc_audit_log WHERE hotel_id = :hotel ORDER BY id")


def _read(hotel: SmallHotel, statement: TextClause) -> list[Row[Any]]:  # whatever it selects
    with hotel.core.engine.connect() as connection:
        return list(connection.execute(statement, {"hotel": hotel.hotel_id}))


def counted_units(hotel: SmallHotel) -> Units:
    """Return the units taken, as the counters say."""
    rows = _read(hotel, _COUNTERS)
    return {(row.code, str(row.night)): (row.committed, row.held) for row in rows}


def recounted_units(hotel: SmallHotel) -> Units:
    """Return the units taken, recomputed from the nights of the bookings."""
    rows = _read(hotel, _NIGHTS)
    return {(row.code, str(row.night)): (row.committed, row.held) for row in rows}


def misplaced_nights(hotel: SmallHotel) -> list[tuple[str, str]]:
    """Return the nights whose room is not the one that the booking and its type say."""
    rows = _read(hotel, _MISPLACED)
    return [(row.confirmation_number, str(row.night)) for row in rows]


def events_of(hotel: SmallHotel) -> list[str]:
    """Return the wire names of all that was reported, in order."""
    return [row.name for row in _read(hotel, _EVENTS)]


def commands_of(hotel: SmallHotel) -> list[str]:
    """Return the operations that the audit log has, in order."""
    return [row.operation for row in _read(hotel, _COMMANDS)]
