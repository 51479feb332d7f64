"""Room nights: table, row mapping and repository.

A room's night is one row, taken by one booking or by maintenance; the primary key makes it one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import Literal, TypeAlias
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    Table,
    TypedColumns,
    bindparam,
    delete,
    select,
)

from hotelcore.domain.rooms import RoomNight
from hotelcore.domain.stays import Stay, check_stay
from hotelcore.errors import RoomTaken
from hotelcore.ids import BookingId, MaintenanceId, RoomId
from hotelcore.sql import schema
from hotelcore.sql.building import entity
from hotelcore.sql.changing import upsert_into
from hotelcore.sql.seam.statements import Statements, acting_hotel

__all__ = ["ROOM_NIGHT", "SqlRoomNights"]


class RoomNightColumns(TypedColumns):
    """A taken room-night's columns; exactly one of its two holders is set."""

    hotel_id: Column[UUID] = schema.hotel_column()
    room_id: Column[UUID] = schema.id_column("room_id")
    night: Column[date] = Column(schema.Day, primary_key=True)
    booking_id: Column[UUID | None] = Column(schema.Id)
    maintenance_id: Column[UUID | None] = Column(schema.Id)


ROOM_NIGHT = Table(
    "hc_room_night",
    schema.METADATA,
    RoomNightColumns,
    schema.of_hotel("room", "room_id"),
    schema.of_hotel("booking", "booking_id"),
    schema.of_hotel("maintenance", "maintenance_id"),
    CheckConstraint("(booking_id IS NULL) <> (maintenance_id IS NULL)", name="one_holder"),
)
"""The table of taken room-nights."""
_c = ROOM_NIGHT.c
Index("ix_hc_room_night_night", _c.hotel_id, _c.night)
Index("ix_hc_room_night_booking", _c.hotel_id, _c.booking_id, _c.night)
Index(
    "ix_hc_room_night_maintenance",
    _c.hotel_id,
    _c.maintenance_id,
    _c.night,
    sqlite_where=_c.maintenance_id.is_not(None),
    postgresql_where=_c.maintenance_id.is_not(None),
)

# Taking a night again is no change of holder, so the row counts as taken; another's row does not.
_TAKE = {
    holder: upsert_into(ROOM_NIGHT, changing=(holder,), keeping=(holder,))
    for holder in ("booking_id", "maintenance_id")
}
_HELD_BY_OTHERS = {
    holder: select(_c.night)
    .where(
        _c.hotel_id == acting_hotel(),
        _c.room_id == bindparam("room"),
        _c.night.in_(bindparam("nights", expanding=True)),
        _c[holder].is_distinct_from(bindparam("holder")),
    )
    .order_by(_c.night)
    for holder in _TAKE
}
_FREE = {
    holder: delete(ROOM_NIGHT).where(
        _c.hotel_id == acting_hotel(),
        _c[holder] == bindparam("holder"),
        _c.night >= bindparam("from_night"),
    )
    for holder in _TAKE
}
_CHART = (
    select(ROOM_NIGHT)
    .where(
        _c.hotel_id == acting_hotel(),
        _c.night >= bindparam("first"),
        _c.night < bindparam("until"),
    )
    .order_by(_c.room_id, _c.night)
)


_room_night = entity(RoomNight)
_Holder: TypeAlias = Literal["booking_id", "maintenance_id"]


class SqlRoomNights:
    """The `hotelcore.repositories.RoomNights` of one unit of work.

    After `RoomTaken` the nights that were free stay taken until the unit, or the savepoint around
    the call, is undone, or they are released where the unit goes on.
    """

    def __init__(self, run: Statements) -> None:
        self._run = run

    def hold(
        self,
        room_id: RoomId,
        booking_id: BookingId,
        nights: Collection[date],
        *,
        at_once: bool = False,
    ) -> None:
        """Give the room's nights to a booking; those that it holds already stay its own."""
        self._take(room_id, nights, "booking_id", booking_id, at_once=at_once)

    def block(self, room_id: RoomId, maintenance_id: MaintenanceId, period: Stay) -> None:
        """Give the room's nights to maintenance."""
        self._take(room_id, period.nights, "maintenance_id", maintenance_id)

    def release(self, booking_id: BookingId, *, from_night: date) -> None:
        """Free the nights of a booking from ``from_night`` on."""
        self._free("booking_id", booking_id, from_night)

    def unblock(self, maintenance_id: MaintenanceId, *, from_night: date) -> None:
        """Free the nights of a maintenance period from ``from_night`` on."""
        self._free("maintenance_id", maintenance_id, from_night)

    def chart(self, period: Stay) -> tuple[RoomNight, ...]:
        """Return every taken room-night of a period, by room and night."""
        first, until = check_stay("period", period).arrival, period.departure
        return tuple(self._run.all(_CHART, _room_night, first=first, until=until))

    def _free(self, holder: _Holder, holder_id: UUID, from_night: date) -> None:
        row = {"holder": holder_id, "from_night": from_night}
        self._run.write_with_next(_FREE[holder], [row])  # nothing refuses to let go of a night

    def _take(
        self,
        room_id: RoomId,
        nights: Collection[date],
        holder: _Holder,
        holder_id: UUID,
        *,
        at_once: bool = False,
    ) -> None:
        # In order of the nights, so that two who want the same ones wait and do not deadlock.
        wanted = sorted(set(nights))
        nobody = {"room_id": room_id, "booking_id": None, "maintenance_id": None}
        rows = [{**nobody, holder: holder_id, "night": night} for night in wanted]
        statement = _TAKE[holder][self._run.dialect]

        def taken() -> RoomTaken:
            return RoomTaken(room_id, self._held_by_others(room_id, wanted, holder, holder_id))

        if not at_once:
            self._run.must_write(statement, rows, missed=taken)
        elif self._run.write_many(statement, rows) < len(rows):
            raise taken()

    def _held_by_others(
        self, room_id: RoomId, nights: Sequence[date], holder: _Holder, holder_id: UUID
    ) -> tuple[date, ...]:
        held = self._run.all(
            _HELD_BY_OTHERS[holder],
            lambda row: row.night,
            room=room_id,
            nights=nights,
            holder=holder_id,
        )
        return tuple(held)
