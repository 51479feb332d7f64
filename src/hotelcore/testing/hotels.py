"""A small hotel at work, for tests that need one and do not care how it came about."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from attrs import frozen

from hotelcore.access import Role
from hotelcore.core import Desk, HotelCore
from hotelcore.domain.bookings import Booking
from hotelcore.domain.folios import Folio
from hotelcore.domain.guests import Guest
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import Room, RoomType
from hotelcore.domain.stays import Stay
from hotelcore.ids import HotelId, new_id
from hotelcore.operations import (
    add_room_type,
    add_rooms,
    check_in_guest,
    create_booking_with_folio,
    post_charge_to_folio,
    record_payment,
    register_guest,
    register_hotel,
)
from hotelcore.tenancy import Actor

__all__ = ["NOON", "TODAY", "SampleHotel", "open_sample_hotel"]

TODAY = date(2026, 1, 15)
"""The business date that a sample hotel opens with."""

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
"""An instant of that day in every time zone of a sample hotel."""

_RATE = Money(12_000, "EUR")
_NIGHT = timedelta(days=1)


@frozen(kw_only=True)
class SampleHotel:
    """A hotel with four rooms of one type, two guests, and a booking of each.

    ``desk`` is its administrator's. ``expected`` arrives on `TODAY` for two nights and has no room
    yet; ``in_house`` sleeps in the first room for three nights and has had a drink and a payment
    on ``folio``.
    """

    core: HotelCore
    hotel_id: HotelId
    desk: Desk
    room_type: RoomType
    rooms: tuple[Room, ...]
    guests: tuple[Guest, ...]
    expected: Booking
    in_house: Booking
    folio: Folio

    def acting_as(self, role: Role | str, subject: str | None = None) -> Desk:
        """Return the handle of somebody else in this hotel; ``subject`` is by default the role."""
        actor = Actor(hotel_id=self.hotel_id, subject=subject or str(role), role=role)
        return self.core.acting_as(actor)


def open_sample_hotel(core: HotelCore, *, name: str = "Harbour Hotel") -> SampleHotel:
    """Register a new hotel in a database that has the tables, and let it be `TODAY` there.

    The core's clock must stand at `NOON` or later; a `FixedClock` does. Nothing is shared with
    another hotel but the database, so any number of them may be opened.
    """
    hotel_id = HotelId(new_id())
    desk = core.acting_as(Actor(hotel_id=hotel_id, subject="owner", role=Role.ADMIN))
    desk.run(
        register_hotel, name=name, time_zone="Europe/Lisbon", currency="EUR", business_date=TODAY
    )
    room_type = desk.run(add_room_type, code="DBL", name="Double", base_rate=_RATE)
    rooms = desk.run(add_rooms, room_type_id=room_type.id, numbers=["101", "102", "103", "104"])
    guests = tuple(desk.run(register_guest, last_name=each) for each in ("Expected", "Present"))
    expected, _ = _book(desk, guests[0], room_type, nights=2)
    present, folio = _book(desk, guests[1], room_type, nights=3)
    in_house, _ = desk.run(check_in_guest, booking_id=present.id, room_id=rooms[0].id)
    desk.run(post_charge_to_folio, folio_id=folio.id, code="bar", amount=Money(950, "EUR"))
    desk.run(record_payment, folio_id=folio.id, amount=Money(5_000, "EUR"), method="card")
    with desk.reading() as uow:
        folio = uow.folios.get(folio.id)
    return SampleHotel(
        core=core,
        hotel_id=hotel_id,
        desk=desk,
        room_type=room_type,
        rooms=rooms,
        guests=guests,
        expected=expected,
        in_house=in_house,
        folio=folio,
    )


def _book(desk: Desk, guest: Guest, room_type: RoomType, *, nights: int) -> tuple[Booking, Folio]:
    return desk.run(
        create_booking_with_folio,
        guest_id=guest.id,
        room_type_id=room_type.id,
        stay=Stay(TODAY, TODAY + nights * _NIGHT),
    )
