"""Hotels whose rooms only report, and what the tables say of their events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from typing import Any
from uuid import UUID

from attrs import frozen
from sqlalchemy import Row, Table, select

from hotelcore import Actor, HotelCore, Permission, Role, new_id
from hotelcore.clock import Clock
from hotelcore.core import Desk
from hotelcore.domain.rooms import RoomCondition
from hotelcore.events.catalogue import Event, RoomStatusChanged
from hotelcore.ids import HotelId, RoomId
from hotelcore.operations import operation, register_hotel
from hotelcore.sql.events.outbox import OUTBOX
from hotelcore.unit_of_work import UnitOfWork

# A statement of a whole table gives what its columns hold.
Rows = list[Row[Any]]


@operation(Permission.HOUSEKEEPING)
def report(uow: UnitOfWork, *events: Event) -> None:
    """Report events, without anything having happened."""
    for event in events:
        uow.emit(event)


@frozen
class Hotel:
    """A hotel of which nothing is known but its events."""

    core: HotelCore
    hotel_id: HotelId
    desk: Desk

    @classmethod
    def opened(cls, core: HotelCore) -> Hotel:
        """Register a new one."""
        hotel_id = HotelId(new_id())
        desk = core.acting_as(Actor(hotel_id=hotel_id, subject="root", role=Role.ADMIN))
        desk.run(
            register_hotel,
            name="Harbour",
            time_zone="Etc/UTC",
            currency="EUR",
            business_date=date(2026, 1, 1),
        )
        return cls(core, hotel_id, desk)

    def report(self, *rooms: UUID) -> None:
        """Report an event of each of these rooms, in one transaction."""
        self.desk.run(report, *(self.fact(room) for room in rooms))

    def fact(self, room: UUID) -> Event:
        """Make the event that a room became dirty."""
        return RoomStatusChanged(
            hotel_id=self.hotel_id,
            room_id=RoomId(room),
            previous=RoomCondition.CLEAN,
            condition=RoomCondition.DIRTY,
        )

    def rows(self, table: Table) -> Rows:
        """Read the hotel's rows of a table, in the order of its primary key."""
        statement = (
            select(table)
            .where(table.c.hotel_id == self.hotel_id)
            .order_by(*table.primary_key.columns)
        )
        with self.core.engine.connect() as connection:
            return list(connection.execute(statement))

    def events(self) -> Rows:
        """Read the hotel's events, record by record."""
        return sorted(self.rows(OUTBOX), key=lambda row: (row.key, row.sequence))


@contextmanager
def core_at(url: str, clock: Clock | None = None) -> Iterator[HotelCore]:
    """Give a core over a database that gets the tables."""
    with closing(HotelCore(url, clock=clock)) as core:
        core.create_schema()
        yield core
