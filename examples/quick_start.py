"""A guest books, arrives, has a drink, pays and leaves: each step one transaction of its own.

Run it as it is, or give it a database to keep: ``python quick_start.py sqlite:///hotel.db``.
"""

from __future__ import annotations

import sys
from datetime import timedelta

from hotelcore import Actor, HotelCore, HotelId, Money, Role, Stay, new_id
from hotelcore.clock import SystemClock, local_date
from hotelcore.operations import (
    add_room_type,
    add_rooms,
    check_in_guest,
    check_out_guest,
    create_booking_with_folio,
    post_charge_to_folio,
    record_payment,
    register_guest,
    register_hotel,
)

ZONE = "Europe/Lisbon"


def main(database: str) -> None:
    """Live through one short stay."""
    core = HotelCore(database)
    core.create_schema()
    today = local_date(SystemClock().now(), ZONE)

    # Every handle acts for one person in one hotel. A new hotel is the one its first actor names.
    hotel_id = HotelId(new_id())
    owner = core.acting_as(Actor(hotel_id=hotel_id, subject="owner", role=Role.ADMIN))
    owner.run(
        register_hotel, name="Harbour Inn", time_zone=ZONE, currency="EUR", business_date=today
    )
    double = owner.run(
        add_room_type, code="DBL", name="Double", base_rate=Money.of("120.00", "EUR")
    )
    owner.run(add_rooms, room_type_id=double.id, numbers=["101", "102"])

    desk = core.acting_as(Actor(hotel_id=hotel_id, subject="desk", role=Role.RECEPTION))
    guest = desk.run(register_guest, first_name="Guest", last_name="0001")
    booking, folio = desk.run(
        create_booking_with_folio,
        guest_id=guest.id,
        room_type_id=double.id,
        stay=Stay(today, today + timedelta(days=1)),
    )
    print(f"booked {booking.confirmation_number} for {booking.total}")

    booking, keys = desk.run(check_in_guest, booking_id=booking.id, keys=2)
    print(f"{booking.status}, with {len(keys)} keys")

    # A call under a key has one effect, however often a flaky network repeats it.
    for _ in range(2):
        desk.once("bar-bill-17").run(
            post_charge_to_folio, folio_id=folio.id, code="bar", amount=Money.of("8.50", "EUR")
        )
    with desk.reading() as uow:
        owed = uow.folios.get(folio.id).balance
    print(f"owes {owed}")

    # The room charge of a night comes with the night audit; this guest leaves before.
    desk.run(record_payment, folio_id=folio.id, amount=owed, method="card")
    booking, task = desk.run(check_out_guest, booking_id=booking.id)
    print(f"{booking.status}; housekeeping has a {task.kind} task")
    core.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "sqlite://")
