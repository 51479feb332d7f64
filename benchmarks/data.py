"""Builds the hotels: by the library what makes a hotel, and by the driver's bulk path the history.

The first hotel is the same whatever else is in the database. Each room has 50 stays of one to four
nights with gaps between them, from five months before the business date to three months after it;
a tenth of them is cancelled. There are no folio lines, events or audit entries of that history.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Any, TypeAlias
from uuid import UUID

import psycopg
from attrs import define, field, frozen
from sqlalchemy import URL, Connection, Index, create_engine

from benchmarks.house import DAY, NOW, TODAY, House
from benchmarks.places import Place, conninfo
from hotelcore import Actor, HotelCore, HotelId, Money, Role, new_id
from hotelcore import operations as op
from hotelcore.clock import FixedClock
from hotelcore.core import Desk
from hotelcore.domain.bookings import BookingStatus
from hotelcore.domain.cancellation import CancellationPolicy
from hotelcore.domain.guests import email_key, name_key, phone_key
from hotelcore.ids import FolioId, GuestId, IdSource, RoomTypeId
from hotelcore.sql.schema import METADATA
from hotelcore.wire import canonical

__all__ = ["Size", "as_sqlite", "built", "desk_of", "opened", "without_indexes"]

Row: TypeAlias = tuple[object, ...]
Rows: TypeAlias = dict[str, list[Row]]

STAYS = 50
_FIRST_DAY = TODAY - 150 * DAY
_LAST_DAY = TODAY + 170 * DAY
_DOUBLES = 0.95
_CANCELLED = 0.1
_TASKS_PAST = 10
_PRICE = Money(10_000, "EUR")
_TERMS = canonical(CancellationPolicy()).decode()
_UNLIMITED = 10_000


def _ids_in_order() -> Iterator[UUID]:
    """Give ids that sort as they were made, as those of the library do."""
    first = IdSource(FixedClock(_at(_FIRST_DAY))).next_id().int >> 40 << 40
    return (UUID(int=first + number) for number in count())


# The columns that are filled; all others are null.
COLUMNS = {
    "hc_room": "hotel_id id room_type_id number condition attributes version",
    "hc_guest": (
        "hotel_id id last_name first_name email phone vip last_name_key email_key phone_key"
        " attributes created_at version"
    ),
    "hc_booking": (
        "hotel_id id confirmation_number guest_id room_type_id arrival departure status room_id"
        " adults children infants channel total_minor currency cancellation checked_in_at"
        " checked_out_at checked_in_on checked_out_on created_at attributes version"
    ),
    "hc_booking_night": (
        "hotel_id booking_id night room_type_id price_minor currency released posted"
    ),
    "hc_room_night": "hotel_id room_id night booking_id",
    "hc_room_availability": (
        "hotel_id room_type_id night rooms out_of_inventory out_of_order committed held"
        " overbooking_limit forced"
    ),
    "hc_folio": (
        "hotel_id id booking_id guest_id status balance_minor currency opened_at closed_at"
        " attributes version"
    ),
    "hc_housekeeping_task": (
        "hotel_id id room_id kind status priority assignee due created_at completed_at"
        " attributes version"
    ),
}


@frozen
class Size:
    """How many hotels there are, and how many bookings the first and all of them have."""

    hotels: int = 1
    bookings: int = 50_000
    first: int = 50_000

    def rooms(self) -> Iterator[int]:
        """Give the number of rooms of each hotel."""
        yield self.first // STAYS
        others = self.hotels - 1
        for _ in range(others):
            yield max(2, (self.bookings - self.first) // others // STAYS)


def opened(url: URL) -> HotelCore:
    """Open the library over a database, at noon of the business date."""
    return HotelCore(url, clock=FixedClock(NOW))


def desk_of(core: HotelCore, house: House) -> Desk:
    """Return the handle of the first hotel's administrator."""
    return core.acting_as(_owner_of(house.hotel_id))


def _owner_of(hotel_id: HotelId) -> Actor:
    return Actor(hotel_id=hotel_id, subject="benchmark", role=Role.ADMIN)


def built(place: Place, size: Size) -> tuple[URL, House]:
    """Build a database, and return it with its first hotel."""
    url = place.empty()
    core, chance = opened(url), random.Random(6)
    core.create_schema()
    load = _copied if place.name == "postgresql" else _inserted
    # To make an index of all rows at once costs a part of what each row for itself would.
    _each_index(url, Index.drop)
    houses = [_founded(core, url, rooms, chance, load) for rooms in size.rooms()]
    core.close()
    _each_index(url, Index.create)
    _analysed(url)
    return url, houses[0]


def without_indexes(place: Place, url: URL) -> URL:
    """Copy a database and drop every index of the copy that is not a table's own key."""
    copy = place.copy_of(url)
    _each_index(copy, Index.drop)
    _analysed(copy)
    return copy


def _each_index(url: URL, change: Callable[[Index, Connection], None]) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        for table in METADATA.tables.values():
            for index in table.indexes:
                change(index, connection)
    engine.dispose()


# -- one hotel ----------------------------------------------------------------------------------


def _founded(
    core: HotelCore, url: URL, rooms: int, chance: random.Random, load: Callable[[URL, Rows], None]
) -> House:
    """Register a hotel, and load its rooms with their history."""
    desk = core.acting_as(_owner_of(HotelId(new_id())))
    desk.run(
        op.register_hotel, name="Bench", time_zone="Etc/UTC", currency="EUR", business_date=TODAY
    )
    types = [
        desk.run(
            op.add_room_type, code=code, name=code, base_rate=_PRICE, overbooking_limit=_UNLIMITED
        ).id
        for code in ("DBL", "SUI")
    ]
    history = _History(desk.actor.hotel_id, chance)
    doubles = round(rooms * _DOUBLES)
    for number in range(rooms):
        history.room(number, types[number >= doubles])
    history.counters({types[0]: doubles, types[1]: rooms - doubles})
    load(url, history.rows)
    guest_id, email = history.guest
    return House(
        hotel_id=desk.actor.hotel_id,
        room_type_id=types[0],
        guest_id=guest_id,
        email=email,
        folio_id=history.folio_in_house,
    )


@define
class _History:
    """Makes up what happened in a hotel, as rows of its tables."""

    hotel_id: HotelId
    chance: random.Random
    rows: Rows = field(factory=lambda: {table: [] for table in COLUMNS})
    guest: tuple[GuestId, str] = (GuestId(UUID(int=0)), "")
    folio_in_house: FolioId = FolioId(UUID(int=0))
    _ids: Iterator[UUID] = field(factory=_ids_in_order)
    _sold: Counter[tuple[RoomTypeId, date]] = field(factory=Counter)

    def room(self, number: int, room_type_id: RoomTypeId) -> None:
        """Add a room with its stays and its housekeeping tasks."""
        room_id = next(self._ids)
        self._add("hc_room", room_id, room_type_id, f"{number:04}", "clean", "{}", 1)
        arrival = _FIRST_DAY + self.chance.randrange(10) * DAY
        for stay in range(STAYS):
            departure = arrival + self.chance.randint(1, 4) * DAY
            if stay % 2 == 0:  # each guest comes twice
                self._new_guest(f"{number:04}{stay:02}")
            self._stay(f"{number:04}-{stay:02}", room_id, room_type_id, arrival, departure)
            arrival = departure + self.chance.randint(0, 4) * DAY
        for days in range(_TASKS_PAST):
            self._task(room_id, TODAY - days * DAY, number)

    def counters(self, rooms: dict[RoomTypeId, int]) -> None:
        """Add the counters of each type and night."""
        for type_id, number in rooms.items():
            night = _FIRST_DAY
            while night < _LAST_DAY:
                sold = self._sold[type_id, night]
                counts = (number, 0, 0, sold, 0, _UNLIMITED, 0)
                self._add("hc_room_availability", type_id, night, *counts)
                night += DAY

    def _add(self, table: str, *values: object) -> None:
        self.rows[table].append((self.hotel_id, *values))

    def _new_guest(self, number: str) -> None:
        guest_id, email, phone = next(self._ids), f"guest{number}@example.org", f"+44 20 {number}"
        last_name = f"Guest {number}"
        keys = (name_key(last_name), email_key(email), phone_key(phone))
        person = (last_name, "Ada", email, phone, False, *keys)
        self._add("hc_guest", guest_id, *person, "{}", _at(_FIRST_DAY), 1)
        self.guest = (GuestId(guest_id), email)

    def _stay(
        self, number: str, room_id: UUID, type_id: RoomTypeId, arrival: date, departure: date
    ) -> None:
        booking_id, nights = next(self._ids), (departure - arrival).days
        cancelled = self.chance.random() < _CANCELLED
        status = BookingStatus.CANCELLED if cancelled else _status_of(arrival, departure)
        came = arrival if status in _CAME else None
        left = departure if status is BookingStatus.CHECKED_OUT else None
        self._add(
            *("hc_booking", booking_id, number, self.guest[0], type_id, arrival, departure),
            *(status.value, None if cancelled else room_id, 2, 0, 0, "direct"),
            *(nights * _PRICE.minor, "EUR", _TERMS, came and _at(came), left and _at(left)),
            *(came, left, _at(arrival - 30 * DAY), "{}", 1),
        )
        for number_of_night in range(nights):
            self._night(arrival + number_of_night * DAY, booking_id, room_id, type_id, status)
        self._folio(booking_id, status, closed=left)

    def _night(
        self, night: date, booking_id: UUID, room_id: UUID, type_id: RoomTypeId, status: str
    ) -> None:
        cancelled, posted = status == BookingStatus.CANCELLED, status in _CAME and night < TODAY
        price = (_PRICE.minor, "EUR")
        self._add("hc_booking_night", booking_id, night, type_id, *price, cancelled, posted)
        if not cancelled:
            self._add("hc_room_night", room_id, night, booking_id)
            self._sold[type_id, night] += 1

    def _folio(self, booking_id: UUID, status: str, *, closed: date | None) -> None:
        folio_id = next(self._ids)
        state = "closed" if closed else "open"
        times = (_at(_FIRST_DAY), closed and _at(closed))
        self._add("hc_folio", folio_id, booking_id, self.guest[0], state, 0, "EUR", *times, "{}", 1)
        if status == BookingStatus.IN_HOUSE:
            self.folio_in_house = FolioId(folio_id)

    def _task(self, room_id: UUID, due: date, number: int) -> None:
        """Have every other room done today, and all of them on the days before."""
        done = _at(due) if due < TODAY else None
        if due < TODAY or number % 2 == 0:
            task = ("stay_over", "done" if done else "open", 1 + number % 9, f"maid {number % 20}")
            self._add(
                "hc_housekeeping_task",
                next(self._ids),
                room_id,
                *task,
                due,
                _at(due),
                done,
                "{}",
                1,
            )


_CAME = (BookingStatus.IN_HOUSE, BookingStatus.CHECKED_OUT)


def _status_of(arrival: date, departure: date) -> BookingStatus:
    if departure <= TODAY:
        return BookingStatus.CHECKED_OUT
    return BookingStatus.IN_HOUSE if arrival < TODAY else BookingStatus.CONFIRMED


def _at(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


# -- loading ------------------------------------------------------------------------------------


def _copied(url: URL, rows: Rows) -> None:
    with psycopg.connect(conninfo(url)) as connection, connection.cursor() as cursor:
        for table, columns in COLUMNS.items():
            names = ", ".join(columns.split())
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN".encode()) as copy:
                for row in rows[table]:
                    copy.write_row(row)


def _inserted(url: URL, rows: Rows) -> None:
    with closing(sqlite3.connect(str(url.database))) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        for table, columns in COLUMNS.items():
            names = columns.split()
            places = ", ".join("?" * len(names))
            statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})"
            connection.executemany(statement, ([as_sqlite(v) for v in row] for row in rows[table]))


def as_sqlite(value: object) -> Any:  # Any: whatever sqlite3 takes
    """Return what the library keeps in SQLite for a value."""
    match value:
        case UUID():
            return value.hex
        case datetime():
            return (value - _EPOCH) // timedelta(microseconds=1)
        case date():
            return value.isoformat()
        case _:
            return value


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _analysed(url: URL) -> None:
    """Let the database know what it holds, as it does by itself after a while."""
    if url.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(str(url.database))) as connection:
            connection.execute("ANALYZE")
            connection.commit()
        return
    with psycopg.connect(conninfo(url), autocommit=True) as server:
        server.execute("VACUUM ANALYZE")
