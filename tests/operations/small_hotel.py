"""A small hotel in a real database, a clock that tests move, and what its tables hold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

from attrs import frozen
from sqlalchemy import event, select

from hotelcore import operations as op
from hotelcore.access import POLICY, Permission, Role
from hotelcore.clock import FixedClock, local_date
from hotelcore.core import Desk, HotelCore
from hotelcore.domain.bookings import Booking
from hotelcore.domain.folios import Folio, FolioLine
from hotelcore.domain.hotels import HouseRules
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import RoomCondition
from hotelcore.domain.stays import Stay
from hotelcore.errors import HotelcoreError
from hotelcore.ids import BookingId, FolioId, GuestId, HotelId, RoomId, RoomTypeId
from hotelcore.sql.schema import METADATA
from hotelcore.tenancy import Actor

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
TODAY = date(2026, 12, 1)
DAY = timedelta(days=1)

Rows = dict[str, list[tuple[object, ...]]]


def eur(minor: int) -> Money:
    """Return cents of a euro."""
    return Money(minor, "EUR")


@frozen
class SmallHotel:
    """A hotel with one guest and one room type at 100 EUR a night; its rooms are clean."""

    core: HotelCore
    clock: FixedClock
    hotel_id: HotelId
    guest_id: GuestId
    type_id: RoomTypeId
    room_ids: tuple[RoomId, ...]

    def desk(self, role: Role = Role.ADMIN) -> Desk:
        """Give a handle of this hotel."""
        return self.core.acting_as(Actor(hotel_id=self.hotel_id, subject="ana", role=role))

    def clerk(self) -> Desk:
        """Give a handle of somebody who may do everything but override a rule."""
        # Of the library's own roles none may, for example, cancel and not override.
        rights = set(Permission) - {Permission.RULES_OVERRIDE}
        policy = POLICY.with_roles({"clerk": rights})
        core = HotelCore(self.core.engine, clock=self.clock, policy=policy)
        return core.acting_as(Actor(hotel_id=self.hotel_id, subject="clerk", role="clerk"))

    @property
    def today(self) -> date:
        """The open business date."""
        with self.desk().reading() as uow:
            return uow.hotel.business_date

    def book(
        self, nights: int = 1, *, prices: list[int] | None = None, begins: int = 0
    ) -> tuple[Booking, Folio]:
        """Book from ``begins`` days after the business date, at prices in cents if told."""
        arrival = self.today + begins * DAY
        return self.desk().run(
            op.create_booking_with_folio,
            guest_id=self.guest_id,
            room_type_id=self.type_id,
            stay=Stay(arrival, arrival + nights * DAY),
            nightly_prices=None if prices is None else [eur(price) for price in prices],
        )

    def check_in(self, booking: Booking) -> None:
        """Check a booking in to any free room."""
        self.desk().run(op.check_in_guest, booking_id=booking.id)

    def move_in(self, nights: int = 1, *, prices: list[int] | None = None) -> tuple[Booking, Folio]:
        """Book from today and check in."""
        booking, folio = self.book(nights, prices=prices)
        self.check_in(booking)
        return booking, folio

    def clean_all(self) -> None:
        """Have all rooms cleaned."""
        self.desk().run(
            op.bulk_update_room_status, room_ids=self.room_ids, condition=RoomCondition.CLEAN
        )

    def close_day(self) -> None:
        """Let a day pass and close the open business day."""
        self.clock.advance(DAY)
        self.desk().run(op.close_business_day, business_date=self.today)

    def charge(self, folio_id: FolioId, minor: int) -> FolioLine:
        """Post a charge of so many cents."""
        return self.desk().run(
            op.post_charge_to_folio, folio_id=folio_id, code="bar", amount=eur(minor)
        )

    def pay(self, folio_id: FolioId, minor: int) -> FolioLine:
        """Record a payment of so many cents."""
        return self.desk().run(
            op.record_payment, folio_id=folio_id, amount=eur(minor), method="card"
        )

    def folio(self, folio_id: FolioId) -> Folio:
        """Read a folio."""
        with self.desk().reading() as uow:
            return uow.folios.get(folio_id)

    def lines(self, folio_id: FolioId) -> tuple[FolioLine, ...]:
        """Read a folio's lines."""
        with self.desk().reading() as uow:
            return uow.folios.lines(folio_id)

    def booking(self, booking_id: BookingId) -> Booking:
        """Read a booking."""
        with self.desk().reading() as uow:
            return uow.bookings.get(booking_id)

    def rows_beside_the_audit(self) -> Rows:
        """Read all that the hotel has, but for the audit log, which keeps refusals."""
        return self.rows(without=("hc_audit_log", "hc_audit_head"))

    def rows(self, *, without: Collection[str] = ()) -> Rows:
        """Read all that the hotel has, table by table in the order of the keys."""
        held: Rows = {}
        with self.core.engine.connect() as connection:
            for table in METADATA.sorted_tables:
                if table.name not in without:
                    statement = (
                        select(table)
                        .where(table.c.hotel_id == self.hotel_id)
                        .order_by(*table.primary_key.columns)
                    )
                    held[table.name] = [tuple(row) for row in connection.execute(statement)]
        return held


def open_hotel(
    core: HotelCore,
    clock: FixedClock,
    *,
    rooms: int = 4,
    rules: HouseRules | None = None,
    time_zone: str = "Etc/UTC",
    business_date: date | None = None,
) -> SmallHotel:
    """Register a new hotel whose business date is its local date, unless told."""
    hotel_id = HotelId(uuid4())
    desk = core.acting_as(Actor(hotel_id=hotel_id, subject="ana", role=Role.ADMIN))
    with desk.transaction() as uow:
        op.register_hotel(
            uow,
            name="Small Hotel",
            time_zone=time_zone,
            currency="EUR",
            business_date=business_date or local_date(clock.now(), time_zone),
            rules=rules,
        )
        room_type = op.add_room_type(uow, code="DBL", name="Double", base_rate=eur(10_000))
        numbers = [f"{number:03}" for number in range(rooms)]
        added = op.add_rooms(uow, room_type_id=room_type.id, numbers=numbers)
        guest = op.register_guest(uow, last_name="Lovelace", first_name="Ada")
    room_ids = tuple(room.id for room in added)
    return SmallHotel(core, clock, hotel_id, guest.id, room_type.id, room_ids)


def refusal(attempt: Callable[[], object]) -> HotelcoreError | None:
    """Call ``attempt`` and return the library's error that it raises, or None."""
    try:
        attempt()
    except HotelcoreError as error:
        return error
    return None


@contextmanager
def counted_statements(core: HotelCore) -> Iterator[list[str]]:
    """Collect the text of every statement that is sent meanwhile."""
    sent: list[str] = []

    def note(*arguments: object) -> None:
        sent.append(str(arguments[2]))

    event.listen(core.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(core.engine, "before_cursor_execute", note)
