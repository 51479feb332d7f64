"""Reads a hotel's books by plain SQL and holds them against what the machine believes.

Every row that matters is compared after every step, so a fault is found in the step that made it.
The counters are believed to be what the nights of bookings and maintenance add up to, a balance
the sum of its lines: neither is read from where the library keeps it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, TypeAlias
from uuid import UUID

from hotelcore.testing.machine.houses import House, Key, Room, RoomType

__all__ = ["READ", "UNNAMED", "adopt", "agree", "totals"]

# A driver gives values of whatever type a column has.
Row: TypeAlias = tuple[Any, ...]
Read: TypeAlias = Callable[[str], Sequence[Sequence[Any]]]

READ: Mapping[str, str] = {
    "day": "SELECT business_date FROM hc_hotel WHERE hotel_id = :hotel",
    "rooms": "SELECT id, room_type_id, condition FROM hc_room WHERE hotel_id = :hotel",
    "guests": "SELECT id, anonymised_at IS NOT NULL FROM hc_guest WHERE hotel_id = :hotel",
    "bookings": "SELECT id, guest_id, room_type_id, arrival, departure, status, room_id,"
    " total_minor FROM hc_booking WHERE hotel_id = :hotel",
    "nights": "SELECT booking_id, night, room_type_id, price_minor, released, posted"
    " FROM hc_booking_night WHERE hotel_id = :hotel",
    "room nights": "SELECT room_id, night, booking_id, maintenance_id"
    " FROM hc_room_night WHERE hotel_id = :hotel",
    "counters": "SELECT room_type_id, night, rooms, overbooking_limit, committed, held,"
    " out_of_order, out_of_inventory FROM hc_room_availability WHERE hotel_id = :hotel"
    " AND committed + held + out_of_order + out_of_inventory <> 0",
    "folios": "SELECT id, booking_id, guest_id, status = 'open', balance_minor"
    " FROM hc_folio WHERE hotel_id = :hotel ORDER BY id",
    "lines": "SELECT id, folio_id, kind, amount_minor, business_date, refers_to, night, code"
    " FROM hc_folio_line WHERE hotel_id = :hotel ORDER BY id",
    "keys": "SELECT booking_id, room_id, valid_until, count(*) FROM hc_room_key"
    " WHERE hotel_id = :hotel AND revoked_at IS NULL GROUP BY booking_id, room_id, valid_until",
    "periods": "SELECT id, room_id, kind, begins, ends, released_at IS NOT NULL"
    " FROM hc_maintenance WHERE hotel_id = :hotel",
    "tasks": "SELECT id, room_id, kind, status = 'open', booking_id"
    " FROM hc_housekeeping_task WHERE hotel_id = :hotel",
    "days": "SELECT date, rooms_sold, room_revenue_minor FROM hc_business_day"
    " WHERE hotel_id = :hotel",
    "keyed": "SELECT operation, key FROM hc_idempotency WHERE hotel_id = :hotel",
    "connected": "SELECT count(*) FROM hc_pms_config WHERE hotel_id = :hotel",
}
"""What is read after each step, in the order in which it is compared."""

UNNAMED = tuple(
    statement + " WHERE hotel_id = :hotel ORDER BY id"
    for statement in (
        "SELECT id FROM hc_folio",
        "SELECT id FROM hc_folio_line",
        "SELECT id FROM hc_room_type",
        "SELECT id FROM hc_room",
        "SELECT id FROM hc_guest",
    )
)
"""The ids of the records that a command may make without returning them."""

_TOTALS = """
SELECT (SELECT count(*) FROM hc_audit_log WHERE hotel_id = :hotel AND outcome = 'done'),
       (SELECT count(*) FROM hc_outbox WHERE hotel_id = :hotel),
       (SELECT count(*) FROM (SELECT key FROM hc_outbox WHERE hotel_id = :hotel GROUP BY key
                              HAVING min(sequence) <> 1 OR max(sequence) <> count(*)) AS gaps)
"""


def totals(read: Read) -> tuple[int, int, int]:
    """Count commands in the audit log, events, and records whose events are not without gaps."""
    [(entries, events, gaps)] = read(_TOTALS)
    return entries, events, gaps


def agree(house: House, read: Read) -> None:
    """Raise `AssertionError`, which names the rows, unless the books are as believed."""
    found = {name: list(map(_plain, read(statement))) for name, statement in READ.items()}
    _name_folios(house, found["folios"])
    _name_lines(house, found["lines"])
    for name, rows in found.items():
        believed = _BELIEVED[name](house)
        if len(rows) != len(believed) or set(rows) != set(believed):
            raise AssertionError(
                f"{name} of hotel {house.place}: "
                f"in the books {sorted(set(rows) - set(believed), key=repr)}, "
                f"believed {sorted(set(believed) - set(rows), key=repr)}"
            )


_TYPES = (
    "SELECT id, code, base_rate_minor, overbooking_limit FROM hc_room_type WHERE hotel_id = :hotel"
)
_ROOMS = "SELECT id, room_type_id, number, condition FROM hc_room WHERE hotel_id = :hotel"
_GUESTS = "SELECT id FROM hc_guest WHERE hotel_id = :hotel"


def adopt(house: House, read: Read) -> None:
    """Learn types, rooms and guests that a command made without naming them, in order of id."""
    for key, *rest in sorted(map(_plain, read(_TYPES))):
        house.types.setdefault(key, RoomType(*rest))
    for key, *rest in sorted(map(_plain, read(_ROOMS))):
        house.rooms.setdefault(key, Room(*rest))
    for (key,) in sorted(map(_plain, read(_GUESTS))):
        house.guests.setdefault(key, False)
    house.unknown = False


def _plain(row: Sequence[Any]) -> Row:
    return tuple(map(_simple, row))


def _simple(value: Any) -> Any:
    if isinstance(value, UUID):
        return value.hex
    return value.isoformat() if isinstance(value, date) else value


# -- records whose ids no result told ----------------------------------------------------------


def _name_folios(house: House, rows: Iterable[Row]) -> None:
    unnamed = [key for key in house.folios if key[0] == "?"]
    if not unnamed:
        return
    for key, booking, *_ in rows:
        if key not in house.folios:
            for old in unnamed:
                if house.folios[old].booking == booking:
                    unnamed.remove(old)
                    _rename_folio(house, old, key)
                    break


def _rename_folio(house: House, old: Key, new: Key) -> None:
    house.folios = {new if key == old else key: it for key, it in house.folios.items()}
    for line in house.lines.values():
        if line.folio == old:
            line.folio = new


def _name_lines(house: House, rows: Iterable[Row]) -> None:
    unnamed = {
        key: row for key, row in zip(house.lines, _lines(house), strict=True) if key[0] == "?"
    }
    if not unnamed:
        return
    for key, *told in rows:
        if key not in house.lines:
            for old, row in unnamed.items():
                if list(row[1:]) == told:
                    house.lines[key] = house.lines.pop(old)
                    del unnamed[old]
                    break


# -- what is believed, as the rows would say it ------------------------------------------------


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _bookings(house: House) -> list[Row]:
    return [
        (key, b.guest, b.room_type, _day(b.arrival), _day(b.departure), b.status, b.room, b.total)
        for key, b in house.bookings.items()
    ]


def _nights(house: House) -> list[Row]:
    return [
        (key, _day(day), night.room_type, night.price, night.released, night.posted)
        for key, booking in house.bookings.items()
        for day, night in booking.nights.items()
    ]


def _room_nights(house: House) -> list[Row]:
    return [(room, _day(day), who, period) for room, day, who, period in house.room_nights()]


def _counters(house: House) -> list[Row]:
    rooms = Counter(room.room_type for room in house.rooms.values())
    limits = {key: room_type.limit for key, room_type in house.types.items()}
    return [
        (
            key,
            _day(day),
            rooms[key],
            limits[key],
            it.committed,
            it.held,
            it.out_of_order,
            it.out_of_inventory,
        )
        for (key, day), it in house.counters().items()
    ]


def _folios(house: House) -> list[Row]:
    sums: dict[Key, int] = {}
    for line in house.lines.values():
        sums[line.folio] = sums.get(line.folio, 0) + line.minor
    return [
        (key, folio.booking, folio.guest, folio.is_open, sums.get(key, 0))
        for key, folio in house.folios.items()
    ]


def _lines(house: House) -> list[Row]:
    return [
        (key, it.folio, it.kind, it.minor, _day(it.day), it.refers_to, _day(it.night), it.code)
        for key, it in house.lines.items()
    ]


def _keys(house: House) -> list[Row]:
    return [(key, b.room, _day(b.departure), b.keys) for key, b in house.bookings.items() if b.keys]


def _periods(house: House) -> list[Row]:
    return [
        (key, p.room, p.kind, _day(p.begins), _day(p.ends), p.released)
        for key, p in house.periods.items()
    ]


_BELIEVED: Mapping[str, Callable[[House], list[Row]]] = {
    "day": lambda house: [(_day(house.day),)],
    "rooms": lambda house: [(k, r.room_type, r.condition) for k, r in house.rooms.items()],
    "guests": lambda house: list(house.guests.items()),
    "bookings": _bookings,
    "nights": _nights,
    "room nights": _room_nights,
    "counters": _counters,
    "folios": _folios,
    "lines": _lines,
    "keys": _keys,
    "periods": _periods,
    "tasks": lambda house: [
        (k, t.room, t.kind, t.is_open, t.booking) for k, t in house.tasks.items()
    ],
    "days": lambda house: [(_day(day), *figures) for day, figures in house.days.items()],
    "keyed": lambda house: list(house.keyed),
    "connected": lambda house: [(int(house.connected),)],
}
