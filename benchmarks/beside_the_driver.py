"""What the library costs beside the bare driver, as ratios measured side by side in one run.

    python benchmarks/beside_the_driver.py [URL ...]

Without a URL it uses a SQLite file in a temporary directory. The two works of a pair take turns,
again and again, so that a slow moment of the machine meets both, and their medians are compared.
The bare work sends hand-written SQL over the same engine's driver connection and fetches tuples.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter

from attrs import frozen
from sqlalchemy import event

from hotelcore import Actor, HotelCore, Money, Role, Stay, new_id
from hotelcore import operations as op
from hotelcore.clock import FixedClock
from hotelcore.core import Desk
from hotelcore.domain.bookings import Booking
from hotelcore.domain.folios import Folio
from hotelcore.ids import FolioId, GuestId, RoomTypeId
from hotelcore.lists import BookingFilter
from hotelcore.unit_of_work import UnitOfWork

ROUNDS = 200
TODAY = date(2026, 6, 1)
Work = Callable[[], object]


@frozen
class House:
    """A hotel of 200 rooms with 400 bookings."""

    core: HotelCore
    desk: Desk
    guest_id: GuestId
    type_id: RoomTypeId
    folio_id: FolioId

    def book(self, uow: UnitOfWork, day: int) -> tuple[Booking, Folio]:
        """Book three nights from a day of June on."""
        arrival = TODAY + timedelta(days=day)
        return op.create_booking_with_folio(
            uow,
            guest_id=self.guest_id,
            room_type_id=self.type_id,
            stay=Stay(arrival, arrival + timedelta(days=3)),
        )


def furnished(url: str) -> House:
    """Make the hotel."""
    core = HotelCore(url, clock=FixedClock(datetime(2026, 6, 1, 12, tzinfo=UTC)))
    core.create_schema()
    desk = core.acting_as(Actor(hotel_id=new_id(), subject="benchmark", role=Role.ADMIN))
    price = Money(10_000, "EUR")
    with desk.within(time_limit=timedelta(minutes=5)).transaction() as uow:
        op.register_hotel(
            uow, name="Bench", time_zone="Etc/UTC", currency="EUR", business_date=TODAY
        )
        double = op.add_room_type(
            uow, code="DBL", name="Double", base_rate=price, overbooking_limit=10_000
        )
        op.add_rooms(uow, room_type_id=double.id, numbers=[f"{n:04}" for n in range(200)])
        guest = op.register_guest(uow, last_name="Guest")
        house = House(core, desk, guest.id, double.id, FolioId(new_id()))
        folios = [house.book(uow, n % 20)[1] for n in range(400)]
        op.post_charge_to_folio(uow, folio_id=folios[0].id, code="bar", amount=price)
    return House(core, desk, guest.id, double.id, folios[0].id)


def pairs(house: House) -> list[tuple[str, Work, Work]]:
    """Return what is compared: a name, the library's work, the bare work."""
    hotel, folio = house.desk.actor.hotel_id, house.folio_id
    sqlite = house.core.engine.dialect.name == "sqlite"
    mark = "?" if sqlite else "%s"
    keys = (hotel.hex, folio.hex) if sqlite else (str(hotel), str(folio))

    def bare(statement: str, *values: object) -> Work:
        def run() -> object:
            connection = house.core.engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute(statement.replace("?", mark), values)
                return cursor.fetchall()
            finally:
                connection.close()

        return run

    def page() -> object:
        with house.desk.reading() as uow:
            return uow.bookings.page(BookingFilter(arriving_from=TODAY), limit=50)

    def balance() -> object:
        with house.desk.reading() as uow:
            return uow.folios.get(folio)

    return [
        (
            "page of 50 bookings",
            page,
            bare(
                "SELECT * FROM hc_booking WHERE hotel_id = ? AND arrival >= '2026-06-01'"
                " ORDER BY arrival, id LIMIT 51",
                keys[0],
            ),
        ),
        (
            "a folio with its balance",
            balance,
            bare("SELECT * FROM hc_folio WHERE hotel_id = ? AND id = ?", *keys),
        ),
    ]


def seconds(work: Work) -> float:
    """Time one run."""
    begun = perf_counter()
    work()
    return perf_counter() - begun


def ratio(ours: Work, bare: Work) -> tuple[float, float]:
    """Return our median in seconds, and how many times the bare one it is."""
    for work in (ours, bare):
        work()
    times = [(seconds(ours), seconds(bare)) for _ in range(ROUNDS)]
    mine, theirs = (median(column) for column in zip(*times, strict=True))
    return mine, mine / theirs


def statements(house: House, work: Work) -> int:
    """Count the statements that a work sends, without BEGIN and COMMIT."""
    sent: list[str] = []

    def note(*arguments: object) -> None:
        sent.append(str(arguments[2]))

    event.listen(house.core.engine, "before_cursor_execute", note)
    work()
    event.remove(house.core.engine, "before_cursor_execute", note)
    return len([text for text in sent if not text.startswith(("BEGIN", "PRAGMA"))])


def report(url: str) -> None:
    """Print the figures of one database."""
    house = furnished(url)
    print(house.core.engine.dialect.name)
    for name, ours, bare in pairs(house):
        mine, times = ratio(ours, bare)
        print(f"  {name:28} {mine * 1e3:7.2f} ms   {times:5.2f} x the bare driver")

    def booked() -> object:
        return house.desk.run(house.book, 25)

    booked()
    print(f"  {'booking with folio, 3 nights':28} {statements(house, booked):7} statements")
    house.core.close()


def main(urls: Sequence[str]) -> None:
    """Measure each database that is named, or a SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        for url in urls or [f"sqlite:///{Path(folder) / 'bench.db'}"]:
            report(url)


if __name__ == "__main__":
    main(sys.argv[1:])
