"""What events cost: their rows in a booking, and the way from the commit to who must hear of it.

    python benchmarks/relay_events.py [URL ...]

Without a URL it uses a SQLite file in a temporary directory. A URL's database must be empty.
Rates are events a second in batches of 100; what is compared takes turns in one run.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

from hotelcore import Actor, HotelCore, Money, Role, Stay, new_id
from hotelcore import operations as op
from hotelcore.core import Desk
from hotelcore.domain.rooms import RoomCondition
from hotelcore.events.catalogue import BookingCreated, RoomStatusChanged
from hotelcore.events.envelope import Envelope
from hotelcore.events.trace import Trace
from hotelcore.ids import GuestId, RoomId, RoomTypeId
from hotelcore.relay import Relay
from hotelcore.relay.feeding import Feeder
from hotelcore.sql import unit_of_work
from hotelcore.sql.events.outbox import write_events
from hotelcore.subscriptions import Delivery, Subscriptions

EVENTS = 20_000
ROUNDS = 300
HEARD = 300
_WRITING = "write_events"  # what a unit of work calls for them
TODAY = date(2026, 6, 1)


class Nowhere:
    """A broker that has everything at once."""

    def send(self, batch: Sequence[Envelope]) -> None:
        """Take a batch."""


def opened(core: HotelCore) -> tuple[Desk, GuestId, RoomTypeId]:
    """Make a hotel in which nothing is ever sold out."""
    core.create_schema()
    desk = core.acting_as(Actor(hotel_id=new_id(), subject="benchmark", role=Role.ADMIN))
    desk.run(
        op.register_hotel, name="Bench", time_zone="Etc/UTC", currency="EUR", business_date=TODAY
    )
    double = desk.run(
        op.add_room_type,
        code="DBL",
        name="Double",
        base_rate=Money(10_000, "EUR"),
        overbooking_limit=10_000,
    )
    guest = desk.run(op.register_guest, last_name="Guest")
    return desk, guest.id, double.id


# -- the relay ----------------------------------------------------------------------------------


def filled(core: HotelCore, desk: Desk, records: int, events: int = EVENTS) -> None:
    """Write the events of so many rooms, which wait for the relay then."""
    rooms = [RoomId(new_id()) for _ in range(records)]
    hotel_id = desk.actor.hotel_id
    for _ in range(events // 1_000):
        written = [
            RoomStatusChanged(
                hotel_id=hotel_id,
                room_id=rooms[number % records],
                previous=RoomCondition.CLEAN,
                condition=RoomCondition.DIRTY,
            )
            for number in range(1_000)
        ]
        with core._serving(hotel_id) as run:
            write_events(run, written, new_id=new_id, at=datetime.now(UTC), trace=Trace())


def fed(feeder: Feeder) -> float:
    """Feed all that waits and return the events a second."""
    begun, number = perf_counter(), 0
    while batch := feeder.feed():
        number += batch
    return number / (perf_counter() - begun)


def rates(core: HotelCore, desk: Desk) -> Iterator[tuple[str, float]]:
    """Measure the relay with what is behind it: nothing, a broker, a durable subscription."""
    told = Subscriptions()
    told.durable(RoomStatusChanged, name="benchmark")(lambda _: None)
    for name, transport, subscriptions in (
        ("numbered alone", None, Subscriptions()),
        ("numbered and sent", Nowhere(), Subscriptions()),
        ("numbered, lanes told", None, told),
    ):
        core.subscriptions = subscriptions
        lease = timedelta(minutes=1)
        feeder = Feeder(core, transport=transport, batch=100, lease=lease)
        figures = []
        for _ in range(3):
            filled(core, desk, records=100)
            figures.append(fed(feeder))
        yield name, median(figures)


# -- a booking's share --------------------------------------------------------------------------


def booking(desk: Desk, guest_id: GuestId, type_id: RoomTypeId) -> Callable[[], object]:
    """Return a booking of three nights with its folio."""
    stay = Stay(TODAY + timedelta(days=30), TODAY + timedelta(days=33))

    def book() -> object:
        return desk.run(
            op.create_booking_with_folio, guest_id=guest_id, room_type_id=type_id, stay=stay
        )

    return book


def share(book: Callable[[], object]) -> float:
    """Return which part of a booking's time its rows in the outbox take."""
    times: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        whole = seconds(book)
        setattr(unit_of_work, _WRITING, leave_out)
        times.append((whole, seconds(book)))
        setattr(unit_of_work, _WRITING, write_events)
    whole, rest = (median(column) for column in zip(*times, strict=True))
    return float(1 - rest / whole)


def leave_out(*_: object, **__: object) -> None:
    """Write no events."""


def seconds(work: Callable[[], object]) -> float:
    """Time one run."""
    begun = perf_counter()
    work()
    return perf_counter() - begun


# -- from the commit to the handler -------------------------------------------------------------


@contextmanager
def running(core: HotelCore) -> Iterator[None]:
    """Run a relay in a thread for the time of the body, waking up at commits alone."""
    relay = Relay(core, poll=timedelta(seconds=30))
    thread = threading.Thread(target=relay.run)
    thread.start()
    try:
        yield
    finally:
        relay.stop()
        thread.join()


def delays(core: HotelCore, book: Callable[[], object]) -> list[float]:
    """Return the seconds from each booking's commit to its handler."""
    core.subscriptions = Subscriptions()
    heard = threading.Event()
    arrived: list[float] = []

    @core.subscriptions.durable(BookingCreated, name="delays")
    def hear(_: Delivery[BookingCreated]) -> None:
        arrived.append(perf_counter())
        heard.set()

    found = []
    with running(core):
        for _ in range(HEARD):
            heard.clear()
            book()
            committed = perf_counter()
            heard.wait(30)
            found.append(arrived[-1] - committed)
    return found


def slow_listener(core: HotelCore, book: Callable[[], object]) -> tuple[float, float, float]:
    """Return a booking's p95 in seconds: alone, beside a relay, beside one with a slow listener.

    The listener is durable and takes 5 s. The three take turns.
    """
    over = threading.Event()
    slow = Subscriptions()

    @slow.durable(BookingCreated, name="letters")
    def write_letter(_: Delivery[BookingCreated]) -> None:
        over.wait(5)

    times: tuple[list[float], list[float], list[float]] = ([], [], [])
    for _ in range(4):
        times[0].extend(seconds(book) for _ in range(ROUNDS // 4))
        for mine, subscriptions in ((times[1], Subscriptions()), (times[2], slow)):
            core.subscriptions = subscriptions
            over.clear()
            with running(core):
                mine.extend(seconds(book) for _ in range(ROUNDS // 4))
                over.set()
    alone, beside, slowly = (quantiles(each, n=20)[-1] for each in times)
    return alone, beside, slowly


def report(url: str) -> None:
    """Print the figures of one database."""
    core = HotelCore(url)
    desk, guest_id, type_id = opened(core)
    book = booking(desk, guest_id, type_id)
    print(core.engine.dialect.name)
    print(f"  {'outbox rows of a booking':28} {share(book):8.0%} of its time")
    for name, rate in rates(core, desk):
        print(f"  {name:28} {rate:8,.0f} events/s")
    found = sorted(delays(core, book))
    p50, p99 = found[len(found) // 2], found[int(len(found) * 0.99)]
    print(f"  {'commit to durable handler':28} {p50 * 1e3:8.1f} ms p50, {p99 * 1e3:.1f} ms p99")
    alone, beside, slowly = slow_listener(core, book)
    print(f"  {'booking p95 beside a relay':28} {beside / alone:8.2f} x of alone")
    print(f"  {'... with a 5 s listener':28} {slowly / beside:8.2f} x of without it")
    core.close()


def main(urls: Sequence[str]) -> None:
    """Measure each database that is named, or a SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        for url in urls or [f"sqlite:///{Path(folder) / 'bench.db'}"]:
            report(url)


if __name__ == "__main__":
    main(sys.argv[1:])
