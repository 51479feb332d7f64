"""What is left to sell: the counters' table, row mapping and repository.

A night's row is made when something is first sold or blocked on it. Until then the night is as the
rooms say: all of them free.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import attrs
from sqlalchemy import (
    CheckConstraint,
    Column,
    Integer,
    Table,
    TypedColumns,
    Update,
    bindparam,
    case,
    func,
    select,
    update,
)

from hotelcore.domain.availability import RoomAvailability
from hotelcore.domain.stays import Stay, check_stay
from hotelcore.errors import NotFound, SoldOut
from hotelcore.ids import RoomTypeId
from hotelcore.sql import schema
from hotelcore.sql.building import entity
from hotelcore.sql.changing import insert_into
from hotelcore.sql.repositories.rooms import ROOM, ROOM_TYPE
from hotelcore.sql.seam.statements import AnyRow, Statements, acting_hotel

__all__ = ["ROOM_AVAILABILITY", "SqlInventory"]


class RoomAvailabilityColumns(TypedColumns):
    """The counters of one room type on one night."""

    hotel_id: Column[UUID] = schema.hotel_column()
    room_type_id: Column[UUID] = schema.id_column("room_type_id")
    night: Column[date] = Column(schema.Day, primary_key=True)
    rooms: Column[int] = Column(Integer, nullable=False)
    out_of_inventory: Column[int] = Column(Integer, nullable=False)
    out_of_order: Column[int] = Column(Integer, nullable=False)
    committed: Column[int] = Column(Integer, nullable=False)
    held: Column[int] = Column(Integer, nullable=False)
    overbooking_limit: Column[int] = Column(Integer, nullable=False)
    forced: Column[int] = Column(Integer, nullable=False)


_COUNTERS = (
    "rooms",
    "out_of_inventory",
    "out_of_order",
    "committed",
    "held",
    "overbooking_limit",
    "forced",
)

ROOM_AVAILABILITY = Table(
    "hc_room_availability",
    schema.METADATA,
    RoomAvailabilityColumns,
    schema.of_hotel("room_type", "room_type_id"),
    # The last word on a sale, whatever the program above does.
    CheckConstraint(
        "committed + held <= rooms - out_of_inventory - out_of_order + overbooking_limit + forced",
        name="never_oversold",
    ),
    *(CheckConstraint(f"{name} >= 0", name=name) for name in _COUNTERS),
)
"""The table of counters, one row a room type and night."""
_c = ROOM_AVAILABILITY.c

_OF_TYPE = (_c.hotel_id == acting_hotel(), _c.room_type_id == bindparam("of_type"))
_THE_NIGHTS = (*_OF_TYPE, _c.night.in_(bindparam("nights", expanding=True)))
_IN_ORDER = select(ROOM_AVAILABILITY).order_by(_c.night).with_for_update(key_share=True)
_LOCK = _IN_ORDER.where(*_THE_NIGHTS)
_LOCK_TYPE_NIGHTS = _IN_ORDER.where(*_OF_TYPE)

_stored = ROOM_AVAILABILITY.alias("stored")
# All rows or none: whoever must first make rows may not hold others while waiting for the type.
_LOCK_IF_ALL_STORED = _LOCK.where(
    select(func.count())
    .select_from(_stored)
    .where(
        _stored.c.hotel_id == acting_hotel(),
        _stored.c.room_type_id == bindparam("of_type"),
        _stored.c.night.in_(bindparam("nights", expanding=True)),
    )
    .scalar_subquery()
    == bindparam("number")
)
_INSERT = insert_into(ROOM_AVAILABILITY)

# Changes nothing, and is a lock that counts as a change: who counts rooms and who adds some wait
# for each other, and at the stricter isolation levels the later one starts again with fresh eyes.
_LOCK_TYPE = (
    update(ROOM_TYPE)
    .where(ROOM_TYPE.c.hotel_id == acting_hotel(), ROOM_TYPE.c.id == bindparam("of_type"))
    .values(overbooking_limit=ROOM_TYPE.c.overbooking_limit)
)
_EMPTY_HOUSE = (
    select(
        ROOM_TYPE.c.id,
        ROOM_TYPE.c.overbooking_limit,
        select(func.count())
        .select_from(ROOM)
        .where(ROOM.c.hotel_id == acting_hotel(), ROOM.c.room_type_id == ROOM_TYPE.c.id)
        .scalar_subquery()
        .label("rooms"),
    )
    .where(ROOM_TYPE.c.hotel_id == acting_hotel())
    .order_by(ROOM_TYPE.c.code)
)
_EMPTY_TYPE = _EMPTY_HOUSE.where(ROOM_TYPE.c.id == bindparam("of_type"))
# The types are named even when all are asked for: the key has them before the night, and a search
# shall read no other nights.
_PERIOD = select(ROOM_AVAILABILITY).where(
    _c.hotel_id == acting_hotel(),
    _c.room_type_id.in_(bindparam("types", expanding=True)),
    _c.night >= bindparam("first"),
    _c.night < bindparam("until"),
)


_units = bindparam("units", type_=Integer)


def _moving(**by: int) -> Update:
    """Build the change that moves counters of all nights at once, by the numbers given a unit."""
    moved = {name: _c[name] + by[name] * _units for name in by}
    return update(ROOM_AVAILABILITY).where(*_THE_NIGHTS).values(moved)


# By ``held``, then by ``off_count``.
_SOLD = {True: _moving(held=1), False: _moving(committed=1)}
_RELEASED = {True: _moving(held=-1), False: _moving(committed=-1)}
_COMMITTED = _moving(held=-1, committed=1)
_BLOCKED = {True: _moving(out_of_inventory=1), False: _moving(out_of_order=1)}
_UNBLOCKED = {True: _moving(out_of_inventory=-1), False: _moving(out_of_order=-1)}

# How far so many units more would go beyond the overbooking limit.
_beyond = (
    _c.committed
    + _c.held
    + _units
    - (_c.rooms - _c.out_of_inventory - _c.out_of_order + _c.overbooking_limit)
)
_FORCED = (
    update(ROOM_AVAILABILITY)
    .where(*_THE_NIGHTS)
    .values(forced=case((_beyond > _c.forced, _beyond), else_=_c.forced))
)
_ADD_ROOMS = update(ROOM_AVAILABILITY).where(*_OF_TYPE).values(rooms=_c.rooms + bindparam("more"))


_availability = entity(RoomAvailability)


def _as_it_is(row: AnyRow) -> AnyRow:
    return row


def _by_units(
    room_type_id: RoomTypeId, nights: Iterable[date], wanted: Mapping[date, int]
) -> list[dict[str, Any]]:
    """Return the parameters of one change for all nights of which as many units are wanted."""
    of_units = defaultdict[int, list[date]](list)
    for night in sorted(nights):
        of_units[wanted[night]].append(night)
    return [
        {"of_type": room_type_id, "nights": some, "units": units}
        for units, some in sorted(of_units.items())
    ]


def _is_counter(attribute: attrs.Attribute[object], _: object) -> bool:
    return attribute.name != "hotel_id"  # which the seam alone gives


class SqlInventory:
    """The `hotelcore.repositories.Inventory` of one unit of work.

    Rows are locked in night order before they are changed, and read under that lock before a sale
    is refused, so a refusal has changed nothing.
    """

    def __init__(self, run: Statements) -> None:
        self._run = run

    def add_rooms(self, room_type_id: RoomTypeId, number: int) -> None:
        """Count ``number`` more rooms on every night."""
        # Past ones too: an untouched night is as the rooms say, and a touched one must equal that.
        self._lock_type(room_type_id)
        self._run.all(_LOCK_TYPE_NIGHTS, _availability, of_type=room_type_id)
        self._run.write(_ADD_ROOMS, of_type=room_type_id, more=number)

    def lock(self, room_type_id: RoomTypeId, nights: Collection[date]) -> None:
        """Lock the row of each night, in order, making the missing ones."""
        if nights:
            self._locked(room_type_id, nights)

    def sell(
        self, room_type_id: RoomTypeId, nights: Collection[date], *, held: bool, force: bool = False
    ) -> None:
        """Take a unit on every night as often as it is named, or none at all."""
        self._take(_SOLD[held], room_type_id, nights, force=force)

    def release(
        self,
        room_type_id: RoomTypeId,
        nights: Collection[date],
        *,
        held: bool,
        locked: bool = False,
    ) -> None:
        """Give one unit back on every night; where none was taken the unit fails."""
        self._move(_RELEASED[held], room_type_id, nights, locked=locked)

    def commit_held(self, room_type_id: RoomTypeId, nights: Collection[date]) -> None:
        """Turn one held unit into a committed one; where none was held the unit fails."""
        self._move(_COMMITTED, room_type_id, nights)

    def block(
        self, room_type_id: RoomTypeId, nights: Collection[date], *, off_count: bool, force: bool
    ) -> None:
        """Take one room off sale on every night, by the rule of a sale, or on none."""
        self._take(_BLOCKED[off_count], room_type_id, nights, force=force)

    def unblock(
        self, room_type_id: RoomTypeId, nights: Collection[date], *, off_count: bool
    ) -> None:
        """Put one room back on sale; where none was blocked the unit fails."""
        self._move(_UNBLOCKED[off_count], room_type_id, nights)

    def nights(
        self, stay: Stay, room_type_id: RoomTypeId | None = None
    ) -> tuple[RoomAvailability, ...]:
        """Return the counters of one type, or all, for each night, by type code and night."""
        check_stay("stay", stay)
        if room_type_id is None:
            types = self._run.all(_EMPTY_HOUSE, _as_it_is)
        else:
            self._run.ahead(lambda: self._stored_within(stay, [room_type_id]))
            types = [self._empty(room_type_id)]
        rows = self._stored_within(stay, [empty.id for empty in types])
        stored = {(row.room_type_id, row.night): row for row in rows}
        return tuple(
            stored.get((empty.id, night)) or self._untouched(empty, night)
            for empty in types
            for night in stay
        )

    def _take(
        self, change: Update, room_type_id: RoomTypeId, nights: Collection[date], *, force: bool
    ) -> None:
        if not nights:
            return  # a day use takes no unit
        wanted = Counter(nights)
        locked = self._locked(room_type_id, wanted)
        full = [row.night for row in locked if row.sellable < wanted[row.night]]
        if full and not force:
            raise SoldOut(room_type_id, tuple(full))
        # The rows are locked and have room, or are forced: nothing is left that could refuse it.
        for statement, some in ((_FORCED, full), (change, wanted)):
            for row in _by_units(room_type_id, some, wanted):
                self._run.write_with_next(statement, [row])

    def _move(
        self,
        change: Update,
        room_type_id: RoomTypeId,
        nights: Collection[date],
        *,
        locked: bool = False,
    ) -> None:
        if not nights:
            return
        wanted = Counter(nights)
        if not locked:
            self._locked(room_type_id, wanted)
        # Only a fault of ours moves what is not there.
        for row in _by_units(room_type_id, wanted, wanted):
            self._run.write_with_next(change, [row])

    def _locked(
        self, room_type_id: RoomTypeId, nights: Collection[date]
    ) -> Sequence[RoomAvailability]:
        """Lock the row of each night, in order, making the missing ones."""
        wanted = sorted(set(nights))
        known = {"of_type": room_type_id, "nights": wanted}
        rows = self._run.all(_LOCK_IF_ALL_STORED, _availability, **known, number=len(wanted))
        return rows or self._completed(room_type_id, wanted)

    def _completed(
        self, room_type_id: RoomTypeId, nights: Sequence[date]
    ) -> Sequence[RoomAvailability]:
        self._run.write_with_next(_LOCK_TYPE, [{"of_type": room_type_id}])
        self._run.ahead(lambda: self._stored(room_type_id, nights))
        self._run.ahead(lambda: self._empty(room_type_id))
        stored, empty = self._stored(room_type_id, nights), self._empty(room_type_id)
        missing = sorted(set(nights).difference(row.night for row in stored))
        made = [self._untouched(empty, night) for night in missing]
        rows = [attrs.asdict(row, filter=_is_counter) for row in made]
        self._run.write_with_next(_INSERT, rows)
        return sorted([*stored, *made], key=lambda row: row.night)

    def _stored(
        self, room_type_id: RoomTypeId, nights: Sequence[date]
    ) -> Sequence[RoomAvailability]:
        return self._run.all(_LOCK, _availability, of_type=room_type_id, nights=nights)

    def _stored_within(
        self, stay: Stay, room_type_ids: Sequence[RoomTypeId]
    ) -> Sequence[RoomAvailability]:
        first, until = stay.arrival, stay.departure
        return self._run.all(_PERIOD, _availability, types=room_type_ids, first=first, until=until)

    def _lock_type(self, room_type_id: RoomTypeId) -> None:
        if not self._run.write(_LOCK_TYPE, of_type=room_type_id):
            raise NotFound("room type", room_type_id)

    def _empty(self, room_type_id: RoomTypeId) -> AnyRow:
        found = self._run.first(_EMPTY_TYPE, _as_it_is, of_type=room_type_id)
        if found is None:
            raise NotFound("room type", room_type_id)
        return found

    def _untouched(self, empty: AnyRow, night: date) -> RoomAvailability:
        return RoomAvailability(
            hotel_id=self._run.hotel_id,
            room_type_id=empty.id,
            night=night,
            rooms=empty.rooms,
            out_of_inventory=0,
            out_of_order=0,
            committed=0,
            held=0,
            overbooking_limit=empty.overbooking_limit,
            forced=0,
        )
