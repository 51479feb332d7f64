"""The same operations under asyncio: eight guests want the last room at the same time.

Needs the ``async`` extra. Run it as it is, or give it a database, such as
``postgresql://user@localhost/hotel``.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

from hotelcore import Actor, AsyncHotelCore, HotelId, Money, Role, Stay, new_id
from hotelcore.clock import SystemClock, local_date
from hotelcore.core import AsyncDesk
from hotelcore.domain.rooms import RoomType
from hotelcore.errors import SoldOut
from hotelcore.events.catalogue import BookingCreated
from hotelcore.operations import (
    add_room_type,
    add_rooms,
    create_booking_with_folio,
    register_guest,
    register_hotel,
)

ZONE = "Europe/Lisbon"


async def open_hotel(owner: AsyncDesk, today: date) -> RoomType:
    """Register a hotel with a single room; return the room's type."""
    async with owner.transaction() as unit:
        await unit.run(
            register_hotel, name="Tiny Inn", time_zone=ZONE, currency="EUR", business_date=today
        )
        kind = await unit.run(
            add_room_type, code="DBL", name="Double", base_rate=Money.of(120, "EUR")
        )
        await unit.run(add_rooms, room_type_id=kind.id, numbers=["1"])
    return kind


async def book(desk: AsyncDesk, kind: RoomType, stay: Stay, number: int) -> str:
    """Try to book the room; say how it went."""
    guest = await desk.run(register_guest, first_name="Guest", last_name=f"{number:04d}")
    try:
        booking, _ = await desk.run(
            create_booking_with_folio,
            guest_id=guest.id,
            room_type_id=kind.id,
            stay=stay,
        )
    except SoldOut as refusal:
        return f"guest {number:04d}: {refusal}"
    return f"guest {number:04d}: booked {booking.confirmation_number}"


async def main(database: str) -> None:
    """Let eight guests try at once; the database lets exactly one of them have the room."""
    core = AsyncHotelCore(database)
    await core.create_schema()
    core.events.subscribe(BookingCreated, lambda event: print(f"heard of {event.booking_id}"))

    today = local_date(SystemClock().now(), ZONE)
    hotel_id = HotelId(new_id())
    owner = core.acting_as(Actor(hotel_id=hotel_id, subject="owner", role=Role.ADMIN))
    kind = await open_hotel(owner, today)
    stay = Stay(today, today + timedelta(days=1))
    desk = core.acting_as(Actor(hotel_id=hotel_id, subject="web", role=Role.RECEPTION))
    answers = await asyncio.gather(*(book(desk, kind, stay, number) for number in range(1, 9)))
    print("\n".join(answers))
    await core.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(main(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(main(f"sqlite:///{Path(folder) / 'hotel.db'}"))
