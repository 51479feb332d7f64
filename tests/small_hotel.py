"""A small hotel, set up by the library's own operations, for tests of what all operations share."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from attrs import frozen
from sqlalchemy import Connection, Engine, event, func, select

from hotelcore import Actor, HotelCore, KeyRing, Money, Role, Stay, new_id
from hotelcore.core import Desk
from hotelcore.domain.bookings import Booking
from hotelcore.domain.folios import Folio
from hotelcore.domain.rooms import Room
from hotelcore.ids import GuestId, HotelId, RoomTypeId
from hotelcore.operations import (
    add_room_type,
    add_rooms,
    create_booking_with_folio,
    register_guest,
    register_hotel,
)
from hotelcore.sql.schema import METADATA
from hotelcore.sql.seam.engine import READING
from tests.postgres_server import fresh_database

# Long past, so that a night audit may close any of the days that follow.
TODAY = date(2020, 1, 1)
DAY = timedelta(days=1)
PRICE = Money(10_000, "EUR")
KEYS = KeyRing({1: sha256(b"the key of the tests").digest()})
"""What the hotels of the tests seal with."""


@frozen
class SmallHotel:
    """A hotel with one guest and some rooms of one type, and its administrator's handle."""

    core: HotelCore
    hotel_id: HotelId
    desk: Desk
    guest_id: GuestId
    room_type_id: RoomTypeId
    rooms: tuple[Room, ...]

    def acting(self, role: Role) -> Desk:
        """Return the handle of somebody else in this hotel."""
        return self.core.acting_as(Actor(hotel_id=self.hotel_id, subject=role, role=role))

    def booked(self, nights: int = 1, *, arrival: date = TODAY) -> tuple[Booking, Folio]:
        """Make a confirmed booking of the hotel's guest, with its folio."""
        return self.desk.run(
            create_booking_with_folio,
            guest_id=self.guest_id,
            room_type_id=self.room_type_id,
            stay=Stay(arrival, arrival + nights * DAY),
        )


def open_hotel(core: HotelCore, *, rooms: int = 4) -> SmallHotel:
    """Register a new hotel in a database that has the tables."""
    hotel_id = HotelId(new_id())
    desk = core.acting_as(Actor(hotel_id=hotel_id, subject="root", role=Role.ADMIN))
    desk.run(
        register_hotel,
        name="Harbour",
        time_zone="Europe/Lisbon",
        currency="EUR",
        business_date=TODAY,
    )
    room_type = desk.run(add_room_type, code="DBL", name="Double", base_rate=PRICE)
    numbers = [f"{number:03}" for number in range(rooms)]
    added = desk.run(add_rooms, room_type_id=room_type.id, numbers=numbers) if rooms else ()
    guest = desk.run(register_guest, last_name="First")
    return SmallHotel(core, hotel_id, desk, guest.id, room_type.id, added)


@contextmanager
def shared_core(request: pytest.FixtureRequest) -> Generator[HotelCore]:
    """Return a core for all tests of a module, over the kind of database in ``request.param``.

    Each of the tests opens a hotel of its own in it.
    """
    with ExitStack() as kept:
        if request.param == "sqlite":
            folder: Path = request.getfixturevalue("tmp_path_factory").mktemp("hotel")
            url = f"sqlite:///{folder / 'hotel.db'}"
        else:
            url = kept.enter_context(fresh_database(request.getfixturevalue("postgresql_server")))
        core = HotelCore(url, keys=KEYS)
        kept.callback(core.close)
        core.create_schema()
        yield core


@contextmanager
def opened(url: str) -> Generator[SmallHotel]:
    """Open a hotel in an empty database, and close the connections afterwards."""
    core = HotelCore(url, keys=KEYS)
    try:
        core.create_schema()
        yield open_hotel(core)
    finally:
        core.close()


# -- what a database holds ----------------------------------------------------------------------


def row_counts(engine: Engine) -> dict[str, int]:
    """Count the rows of every table of the library."""
    with engine.connect().execution_options(**{READING: True}) as connection:
        return {name: _count(connection, name) for name in METADATA.tables}


def _count(connection: Connection, table: str) -> int:
    found = connection.execute(select(func.count()).select_from(METADATA.tables[table]))
    return found.scalar_one()


def new_rows(engine: Engine, *, since: dict[str, int]) -> dict[str, int]:
    """Return by how many rows each table grew or shrank, those that did not left out."""
    now = row_counts(engine)
    return {name: now[name] - since[name] for name in now if now[name] != since[name]}


@contextmanager
def written_statements(engine: Engine) -> Generator[list[str]]:
    """Collect every statement that changes rows while the body runs."""
    seen: list[str] = []

    def look(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if statement.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE")):
            seen.append(statement)

    event.listen(engine, "before_cursor_execute", look)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", look)


@contextmanager
def nothing_kept(engine: Engine, *, refusals: int = 0) -> Generator[None]:
    """Assert that the body leaves every table with the rows that it had.

    ``refusals`` is how often it is refused for want of a permission, which the audit log keeps.
    """
    before = row_counts(engine)
    yield
    audited = {"hc_audit_log": refusals} if refusals else {}
    assert new_rows(engine, since=before) == audited
