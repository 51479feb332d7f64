"""A small hotel in a real database, units of work over it, and strategies for what it stores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

from attrs import frozen
from hypothesis import strategies as st
from sqlalchemy import Engine

from hotelcore.clock import SystemClock
from hotelcore.domain.bookings import Booking, BookingNight, BookingStatus
from hotelcore.domain.cancellation import CancellationPolicy, Fee, FeeKind
from hotelcore.domain.fields import Attributes, JsonValue
from hotelcore.domain.guests import Guest
from hotelcore.domain.hotels import Hotel
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import Room, RoomType
from hotelcore.domain.stays import Stay
from hotelcore.ids import BookingId, GuestId, HotelId, RoomId, RoomTypeId, new_id
from hotelcore.sql.repositories.bookings import SqlBookings
from hotelcore.sql.repositories.guests import SqlGuests
from hotelcore.sql.repositories.hotels import SqlHotels
from hotelcore.sql.repositories.rooms import SqlRooms, SqlRoomTypes
from hotelcore.sql.schema import TableNames
from hotelcore.sql.sealing.sealed import Sealing
from hotelcore.sql.sealing.subject_keys import SqlSubjectKeys
from hotelcore.sql.seam.engine import READING
from hotelcore.sql.seam.limits import Deadline, Limits
from hotelcore.sql.seam.statements import Statements

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
TODAY = date(2026, 12, 1)
DAY = timedelta(days=1)


@frozen
class House:
    """A hotel with a guest, two room types, and four rooms of the first type."""

    engine: Engine
    hotel_id: HotelId
    guest_id: GuestId
    type_ids: tuple[RoomTypeId, RoomTypeId]
    room_ids: tuple[RoomId, ...]

    @contextmanager
    def writing(self) -> Iterator[Statements]:
        """Open a transaction of this hotel that is committed when the block ends well."""
        with self.engine.connect() as connection, connection.begin():
            limits = Limits(wait_limit=timedelta(seconds=20), time_limit=timedelta(seconds=60))
            deadline = Deadline.start(SystemClock(), limits, self.hotel_id)
            run = Statements(
                connection, self.hotel_id, deadline, read_only=False, names=TableNames()
            )
            run.alone = True
            yield run
            run.flush()

    @contextmanager
    def reading(self) -> Iterator[Statements]:
        """Read as this hotel without taking a lock."""
        with self.engine.connect().execution_options(**{READING: True}) as connection:
            deadline = Deadline.start(SystemClock(), Limits(), self.hotel_id)
            yield Statements(
                connection, self.hotel_id, deadline, read_only=True, names=TableNames()
            )

    def booking(self, **changes: object) -> Booking:
        """Build a confirmed booking of two nights, or another one."""
        values: dict[str, object] = {
            "id": BookingId(new_id()),
            "hotel_id": self.hotel_id,
            "confirmation_number": str(new_id()),
            "guest_id": self.guest_id,
            "room_type_id": self.type_ids[0],
            "stay": Stay(TODAY, TODAY + 2 * DAY),
            "status": BookingStatus.CONFIRMED,
            "channel": "direct",
            "total": Money(20_000, "EUR"),
            "cancellation": CancellationPolicy(),
            "created_at": NOON,
        }
        return Booking(**{**values, **changes})  # type: ignore[arg-type]  # checked when built

    def add(self, *bookings: Booking) -> None:
        """Store bookings with a night at 100 EUR for each date of their stays."""
        with self.writing() as run:
            for booking in bookings:
                SqlBookings(run).add_all([booking], nights_of(booking))


def new_house(engine: Engine) -> House:
    """Store a new hotel."""
    house = House(
        engine,
        HotelId(new_id()),
        GuestId(new_id()),
        (RoomTypeId(new_id()), RoomTypeId(new_id())),
        tuple(RoomId(new_id()) for _ in range(4)),
    )
    hotel_id, price = house.hotel_id, Money(10_000, "EUR")
    with house.writing() as run:
        SqlHotels(run).add(
            Hotel(
                id=hotel_id,
                name="Harbour",
                time_zone="Europe/Lisbon",
                currency="EUR",
                business_date=TODAY,
                created_at=NOON,
            )
        )
        keyless = Sealing(hotel_id, None, lambda *_: None)
        SqlGuests(run, SqlSubjectKeys(run, keyless)).add_all(
            [
                Guest(
                    id=house.guest_id,
                    hotel_id=hotel_id,
                    last_name="A",
                    first_name="",
                    created_at=NOON,
                )
            ]
        )
        for code, type_id in zip("AB", house.type_ids, strict=True):
            SqlRoomTypes(run).add(
                RoomType(id=type_id, hotel_id=hotel_id, code=code, name=code, base_rate=price)
            )
        SqlRooms(run).add_all(
            [
                Room(id=id, hotel_id=hotel_id, room_type_id=house.type_ids[0], number=str(n))
                for n, id in enumerate(house.room_ids)
            ]
        )
    return house


def nights_of(booking: Booking) -> tuple[BookingNight, ...]:
    """Build a night at 100 EUR for each date of a booking's stay."""
    return tuple(
        BookingNight(
            booking_id=booking.id,
            night=night,
            room_type_id=booking.room_type_id,
            price=Money(10_000, "EUR"),
        )
        for night in booking.stay
    )


# -- strategies -------------------------------------------------------------------------------

# Everything that both databases store: no NUL, no lone surrogates, not only white space.
characters = st.characters(exclude_characters="\x00", exclude_categories=["Cs"])


def texts(most: int) -> st.SearchStrategy[str]:
    """Give storable text of 1 to ``most`` characters."""
    return st.text(characters, min_size=1, max_size=most).filter(str.strip)


days = st.dates(date(1900, 1, 1), date(2199, 12, 31))
nearby_days = st.dates(TODAY - 4 * DAY, TODAY + 4 * DAY)
instants = st.datetimes(datetime(1900, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC))
amounts = st.integers(-(2**63) + 1, 2**63 - 1)
monies = st.builds(Money, amounts, st.sampled_from(["EUR", "JPY", "KWD"]))
json_values: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(characters, max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(9), inner, max_size=3),
    max_leaves=6,
)
attributes = st.builds(Attributes, st.dictionaries(texts(20), json_values, max_size=3))
fees = st.builds(Fee, kind=st.sampled_from(FeeKind), basis_points=st.integers(0, 10_000))
policies = st.builds(
    CancellationPolicy, free_days=st.integers(0, 999), late_fee=fees, no_show_fee=fees
)
stays = st.builds(
    lambda arrival, nights: Stay(arrival, arrival + nights * DAY),
    st.dates(date(1900, 1, 1), date(2196, 12, 31)),
    st.integers(0, 999),
)
nearby_stays = st.builds(
    lambda arrival, nights: Stay(arrival, arrival + nights * DAY), nearby_days, st.integers(0, 4)
)


not_in_house = st.sampled_from([s for s in BookingStatus if s is not BookingStatus.IN_HOUSE])
nearby_instants = st.sampled_from([NOON + timedelta(hours=n) for n in range(-2, 3)])


@st.composite
def bookings(draw: st.DrawFn, house: House) -> Booking:
    """Give any booking of the house that is not in house."""
    return Booking(
        id=BookingId(new_id()),
        hotel_id=house.hotel_id,
        # Random texts may meet; numbers must not.
        confirmation_number=draw(texts(4)) + str(new_id()),
        guest_id=house.guest_id,
        room_type_id=draw(st.sampled_from(house.type_ids)),
        stay=draw(stays),
        status=draw(not_in_house),
        room_id=draw(st.none() | st.sampled_from(house.room_ids)),
        adults=draw(st.integers(0, 999)),
        children=draw(st.integers(0, 999)),
        infants=draw(st.integers(0, 999)),
        channel=draw(st.just("direct") | texts(50)),
        total=draw(monies),
        cancellation=draw(policies),
        hold_until=draw(st.none() | instants),
        checked_in_at=draw(st.none() | instants),
        checked_out_at=draw(st.none() | instants),
        cancelled_at=draw(st.none() | instants),
        checked_in_on=draw(st.none() | nearby_days),
        checked_out_on=draw(st.none() | nearby_days),
        no_show_on=draw(st.none() | nearby_days),
        created_at=draw(instants),
        attributes=draw(attributes),
        version=draw(st.integers(1, 1_000)),
    )


@st.composite
def nearby_bookings(draw: st.DrawFn, house: House) -> Booking:
    """Give a booking around today, so that bookings meet in dates, rooms, holds and channels."""
    return house.booking(
        stay=draw(nearby_stays),
        status=draw(not_in_house),
        room_type_id=draw(st.sampled_from(house.type_ids)),
        room_id=draw(st.none() | st.sampled_from(house.room_ids)),
        channel=draw(st.sampled_from(["direct", "agency"])),
        hold_until=draw(st.none() | nearby_instants),
        checked_in_on=draw(st.none() | nearby_days),
        checked_out_on=draw(st.none() | nearby_days),
        no_show_on=draw(st.none() | nearby_days),
    )
