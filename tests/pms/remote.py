"""What a property management system holds in these tests, and how a hotel takes it over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs

from hotelcore import operations as op
from hotelcore.clock import FixedClock
from hotelcore.core import HotelCore
from hotelcore.domain.bookings import Booking
from hotelcore.domain.hotels import HouseRules
from hotelcore.domain.rooms import RoomCondition
from hotelcore.domain.stays import Stay
from hotelcore.lists import BookingFilter
from hotelcore.operations.pms_sync import SyncReport
from hotelcore.pms import (
    RemoteBooking,
    RemoteBookingStatus,
    RemoteGuest,
    RemoteRoom,
    RemoteRoomType,
    fetch,
)
from hotelcore.testing import ScriptedPms
from tests.operations.small_hotel import NOON, TODAY, SmallHotel, eur, open_hotel

TYPE = RemoteRoomType(external_id="t1", code="DBL", name="Double", base_rate=eur(9_000))


SUITE = RemoteRoomType(external_id="t2", code="STE", name="Suite", base_rate=eur(30_000))


def connected(
    core: HotelCore, clock: FixedClock | None = None, *, rules: HouseRules | None = None
) -> SmallHotel:
    """Open a hotel and connect it; ``clock`` is the core's, if its days are to pass."""
    hotel = open_hotel(core, clock or FixedClock(NOON), rules=rules)
    hotel.desk().run(op.connect_pms, vendor="scripted", external_hotel_id="H-1")
    return hotel


def guest(number: int, last_name: str = "Guest") -> RemoteGuest:
    """Return a guest there."""
    return RemoteGuest(external_id=f"g{number}", last_name=last_name, first_name=str(number))


def booking(
    number: int,
    *,
    begins: int = 1,
    nights: int = 2,
    status: RemoteBookingStatus = RemoteBookingStatus.CONFIRMED,
    **fields: Any,
) -> RemoteBooking:
    """Return a booking there, of the guest with the same number."""
    arrival = TODAY + timedelta(days=begins)
    record = RemoteBooking(
        external_id=f"b{number}",
        confirmation_number=f"PMS-{number}",
        guest_external_id=f"g{number}",
        room_type_external_id=TYPE.external_id,
        status=status,
        stay=Stay(arrival, arrival + timedelta(days=nights)),
        nightly_prices=tuple(eur(8_000 + night) for night in range(nights)),
        channel="pms",
    )
    return attrs.evolve(record, **fields)


def room(number: int, condition: RoomCondition | None = None) -> RemoteRoom:
    """Return a room there; the first four have our rooms' numbers."""
    return RemoteRoom(
        external_id=f"r{number}",
        room_type_external_id=TYPE.external_id,
        number=f"{number:03}",
        condition=condition,
    )


def filled() -> ScriptedPms:
    """Return a PMS with six rooms, three guests and three bookings."""
    pms = ScriptedPms()
    pms.put(TYPE, *(room(number) for number in range(6)))
    for number in range(3):
        pms.put(guest(number), booking(number))
    return pms


def sync(hotel: SmallHotel, pms: ScriptedPms) -> SyncReport:
    """Fetch everything and take it over."""
    return hotel.desk().run(op.sync_pms_data, snapshot=fetch(pms))


def bookings_of(hotel: SmallHotel) -> dict[str, Booking]:
    """Read all bookings by confirmation number."""
    with hotel.desk().reading() as uow:
        page = uow.bookings.page(BookingFilter(), limit=1_000)
    return {found.confirmation_number: found for found in page.items}
