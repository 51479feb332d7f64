"""What an operation or a question costs, in numbers that are the same on every machine.

    python -m tests.speed.counting

counts all anew and writes them into ``counts.csv``: whoever means to change them runs it. The tests
only compare.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, TypeAlias

from attrs import frozen
from sqlalchemy import event, make_url

from hotelcore import HotelCore, Stay
from hotelcore.clock import SystemClock
from hotelcore.domain.bookings import BookingStatus
from hotelcore.domain.housekeeping import TaskStatus
from hotelcore.lists import BookingFilter, GuestFilter, TaskFilter
from hotelcore.operations import add_room_type, assign_rooms, search_availability
from hotelcore.unit_of_work import UnitOfWork
from hotelcore.watching import StatementRan
from tests.every_operation import NAMES, good_call
from tests.postgres_server import administration, embedded_server, fresh_database
from tests.small_hotel import DAY, KEYS, PRICE, TODAY, SmallHotel, open_hotel

__all__ = ["READS", "Meter", "PatientClock", "metered", "stored"]

FILE = Path(__file__).with_name("counts.csv")
"""How many statements and round trips each operation and question costs, by database."""

# psycopg prepares what it sees often, which costs a round trip of its own at some later call.
_PREPARE_NOTHING = {"prepare_threshold": "none"}

Costs: TypeAlias = dict[str, int]


# -- the questions --------------------------------------------------------------------------------

_NEXT = BookingFilter(statuses=frozenset({BookingStatus.CONFIRMED}), arriving_from=TODAY)
_NEAR = BookingFilter(arriving_from=TODAY, arriving_until=TODAY + DAY)
_TO_DO = TaskFilter(due=TODAY, status=TaskStatus.OPEN)
_ADA = GuestFilter(email="ada@example.org")


def _asking(ask: Callable[[UnitOfWork], object]) -> Callable[[SmallHotel], Callable[[], object]]:
    def made_ready(hotel: SmallHotel) -> Callable[[], object]:
        def run() -> object:
            with hotel.desk.reading() as uow:
                return ask(uow)

        return run

    return made_ready


def _balance(hotel: SmallHotel) -> Callable[[], object]:
    folio = hotel.booked()[1].id
    return _asking(lambda uow: uow.folios.get(folio))(hotel)


def _free_rooms(hotel: SmallHotel) -> Callable[[], object]:
    night, type_id = Stay(TODAY, TODAY + DAY), hotel.room_type_id
    return _asking(lambda uow: uow.rooms.free(type_id, night))(hotel)


def _arrivals(uow: UnitOfWork) -> object:
    """Read a list of arrivals as a screen shows it."""
    due = uow.bookings.page(_NEXT).items
    rooms = {booking.room_id for booking in due if booking.room_id}
    return (
        uow.guests.get_all([booking.guest_id for booking in due]),
        uow.rooms.get_all(rooms),
        uow.folios.of_bookings([booking.id for booking in due]),
    )


def _list_of_arrivals(hotel: SmallHotel) -> Callable[[], object]:
    for _ in hotel.rooms:
        hotel.booked()
    hotel.desk.run(assign_rooms, room_type_id=hotel.room_type_id, arriving_until=TODAY)
    return _asking(_arrivals)(hotel)


def _many_types(hotel: SmallHotel) -> Callable[[], object]:
    for number in range(10):
        hotel.desk.run(add_room_type, code=f"T{number}", name="Full", base_rate=PRICE)
    stay = Stay(TODAY, TODAY + 3 * DAY)
    return _asking(lambda uow: search_availability(uow, stay=stay))(hotel)


READS: Mapping[str, Callable[[SmallHotel], Callable[[], object]]] = {
    "read: rooms free": _free_rooms,
    "read: bookings in range": _asking(lambda uow: uow.bookings.page(_NEAR, limit=1_000)),
    "read: page of 50": _asking(lambda uow: uow.bookings.page(_NEXT)),
    "read: guest by e-mail": _asking(lambda uow: uow.guests.page(_ADA)),
    "read: tasks": _asking(lambda uow: uow.housekeeping.page(_TO_DO, limit=1_000)),
    "read: folio balance": _balance,
    "read: arrivals with guests, rooms and folios": _list_of_arrivals,
    "read: availability of 11 room types": _many_types,
}
"""What the benchmarks ask, and a list as a screen shows it; each makes ready what it asks for."""

CALLS = [*READS, *NAMES]


# -- the meter ------------------------------------------------------------------------------------


@frozen
class Meter:
    """Counts what one core's database gets to do, each time in a new hotel."""

    core: HotelCore
    clock: PatientClock
    _sent: list[str]
    _trace: IO[bytes]

    def costs_of(self, name: str) -> Costs:
        """Make one call ready in a hotel of its own, and count what it takes."""
        hotel = open_hotel(self.core)
        return self.costs(READS[name](hotel) if name in READS else good_call(name, hotel).run)

    def costs(self, call: Callable[[], object]) -> Costs:
        """Count what a call takes."""
        self._sent.clear()
        waited = self._waits()
        call()
        dialect = self.core.engine.dialect.name
        costs = {f"{dialect} statements": len(self._sent)}
        if dialect == "postgresql":
            costs["postgresql round trips"] = self._waits() - waited
        return costs

    def _waits(self) -> int:
        """Count how often the server was waited for: something came from it behind what was sent.

        What it has begun with meanwhile is answered with what comes next, and waited for once.
        """
        self._trace.seek(0)
        directions = [line.split(b"\t")[1] for line in self._trace if b"\t" in line]
        return sum(pair == (b"F", b"B") for pair in pairwise(directions))


class PatientClock(SystemClock):
    """A clock by which no limit comes nearer: PostgreSQL is told anew how much time is left.

    It is ``ahead`` of the machine's by some time.
    """

    ahead = timedelta()

    def now(self) -> datetime:
        """Return the machine's instant, and what the clock is ahead of it."""
        return super().now() + self.ahead

    def monotonic(self) -> float:
        """Return the same second, always."""
        return 0.0


@contextmanager
def metered(url: str) -> Generator[Meter]:
    """Open a core over an empty database, with a meter.

    A statement for many rows is one; BEGIN and COMMIT are none, but they are round trips.
    """
    sent: list[str] = []
    clock = PatientClock()

    def note(_: object, statement: StatementRan) -> None:
        sent.append(statement.name)

    def trace(connection: Any, _: object) -> None:  # Any: the driver's connection
        if hasattr(connection, "pgconn"):
            connection.pgconn.trace(file.fileno())

    if url.startswith("postgresql"):
        quiet = make_url(url).update_query_dict(_PREPARE_NOTHING)
        url = quiet.render_as_string(hide_password=False)
    with tempfile.TemporaryFile() as file, closing(_core(url, clock)) as core:
        # SQLAlchemy's own events would cost a round trip: BEGIN then goes before them.
        core.watch.statement_ran.connect(note, weak=False)
        event.listen(core.engine, "connect", trace)
        core.create_schema()
        yield Meter(core, clock, sent, file)


def _core(url: str, clock: PatientClock) -> HotelCore:
    return HotelCore(url, keys=KEYS, clock=clock)


# -- the file -------------------------------------------------------------------------------------


def stored() -> dict[str, Costs]:
    """Return the costs that are agreed upon."""
    with FILE.open(newline="") as file:
        return {
            row.pop("call"): {name: int(number) for name, number in row.items()}
            for row in csv.DictReader(file)
        }


def _count_anew() -> None:
    found: dict[str, Costs] = {name: {} for name in CALLS}
    with ExitStack() as kept:
        folder = kept.enter_context(tempfile.TemporaryDirectory())
        server = administration(kept.enter_context(embedded_server()))
        urls = [f"sqlite:///{folder}/hotel.db", kept.enter_context(fresh_database(server))]
        for url in urls:
            with metered(url) as meter:
                for name in CALLS:
                    found[name].update(meter.costs_of(name))
    rows = [{"call": name, **costs} for name, costs in found.items()]
    with FILE.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    _count_anew()
