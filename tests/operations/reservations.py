"""Stays relative to the first business date, and the bookings that tests make of them."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from hotelcore import operations as op
from hotelcore.domain.bookings import Booking, BookingNight
from hotelcore.domain.folios import Folio
from hotelcore.domain.hotels import HouseRules, OverdueDeparture, UnresolvedArrival
from hotelcore.domain.stays import Stay
from hotelcore.ids import RoomId, RoomTypeId
from tests.operations.small_hotel import DAY, TODAY, SmallHotel, eur

KEEP = HouseRules(
    unresolved_arrival=UnresolvedArrival.KEEP, overdue_departure=OverdueDeparture.EXTEND
)
"""Rules under which the night audit ends no booking."""

# Each example is a hotel's life of a dozen transactions, on two databases.
lives = settings(max_examples=20)


def stay(begins: int, nights: int) -> Stay:
    """Return a stay that begins so many days after the first business date."""
    return Stay(TODAY + begins * DAY, TODAY + (begins + nights) * DAY)


short_stays = st.builds(stay, st.integers(0, 5), st.integers(1, 4))


def book(hotel: SmallHotel, of: Stay, **more: Any) -> tuple[Booking, Folio]:  # any argument of it
    """Book a stay of the hotel's guest in its type."""
    return hotel.desk().run(
        op.create_booking_with_folio,
        guest_id=hotel.guest_id,
        room_type_id=hotel.type_id,
        stay=of,
        **more,
    )


def nights_of(hotel: SmallHotel, booking: Booking) -> tuple[BookingNight, ...]:
    """Read the booking's nights, released ones too."""
    with hotel.desk().reading() as uow:
        return uow.bookings.nights(booking.id)


def add_suites(hotel: SmallHotel, rooms: int = 1) -> tuple[RoomTypeId, tuple[RoomId, ...]]:
    """Give the hotel a second, dearer type with rooms."""
    suite = hotel.desk().run(op.add_room_type, code="STE", name="Suite", base_rate=eur(30_000))
    numbers = [f"S{number}" for number in range(rooms)]
    added = hotel.desk().run(op.add_rooms, room_type_id=suite.id, numbers=numbers)
    return suite.id, tuple(room.id for room in added)
