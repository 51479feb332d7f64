"""A durable subscription: every booking gets its letter, once, though the first attempt fails.

Run it as it is, or give it a database: ``python letters_for_certain.py sqlite:///hotel.db``.
"""

from __future__ import annotations

import logging
import sys
from datetime import timedelta

from hotelcore import Actor, HotelCore, Money, Role, Stay, new_id
from hotelcore.clock import SystemClock, local_date
from hotelcore.events.catalogue import BookingCreated
from hotelcore.operations import (
    add_room_type,
    add_rooms,
    amend_guest,
    create_booking_with_folio,
    register_guest,
    register_hotel,
)
from hotelcore.relay import Relay
from hotelcore.subscriptions import Delivery, Subscriptions

ZONE = "Europe/Lisbon"
subscriptions = Subscriptions()


@subscriptions.durable(
    BookingCreated,
    name="letters",
    role=Role.RECEPTION,
    first_pause=timedelta(milliseconds=1),
    longest_pause=timedelta(milliseconds=1),
)
def write_letter(delivery: Delivery[BookingCreated]) -> None:
    """Write to the guest: slowly, outside of any transaction, and note it inside one."""
    if delivery.attempt == 1:
        raise OSError("the printer is out of paper")
    with delivery.reading() as uow:
        guest = uow.guests.get(delivery.event.guest_id)
    letter = f"we expect you on {delivery.event.arrival:%d %B}"
    # The note and the end of the delivery are one transaction: there is no second letter.
    delivery.run(
        amend_guest, guest_id=guest.id, last_name=guest.last_name, attributes={"letter": letter}
    )
    print("a letter was written")


def main(url: str) -> None:
    """Book a room, and let a relay tell of it."""
    logging.basicConfig(stream=sys.stdout, format="%(message)s")  # the relay tells of failures
    core = HotelCore(url, subscriptions=subscriptions)
    core.create_schema()
    today = local_date(SystemClock().now(), ZONE)
    desk = core.acting_as(Actor(hotel_id=new_id(), subject="example", role=Role.ADMIN))
    with desk.transaction() as uow:
        register_hotel(uow, name="Corner Inn", time_zone=ZONE, currency="EUR", business_date=today)
        double = add_room_type(uow, code="DBL", name="Double", base_rate=Money.of(110, "EUR"))
        add_rooms(uow, room_type_id=double.id, numbers=["1"])
        guest = register_guest(uow, last_name="Guest")
        stay = Stay(today, today + timedelta(days=2))
        booking, _ = create_booking_with_folio(
            uow, guest_id=guest.id, room_type_id=double.id, stay=stay
        )
    print(f"booked from {booking.stay.arrival}: nobody had to wait for a letter")

    letter = None
    while letter is None:  # a host runs `hotelcore relay` instead, beside its application
        Relay(core).run_until_idle()
        with desk.reading() as uow:
            letter = uow.guests.get(guest.id).attributes.get("letter")
    print(f"handled once: {letter}")
    core.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "sqlite://")
