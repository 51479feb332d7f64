"""What the rows themselves say: counters recomputed, rooms of nights, events, audit entries."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

from attrs import AttrsInstance
from sqlalchemy import Row, TextClause, Uuid, bindparam, text

from hotelcore import wire
from hotelcore.core import HotelCore
from hotelcore.domain.audit import AuditLogEntry, Change, text_of_change
from hotelcore.errors import NotFound
from hotelcore.events.catalogue import CATALOGUE, Event
from hotelcore.ids import (
    BookingId,
    FolioId,
    FolioLineId,
    GuestId,
    MaintenanceId,
    RoomId,
    RoomTypeId,
)
from hotelcore.lists import AuditFilter, TaskFilter, every
from hotelcore.unit_of_work import UnitOfWork
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


def hearing(core: HotelCore) -> list[Event]:
    """Return a list that gets whatever is reported from now on, in order."""
    heard: list[Event] = []
    for kind in CATALOGUE.values():
        core.events.subscribe(kind, heard.append)
    return heard


# -- the audit log, told again ----------------------------------------------------------------

_Shown = dict[str, wire.Json]
_Key = tuple[str, UUID]

_READ: Mapping[str, Callable[[UnitOfWork, UUID, _Shown], AttrsInstance]] = {
    "booking": lambda uow, key, _: uow.bookings.get(BookingId(key)),
    "folio": lambda uow, key, _: uow.folios.get(FolioId(key)),
    "folio_line": lambda uow, key, _: uow.folios.line(FolioLineId(key)),
    "guest": lambda uow, key, _: uow.guests.get(GuestId(key)),
    "hotel": lambda uow, *_: uow.hotel,
    "housekeeping_task": lambda uow, key, _: _one(_tasks(uow), key),
    "maintenance": lambda uow, key, _: uow.maintenance.get(MaintenanceId(key)),
    "pms_config": lambda uow, key, _: _one([uow.pms.current()], key),
    "room": lambda uow, key, _: uow.rooms.get(RoomId(key)),
    "room_key": lambda uow, key, told: _one(
        uow.keys.of_booking(BookingId(UUID(str(told["booking_id"])))), key
    ),
    "room_type": lambda uow, key, _: uow.room_types.get(RoomTypeId(key)),
}
# The night audit's lines are their own record, and a synchronisation only says that it was.
_BESIDE_THE_LOG = {("folio", "balance"), ("pms_config", "last_synced_at")}


def untold(hotel: SmallHotel) -> list[str]:
    """Return where the changes in the audit log, told one after the other, are not what is so.

    Every change must begin with what the one before it left, and the last with what is stored.
    """
    told: dict[_Key, _Shown] = {}
    wrong: list[str] = []
    with hotel.desk().reading() as uow:
        for entry in _entries(uow):
            for change in entry.changes:
                wrong += _told(told, change)
        for (resource, key), shown in told.items():
            stored = text_of_change(resource, key, None, _stored(uow, resource, key, shown))
            wrong += _differing(resource, shown, json.loads(stored)["after"])
    return wrong


def _stored(uow: UnitOfWork, resource: str, key: UUID, told: _Shown) -> AttrsInstance | None:
    """Read a record; None for one that is not there any more."""
    try:
        return _READ[resource](uow, key, told)
    except NotFound:
        return None


def _entries(uow: UnitOfWork) -> list[AuditLogEntry]:
    newest = every(lambda after: uow.audit.page(AuditFilter(), after=after, limit=1_000))
    return list(newest)[::-1]


def _told(told: dict[_Key, _Shown], change: Change) -> Iterator[str]:
    """Take a change into what was told, and give what it says that was not so."""
    key = (change.resource, change.resource_id)
    if (change.before is None) is not (key not in told):
        yield f"{change.resource} is new"
    known = told.setdefault(key, {})
    before = _shown(change.before)
    yield from _differing(change.resource, {n: known.get(n) for n in before}, before)
    known |= _shown(change.after)
    if change.after is None:
        known.clear()


def _differing(resource: str, one: wire.Json, other: wire.Json) -> Iterator[str]:
    here, there = _shown(one), _shown(other)
    for name in sorted(here.keys() | there.keys()):
        if here.get(name) != there.get(name) and (resource, name) not in _BESIDE_THE_LOG:
            yield f"{resource}.{name}"


def _shown(state: wire.Json) -> _Shown:
    return state if isinstance(state, dict) else {}


def _tasks(uow: UnitOfWork) -> Iterator[AttrsInstance]:
    return every(lambda after: uow.housekeeping.page(TaskFilter(), after=after, limit=1_000))


def _one(found: Any, key: UUID) -> AttrsInstance:  # Any: entities that have an id, of some kind
    for entity in found:
        if entity.id == key:
            one: AttrsInstance = entity
            return one
    raise NotFound("record", key)
