"""Opens the houses of a run. Apart from the plans, since no process that is killed needs it."""

from __future__ import annotations

from collections.abc import Sequence

from hotelcore import HotelCore
from hotelcore.ids import FolioId
from hotelcore.operations import open_folio
from tests.small_hotel import open_hotel
from tests.torture.scenes import BOOKINGS, FOLIOS, HOTELS, House

__all__ = ["commands_to_furnish", "furnish"]


def furnish(core: HotelCore) -> Sequence[House]:
    """Open the houses, in an empty database, with their bookings and the bookings' folios."""
    core.create_schema()
    return [_furnished(core) for _ in range(HOTELS)]


def _furnished(core: HotelCore) -> House:
    bookings = BOOKINGS // HOTELS
    hotel, folios = open_hotel(core, rooms=bookings), list[FolioId]()
    for _ in range(bookings):
        booking, folio = hotel.booked()
        more = [hotel.desk.run(open_folio, booking_id=booking.id) for _ in range(FOLIOS - 1)]
        folios += [each.id for each in (folio, *more)]
    return House(hotel_id=hotel.hotel_id, folios=folios)


def commands_to_furnish(house: House) -> int:
    """Return how many commands opened a house."""
    # A hotel, a room type, rooms and a guest; then one for each booking and each further folio.
    return 4 + len(house.folios)
