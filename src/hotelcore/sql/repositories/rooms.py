"""Room types, rooms and their maintenance: tables, row mapping and repositories."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from uuid import UUID

import attrs
from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    TypedColumns,
    bindparam,
    exists,
    select,
    update,
)

from hotelcore.domain.fields import Attributes, check_id
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import (
    MaintenanceKind,
    MaintenancePeriod,
    Room,
    RoomCondition,
    RoomType,
)
from hotelcore.domain.stays import Stay, check_stay
from hotelcore.errors import AlreadyExists, NotFound
from hotelcore.ids import MaintenanceId, RoomId, RoomTypeId
from hotelcore.lists import Page, RoomFilter
from hotelcore.sql import schema
from hotelcore.sql.building import Value, entity
from hotelcore.sql.changing import insert_into, versioned_update, write_next_version
from hotelcore.sql.finding import found_by_id, found_of_each, refuse_unknown
from hotelcore.sql.pages import Listing, check_filter
from hotelcore.sql.repositories.bookings import BOOKING, IN_HOUSE
from hotelcore.sql.repositories.room_nights import ROOM_NIGHT
from hotelcore.sql.seam.statements import AnyRow, Statements, acting_hotel

__all__ = [
    "MAINTENANCE",
    "ROOM",
    "ROOM_TYPE",
    "SqlMaintenance",
    "SqlRoomTypes",
    "SqlRooms",
]

# -- room types -------------------------------------------------------------------------------


class RoomTypeColumns(TypedColumns):
    """A room type's columns."""

    hotel_id: Column[UUID] = schema.hotel_column()
    id: Column[UUID] = schema.id_column()
    code: Column[str] = Column(schema.ordered_text(20), nullable=False)
    name: Column[str] = Column(String(200), nullable=False)
    base_rate_minor: Column[int] = schema.minor_column("base_rate_minor")
    currency: Column[str] = schema.currency_column()
    max_occupancy: Column[int] = Column(Integer, nullable=False)
    overbooking_limit: Column[int] = Column(Integer, nullable=False)
    attributes: Column[Attributes] = schema.attributes_column()
    version: Column[int] = schema.version_column()


ROOM_TYPE = Table(
    "hc_room_type",
    schema.METADATA,
    RoomTypeColumns,
    ForeignKeyConstraint(["hotel_id"], ["hc_hotel.hotel_id"]),
)
"""The table of room types."""
_t = ROOM_TYPE.c
Index("uq_hc_room_type_code", _t.hotel_id, _t.code, unique=True)

_ALL_TYPES = select(ROOM_TYPE).where(_t.hotel_id == acting_hotel()).order_by(_t.code)
_ONE_TYPE = _ALL_TYPES.where(_t.id == bindparam("key"))
_INSERT_TYPE = insert_into(ROOM_TYPE)


_room_type = entity(RoomType, base_rate=Value(Money, ("base_rate_minor", "currency")))


class SqlRoomTypes:
    """The `hotelcore.repositories.RoomTypes` of one unit of work."""

    def __init__(self, run: Statements) -> None:
        self._run = run

    def add(self, room_type: RoomType) -> None:
        """Store a new room type."""
        row = {
            "id": room_type.id,
            "code": room_type.code,
            "name": room_type.name,
            "base_rate_minor": room_type.base_rate.minor,
            "currency": room_type.base_rate.currency,
            "max_occupancy": room_type.max_occupancy,
            "overbooking_limit": room_type.overbooking_limit,
            "attributes": room_type.attributes,
            "version": room_type.version,
        }
        self._run.must_write(_INSERT_TYPE, [row], taken=lambda: AlreadyExists("room type", "code"))

    def get(self, room_type_id: RoomTypeId) -> RoomType:
        """Return one room type."""
        found = self._run.first(_ONE_TYPE, _room_type, key=room_type_id)
        if found is None:
            raise NotFound("room type", room_type_id)
        return found

    def all(self) -> tuple[RoomType, ...]:
        """Return all of them, ordered by code."""
        return tuple(self._run.all(_ALL_TYPES, _room_type))


# -- rooms ------------------------------------------------------------------------------------


class RoomColumns(TypedColumns):
    """A room's columns."""

    hotel_id: Column[UUID] = schema.hotel_column()
    id: Column[UUID] = schema.id_column()
    room_type_id: Column[UUID] = Column(schema.SharedId, nullable=False)
    number: Column[str] = Column(schema.ordered_text(20), nullable=False)
    floor: Column[str | None] = Column(String(20))
    condition: Column[str] = Column(String(20), nullable=False)
    attributes: Column[Attributes] = schema.attributes_column()
    version: Column[int] = schema.version_column()


ROOM = Table(
    "hc_room",
    schema.METADATA,
    RoomColumns,
    schema.of_hotel("room_type", "room_type_id"),
    schema.one_of("condition", RoomCondition),
)
"""The table of rooms."""
_r = ROOM.c
Index("uq_hc_room_number", _r.hotel_id, _r.number, unique=True)
Index("ix_hc_room_type_number", _r.hotel_id, _r.room_type_id, _r.number)
schema.hotel_follows_from(ROOM, "room_type_id")

_ALL_ROOMS = select(ROOM).where(_r.hotel_id == acting_hotel())
_ONE_ROOM = _ALL_ROOMS.where(_r.id == bindparam("key"))
_IS_WANTED = _r.id.in_(bindparam("wanted", expanding=True))
_SOME_ROOMS = _ALL_ROOMS.where(_IS_WANTED)
_LOCK_ROOMS = _SOME_ROOMS.order_by(_r.id).with_for_update(key_share=True)
_INSERT_ROOM = insert_into(ROOM)
_UPDATE_ROOM = versioned_update(ROOM)
_SET_CONDITION = (
    update(ROOM)
    .where(_r.hotel_id == acting_hotel(), _IS_WANTED)
    .values(condition=bindparam("new_condition"), version=_r.version + 1)
)
_THE_ROOM = (_r.hotel_id == acting_hotel(), _r.id == bindparam("key"))
_TAKE_NUMBER_OFF = update(ROOM).where(*_THE_ROOM).values(number=bindparam("new_number"))
_GIVE_NUMBER = _TAKE_NUMBER_OFF.values(version=_r.version + 1)

_b, _n = BOOKING.c, ROOM_NIGHT.c
_SOMEBODY_IN = exists().where(
    _b.hotel_id == acting_hotel(),
    _b.room_id == _r.id,
    IN_HOUSE,
)
_NIGHT_OF_ROOM = exists().where(_n.hotel_id == acting_hotel(), _n.room_id == _r.id)
_OF_TYPE = _ALL_ROOMS.where(_r.room_type_id == bindparam("of_type")).order_by(_r.number)
_OF_TYPES = _ALL_ROOMS.where(_r.room_type_id.in_(bindparam("wanted", expanding=True))).order_by(
    _r.room_type_id, _r.number
)
_IS_FREE = (~_NIGHT_OF_ROOM.where(_n.night >= bindparam("first"), _n.night < bindparam("until")),)
_IS_FREE_BY_DAY = (
    ~_SOMEBODY_IN,
    ~_NIGHT_OF_ROOM.where(_n.night == bindparam("first"), _n.maintenance_id.is_not(None)),
)
_FREE = _OF_TYPE.where(*_IS_FREE)
_FREE_BY_DAY = _OF_TYPE.where(*_IS_FREE_BY_DAY)
_FREE_OF_EACH = _OF_TYPES.where(*_IS_FREE)
_FREE_OF_EACH_BY_DAY = _OF_TYPES.where(*_IS_FREE_BY_DAY)
_OCCUPIED = select(_b.room_id).where(
    _b.hotel_id == acting_hotel(), _b.room_id.in_(bindparam("wanted", expanding=True)), IN_HOUSE
)
_IS_OCCUPIED = select(_SOMEBODY_IN.label("occupied")).where(
    _r.hotel_id == acting_hotel(), _r.id == bindparam("key")
)


_room = entity(Room)
_PAGES = Listing(
    _ALL_ROOMS,
    _room,
    keys=(_r.number,),  # unique in the hotel, so it needs no id behind it
    conditions={
        "of_type": _r.room_type_id == bindparam("of_type"),
        "conditions": _r.condition.in_(bindparam("conditions", expanding=True)),
        "on_floor": _r.floor == bindparam("on_floor"),
    },
)


def _its_room(row: AnyRow) -> RoomId:
    return RoomId(row.room_id)


def _room_values(room: Room) -> dict[str, object]:
    return {
        "room_type_id": room.room_type_id,
        "number": room.number,
        "floor": room.floor,
        "condition": room.condition.value,
        "attributes": room.attributes,
    }


class SqlRooms:
    """The `hotelcore.repositories.Rooms` of one unit of work."""

    def __init__(self, run: Statements) -> None:
        self._run = run

    def add_all(self, rooms: Sequence[Room]) -> None:
        """Store new rooms."""
        rows = [{"id": room.id, "version": room.version, **_room_values(room)} for room in rooms]
        self._run.must_write(_INSERT_ROOM, rows, taken=lambda: AlreadyExists("room", "number"))

    def get(self, room_id: RoomId) -> Room:
        """Return one room."""
        found = self._run.first(_ONE_ROOM, _room, key=room_id)
        if found is None:
            raise NotFound("room", room_id)
        return found

    def get_all(self, room_ids: Collection[RoomId]) -> Mapping[RoomId, Room]:
        """Return rooms by id."""
        return found_by_id(self._run, "room", _SOME_ROOMS, _room, room_ids)

    def lock(self, room_ids: Collection[RoomId]) -> tuple[Room, ...]:
        """Lock rooms in id order and return them so."""
        wanted = sorted(set(room_ids))
        # All in one statement, since those of a house go together.
        rooms = self._run.all(_LOCK_ROOMS, _room, wanted=wanted) if wanted else ()
        found = {room.id: room for room in rooms}
        refuse_unknown("room", wanted, found)
        return tuple(found.values())

    def update(self, room: Room) -> Room:
        """Store the room if nobody changed it since."""
        version = write_next_version(
            self._run,
            _UPDATE_ROOM,
            "room",
            room.id,
            room.version,
            _room_values(room),
            taken=lambda: AlreadyExists("room", "number"),
        )
        return attrs.evolve(room, version=version)

    def set_condition(self, room_ids: Collection[RoomId], condition: RoomCondition) -> None:
        """Set the condition of locked rooms at once, each with its next version."""
        wanted = list(room_ids)
        rows = [{"wanted": wanted, "new_condition": condition.value}] if wanted else []
        self._run.write_with_next(_SET_CONDITION, rows)  # they are locked, so nothing refuses it

    def renumber(self, numbers: Mapping[RoomId, str]) -> None:
        """Give locked rooms other numbers at once, each with its next version."""
        given = [
            {"key": check_id("room_id", key), "new_number": number}
            for key, number in numbers.items()
        ]
        # Rooms that swap numbers would be in each other's way, so each is first without one: with
        # one that is made of its id, as long as a number may be, and that nobody gives a room.
        without = [{"key": key, "new_number": f"~{key.hex[-19:]}"} for key in numbers]
        taken = partial(AlreadyExists, "room", "number")
        self._run.must_write(_TAKE_NUMBER_OFF, without, taken=taken)
        self._run.must_write(_GIVE_NUMBER, given, taken=taken)

    def free(self, room_type_id: RoomTypeId, stay: Stay) -> tuple[Room, ...]:
        """Return the type's rooms that are free for the whole stay, ordered by number."""
        check_stay("stay", stay)
        values = {"of_type": room_type_id, "first": stay.arrival}
        if stay.is_day_use:
            found = self._run.all(_FREE_BY_DAY, _room, **values)
        else:
            found = self._run.all(_FREE, _room, **values, until=stay.departure)
        if not found:
            SqlRoomTypes(self._run).get(room_type_id)  # an unknown type is no full one
        return tuple(found)

    def free_of_each(
        self, room_type_ids: Collection[RoomTypeId], stay: Stay
    ) -> Mapping[RoomTypeId, tuple[Room, ...]]:
        """Return the rooms of each type that are free for the whole stay, ordered by number."""
        values = {"first": stay.arrival}
        if not stay.is_day_use:
            values["until"] = stay.departure
        return found_of_each(
            self._run,
            _FREE_OF_EACH_BY_DAY if stay.is_day_use else _FREE_OF_EACH,
            _room,
            room_type_ids,
            lambda room: room.room_type_id,
            **values,
        )

    def is_occupied(self, room_id: RoomId) -> bool:
        """Tell whether a booking in house is in the room."""
        occupied = self._run.first(_IS_OCCUPIED, lambda row: bool(row.occupied), key=room_id)
        if occupied is None:
            raise NotFound("room", room_id)
        return occupied

    def occupied(self, room_ids: Collection[RoomId]) -> frozenset[RoomId]:
        """Return those of the rooms that a booking in house is in; an unknown one is in none."""
        return frozenset(self._run.all_of(_OCCUPIED, _its_room, sorted(set(room_ids))))

    def page(self, which: RoomFilter, *, after: str | None = None, limit: int = 50) -> Page[Room]:
        """Return rooms in order of number."""
        check_filter(which, RoomFilter)
        return _PAGES.page(
            self._run,
            after=after,
            limit=limit,
            of_type=which.room_type_id,
            conditions=None if which.conditions is None else sorted(which.conditions),
            on_floor=which.floor,
        )


# -- maintenance ------------------------------------------------------------------------------


class MaintenanceColumns(TypedColumns):
    """A maintenance period's columns; ``ends`` is the first night on which the room is back."""

    hotel_id: Column[UUID] = schema.hotel_column()
    id: Column[UUID] = schema.id_column()
    room_id: Column[UUID] = Column(schema.Id, nullable=False)
    kind: Column[str] = Column(String(20), nullable=False)
    begins: Column[date] = Column(schema.Day, nullable=False)
    ends: Column[date] = Column(schema.Day, nullable=False)
    reason: Column[str] = Column(String(500), nullable=False)
    created_at: Column[datetime] = Column(schema.Instant, nullable=False)
    released_at: Column[datetime | None] = Column(schema.Instant)
    version: Column[int] = schema.version_column()


MAINTENANCE = Table(
    "hc_maintenance",
    schema.METADATA,
    MaintenanceColumns,
    schema.of_hotel("room", "room_id"),
    schema.one_of("kind", MaintenanceKind),
    CheckConstraint("ends > begins", name="period"),
)
"""The table of maintenance periods."""
_m = MAINTENANCE.c
# By the end, so that the periods long past, which are most, are never looked at.
Index(
    "ix_hc_maintenance_ends",
    _m.hotel_id,
    _m.ends,
    sqlite_where=_m.released_at.is_(None),
    postgresql_where=_m.released_at.is_(None),
)

_ALL_PERIODS = select(MAINTENANCE).where(_m.hotel_id == acting_hotel())
_ONE_PERIOD = _ALL_PERIODS.where(_m.id == bindparam("key"))
_OVERLAPPING = _ALL_PERIODS.where(
    _m.released_at.is_(None), _m.ends > bindparam("first"), _m.begins < bindparam("until")
).order_by(_m.room_id, _m.begins)
_INSERT_PERIOD = insert_into(MAINTENANCE)
_UPDATE_PERIOD = versioned_update(MAINTENANCE)


_period = entity(MaintenancePeriod, period=Value(Stay, ("begins", "ends")))


def _period_values(period: MaintenancePeriod) -> dict[str, object]:
    return {
        "room_id": period.room_id,
        "kind": period.kind.value,
        "begins": period.period.arrival,
        "ends": period.period.departure,
        "reason": period.reason,
        "created_at": period.created_at,
        "released_at": period.released_at,
    }


class SqlMaintenance:
    """The `hotelcore.repositories.Maintenance` of one unit of work."""

    def __init__(self, run: Statements) -> None:
        self._run = run

    def add(self, period: MaintenancePeriod) -> None:
        """Store a new period."""
        row = {"id": period.id, "version": period.version, **_period_values(period)}
        self._run.must_write(
            _INSERT_PERIOD, [row], taken=lambda: AlreadyExists("maintenance period", "id")
        )

    def get(self, maintenance_id: MaintenanceId) -> MaintenancePeriod:
        """Return one period."""
        found = self._run.first(_ONE_PERIOD, _period, key=maintenance_id)
        if found is None:
            raise NotFound("maintenance period", maintenance_id)
        return found

    def update(self, period: MaintenancePeriod) -> MaintenancePeriod:
        """Store the period if nobody changed it since."""
        version = write_next_version(
            self._run,
            _UPDATE_PERIOD,
            "maintenance period",
            period.id,
            period.version,
            _period_values(period),
        )
        return attrs.evolve(period, version=version)

    def overlapping(self, stay: Stay) -> tuple[MaintenancePeriod, ...]:
        """Return the unreleased periods that cover a night of ``stay``, by room and begin."""
        check_stay("stay", stay)
        if stay.is_day_use:
            return ()
        first, until = stay.arrival, stay.departure
        return tuple(self._run.all(_OVERLAPPING, _period, first=first, until=until))
