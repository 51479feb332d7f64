"""Several steps in one transaction: a guest walks in, and either everything is done or nothing.

Run it as it is, or give it a database: ``python one_transaction.py sqlite:///hotel.db``.
"""

from __future__ import annotations

import sys
from datetime import date, timedelta

from hotelcore import Actor, HotelCore, HotelId, Money, Role, Stay, new_id
from hotelcore.clock import SystemClock, local_date
from hotelcore.domain.bookings import Booking
from hotelcore.errors import AmountRefused, SoldOut
from hotelcore.ids import RoomTypeId
from hotelcore.lists import BookingFilter
from hotelcore.operations import (
    add_room_type,
    add_rooms,
    check_in_guest,
    create_booking_with_folio,
    grant_allowance,
    post_charge_to_folio,
    record_payment,
    register_guest,
    register_hotel,
)
from hotelcore.unit_of_work import UnitOfWork

ZONE = "Europe/Lisbon"


def open_hotel(uow: UnitOfWork, today: date) -> tuple[RoomTypeId, RoomTypeId]:
    """Register a hotel with one single and one double room; return the two types."""
    register_hotel(uow, name="Corner Inn", time_zone=ZONE, currency="EUR", business_date=today)
    types = []
    for code, rate, number in (("SGL", 80, "1"), ("DBL", 110, "2")):
        kind = add_room_type(uow, code=code, name=code, base_rate=Money.of(rate, "EUR"))
        add_rooms(uow, room_type_id=kind.id, numbers=[number])
        types.append(kind.id)
    return types[0], types[1]


def walk_in(uow: UnitOfWork, number: int, wished: RoomTypeId, other: RoomTypeId) -> Booking:
    """Take in a guest without a booking: in the room that was wished for, or in another."""
    today = uow.hotel.business_date
    guest = register_guest(uow, first_name="Guest", last_name=f"{number:04d}")
    stay = Stay(today, today + timedelta(days=2))
    try:
        # Only what stands in the savepoint is undone when the hotel refuses.
        with uow.savepoint():
            booking, folio = create_booking_with_folio(
                uow, guest_id=guest.id, room_type_id=wished, stay=stay
            )
    except SoldOut:
        booking, folio = create_booking_with_folio(
            uow, guest_id=guest.id, room_type_id=other, stay=stay
        )
    record_payment(uow, folio_id=folio.id, amount=booking.total, method="card")
    booking, _ = check_in_guest(uow, booking_id=booking.id)
    return booking


def main(database: str) -> None:
    """Take in two guests, and fail with a third step that undoes the first two."""
    core = HotelCore(database)
    core.create_schema()
    hotel_id = HotelId(new_id())
    manager = core.acting_as(Actor(hotel_id=hotel_id, subject="manager", role=Role.ADMIN))

    # `run` takes functions of your own too, and repeats the whole of one when the database asks.
    single, double = manager.run(open_hotel, local_date(SystemClock().now(), ZONE))
    first, second = (manager.run(walk_in, number, single, double) for number in (1, 2))
    for booking in (first, second):
        print(f"{booking.confirmation_number} is {booking.status}, for {booking.total}")

    with manager.reading() as uow:
        [folio] = uow.folios.of_booking(second.id)
    try:
        with manager.transaction() as uow:
            line = post_charge_to_folio(
                uow, folio_id=folio.id, code="bar", amount=Money.of(10, "EUR")
            )
            grant_allowance(uow, line_id=line.id, amount=Money.of(11, "EUR"), reason="too much")
    except AmountRefused as refusal:
        print(f"refused: {refusal}")
    with manager.reading() as uow:
        lines = uow.folios.lines(folio.id)
        bookings = uow.bookings.page(BookingFilter()).items
    print(f"{len(bookings)} bookings; the second bill still has {len(lines)} line, the payment")
    core.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "sqlite://")
