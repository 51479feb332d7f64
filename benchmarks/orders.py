"""What the contestants are given to write: to all of them the very rows that the library writes.

The library does each work once. The rows that it left are the model, of which each round makes a
copy with ids of its own. So all write the same, and only the library judges first whether it may
be written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from typing import Any, TypeAlias
from uuid import UUID

from attrs import frozen
from sqlalchemy import ColumnElement, func, select

from benchmarks.house import DAY, TODAY, House
from benchmarks.plain import TABLES
from hotelcore import HotelCore, Money, Stay, new_id
from hotelcore import operations as op
from hotelcore.core import Desk
from hotelcore.domain.rooms import Room, RoomCondition
from hotelcore.errors import AlreadyExists
from hotelcore.ids import BookingId, RoomId
from hotelcore.lists import RoomFilter
from hotelcore.pms import PmsSnapshot, RemoteBooking, RemoteBookingStatus, RemoteGuest
from hotelcore.pms.records import RemoteRoomType
from hotelcore.sql.seam.engine import READING
from hotelcore.wire import fingerprint

__all__ = ["VENDOR", "Arrival", "Cleaning", "Order", "Orders", "Record", "Rows", "Takeover"]

Record: TypeAlias = dict[str, Any]  # Any: a column's value, as SQLAlchemy's own types give it
Rows: TypeAlias = Mapping[str, Sequence[Record]]
"""The new rows of each table, in the order in which they may be inserted."""

VENDOR = "bench"
_BOOKED = Stay(TODAY + 20 * DAY, TODAY + 23 * DAY)
_ARRIVING = Stay(TODAY, TODAY + 2 * DAY)
_CHANGED = ("status", "room_id", "checked_in_at", "checked_in_on", "version")
_DAYS_SYNCED = 120
_PRICE = Money(10_000, "EUR")
_LONG = timedelta(hours=1)


@frozen
class Order:
    """A booking with its folio: three nights, not today's."""

    stay: Stay
    rows: Rows


@frozen
class Arrival:
    """A guest who comes: what changes in the booking, and what is added."""

    booking_id: BookingId
    room_id: RoomId
    changes: Record
    rows: Rows


@frozen
class Cleaning:
    """All rooms, which get another condition."""

    room_ids: Sequence[RoomId]
    condition: RoomCondition
    rows: Rows


@frozen
class Takeover:
    """Bookings of another system, each with its guest; how many units they take on which night."""

    snapshot: PmsSnapshot
    fingerprints: Mapping[str, str]
    rows: Rows
    nights: Counter[date]


class Orders:
    """Gives the contestants something to write, again and again."""

    def __init__(self, core: HotelCore, desk: Desk, house: House) -> None:
        self._core, self._house = core, house
        with desk.reading() as uow:
            self._new_id = uow.new_id
        self._desk = desk.within(time_limit=_LONG)
        with desk.reading() as uow:
            self._free = list(uow.rooms.free(house.room_type_id, _ARRIVING))
            self._rooms: Sequence[Room] = uow.rooms.page(RoomFilter(), limit=1_000).items
        with suppress(AlreadyExists):  # an earlier section has connected it
            self._desk.run(op.connect_pms, vendor=VENDOR, external_hotel_id="1")
        self._order = self._model_order()
        self._arrival = self._model_arrival()
        self._cleaning = self._model_cleaning()
        self._takeover = self._model_takeover()

    # -- the copies -------------------------------------------------------------------------------

    def order(self) -> Order:
        """Give a booking to be made."""
        number = _number()
        [booking] = self._order["hc_booking"]
        return Order(_BOOKED, self._copied(self._order, {booking["confirmation_number"]: number}))

    def arrival(self) -> Arrival:
        """Make a booking for today, and give it with a room that is free."""
        booking_id, room_id = self._booked(_ARRIVING), self._free.pop().id
        model, rows = self._arrival
        renamed = {model["id"]: booking_id, model["room_id"]: room_id}
        changes = {name: model[name] for name in _CHANGED} | {"room_id": room_id}
        return Arrival(booking_id, room_id, changes, self._copied(rows, renamed))

    def cleaning(self) -> Cleaning:
        """Give all rooms, which are to have another condition than they have now."""
        room_ids = [room.id for room in self._rooms]
        with self._desk.reading() as uow:
            now = uow.rooms.get(room_ids[0]).condition
        other = RoomCondition.DIRTY if now is RoomCondition.CLEAN else RoomCondition.CLEAN
        rows = self._copied(self._cleaning, {})
        following = self._last_sequence(room_ids[0]) + 1
        for record in rows["hc_outbox"]:
            record["sequence"] = following
        return Cleaning(room_ids, other, rows)

    def takeover(self, number: int) -> Takeover:
        """Give new bookings of another system, and the rows that they become."""
        snapshot = self.snapshot(number)
        bookings = snapshot.bookings
        rows: dict[str, list[Record]] = {table: [] for table in self._takeover}
        for booking in bookings:
            for table, records in self._copy_of_synced(booking).items():
                rows[table].extend(records)
        # All that is taken over at once is one audit entry with all its changes.
        changes = [change for record in rows["hc_audit_log"] for change in record["changes"]]
        rows["hc_audit_log"] = [{**rows["hc_audit_log"][0], "changes": changes}]
        return Takeover(
            snapshot,
            {booking.external_id: fingerprint(booking) for booking in bookings},
            rows,
            Counter(night for booking in bookings for night in booking.stay),
        )

    def snapshot(self, number: int) -> PmsSnapshot:
        """Give new bookings of another system, spread over the next months."""
        prefix = _number()
        return PmsSnapshot(
            guests=tuple(_remote_guest(f"{prefix}-{n}") for n in range(number)),
            bookings=tuple(_remote_booking(f"{prefix}-{n}", _arrival_of(n)) for n in range(number)),
        )

    # -- the models -------------------------------------------------------------------------------

    def _model_order(self) -> Rows:
        booking_id = self._booked(_BOOKED)
        return self._rows(
            hc_booking=_c("hc_booking", "id") == booking_id,
            hc_booking_night=_c("hc_booking_night", "booking_id") == booking_id,
            hc_folio=_c("hc_folio", "booking_id") == booking_id,
            hc_outbox=_c("hc_outbox", "key") == booking_id,
            hc_audit_log=_c("hc_audit_log", "resource_id") == booking_id,
        )

    def _model_arrival(self) -> tuple[Record, Rows]:
        booking_id, room_id = self._booked(_ARRIVING), self._free.pop().id
        known = self._ids("hc_room_key", "hc_outbox", "hc_audit_log")
        self._desk.run(op.check_in_guest, booking_id=booking_id, room_id=room_id)
        rows = self._rows(
            hc_room_night=_c("hc_room_night", "booking_id") == booking_id, **self._new(known)
        )
        [booking] = self._rows(hc_booking=_c("hc_booking", "id") == booking_id)["hc_booking"]
        return booking, rows

    def _model_cleaning(self) -> Rows:
        room_ids = [room.id for room in self._rooms]
        dirty, clean = RoomCondition.DIRTY, RoomCondition.CLEAN
        self._desk.run(op.bulk_update_room_status, room_ids=room_ids, condition=dirty)
        known = self._ids("hc_outbox", "hc_audit_log")
        self._desk.run(op.bulk_update_room_status, room_ids=room_ids, condition=clean)
        return self._rows(**self._new(known))

    def _model_takeover(self) -> Rows:
        self._desk.run(op.sync_pms_data, snapshot=PmsSnapshot(room_types=(_REMOTE_TYPE,)))
        known = self._ids("hc_guest", "hc_booking", "hc_folio", "hc_outbox", "hc_audit_log")
        guest, booking = _remote_guest(_MODEL), _remote_booking(_MODEL, _BOOKED.arrival)
        snapshot = PmsSnapshot(guests=(guest,), bookings=(booking,))
        self._desk.run(op.sync_pms_data, snapshot=snapshot)
        there, new = self._ids("hc_guest", "hc_booking"), self._new(known)
        bookings = there["hc_booking"] - known["hc_booking"]
        records = bookings | (there["hc_guest"] - known["hc_guest"])
        return self._rows(  # in the order in which they refer to each other
            hc_guest=new["hc_guest"],
            hc_booking=new["hc_booking"],
            hc_booking_night=_c("hc_booking_night", "booking_id").in_(bookings),
            hc_folio=new["hc_folio"],
            hc_external_mapping=_c("hc_external_mapping", "internal_id").in_(records),
            hc_outbox=new["hc_outbox"],
            hc_audit_log=new["hc_audit_log"],
        )

    def _booked(self, stay: Stay) -> BookingId:
        booking, _ = self._desk.run(
            op.create_booking_with_folio,
            guest_id=self._house.guest_id,
            room_type_id=self._house.room_type_id,
            stay=stay,
        )
        return booking.id

    def _ids(self, *tables: str) -> Mapping[str, set[UUID]]:
        """Return the ids of all rows of some tables."""
        with self._core.engine.connect().execution_options(**{READING: True}) as connection:
            return {
                table: set(
                    connection.scalars(select(_c(table, "id")).where(_ours(table, self._house)))
                )
                for table in tables
            }

    def _new(self, known: Mapping[str, set[UUID]]) -> Mapping[str, ColumnElement[bool]]:
        """Return, by table, what is true of the rows that are not known."""
        found = self._ids(*known)
        return {table: _c(table, "id").in_(found[table] - known[table]) for table in known}

    def _rows(self, **which: ColumnElement[bool]) -> Rows:
        with self._core.engine.connect().execution_options(**{READING: True}) as connection:
            return {
                table: [dict(row) for row in connection.execute(found).mappings()]
                for table, condition in which.items()
                for found in [select(TABLES[table]).where(_ours(table, self._house), condition)]
            }

    def _last_sequence(self, key: UUID) -> int:
        last = func.max(_c("hc_outbox", "sequence"))
        found = select(last).where(_ours("hc_outbox", self._house), _c("hc_outbox", "key") == key)
        with self._core.engine.connect().execution_options(**{READING: True}) as connection:
            return int(connection.execute(found).scalar_one())

    def _copied(self, rows: Rows, renamed: Mapping[object, object]) -> Rows:
        """Copy rows with a new id for each record, wherever it stands, and with what is renamed."""
        records = [record for of_table in rows.values() for record in of_table]
        ids = {record["id"]: self._new_id() for record in records if "id" in record}
        new = {**ids, **renamed}
        return {
            table: [_renamed(record, new) for record in of_table]
            for table, of_table in rows.items()
        }

    def _copy_of_synced(self, booking: RemoteBooking) -> Rows:
        model, later = _remote_booking(_MODEL, _BOOKED.arrival), booking.stay.arrival
        renamed: dict[object, object] = {
            _MODEL: booking.external_id,
            fingerprint(model): fingerprint(booking),
        }
        for n in range(len(_BOOKED) + 1):
            renamed[_BOOKED.arrival + n * DAY] = later + n * DAY
        return self._copied(self._takeover, renamed)


def _c(table: str, column: str) -> ColumnElement[Any]:  # Any: of whatever type the column is
    return TABLES[table].c[column]


def _ours(table: str, house: House) -> ColumnElement[bool]:
    return _c(table, "hotel_id") == house.hotel_id


def _renamed(record: Record, new: Mapping[object, object]) -> Record:
    return {
        name: new.get(value, value) if isinstance(value, UUID | str | date) else value
        for name, value in record.items()
    }


# -- the other system ---------------------------------------------------------------------------

_MODEL = "model"
_REMOTE_TYPE = RemoteRoomType(external_id="t", code="DBL", name="There", base_rate=_PRICE)


def _number() -> str:
    return new_id().hex[-14:]


def _arrival_of(number: int) -> date:
    return _BOOKED.arrival + number % _DAYS_SYNCED * DAY


def _remote_guest(external_id: str) -> RemoteGuest:
    return RemoteGuest(external_id=external_id, last_name="Remote", first_name="Guest")


def _remote_booking(external_id: str, arrival: date) -> RemoteBooking:
    stay = Stay(arrival, arrival + len(_BOOKED) * DAY)
    return RemoteBooking(
        external_id=external_id,
        confirmation_number=external_id,
        guest_external_id=external_id,
        room_type_external_id=_REMOTE_TYPE.external_id,
        status=RemoteBookingStatus.CONFIRMED,
        stay=stay,
        nightly_prices=(_PRICE,) * len(stay),
        channel="pms",
    )
