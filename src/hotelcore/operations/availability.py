"""Reading what can be sold and what it costs; both work in reading and in writing units."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from hotelcore.domain.availability import Availability, NightPrice, Quote, RoomAvailability
from hotelcore.domain.money import Money, sum_money
from hotelcore.domain.stays import Stay
from hotelcore.ids import RoomTypeId
from hotelcore.operations.arguments import checked
from hotelcore.operations.declaring import check_unit
from hotelcore.operations.nights import prices_of
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["quote", "search_availability"]


@checked
def search_availability(
    uow: UnitOfWork, *, stay: Stay, room_type_id: RoomTypeId | None = None
) -> tuple[Availability, ...]:
    """Return what is left over a stay, for one room type or for all, ordered by type code.

    Each answer has the counters of every night, and the concrete rooms that are free for the
    whole stay. Those can be fewer than the units left: then a guest would have to move, or other
    bookings be assigned anew. A day use has no nights; only its free rooms count. Of a stay that
    begins before the business date nothing is sellable, since it is booked by force alone; its
    counters and rooms are told all the same. Raises `NotFound` for an unknown type.
    """
    check_unit(uow)
    begun = stay.arrival < uow.hotel.business_date
    types = uow.room_types.all() if room_type_id is None else (uow.room_types.get(room_type_id),)
    nights = _by_type(uow.inventory.nights(stay, room_type_id))
    free = uow.rooms.free_of_each([room_type.id for room_type in types], stay)
    return tuple(
        Availability(
            room_type_id=room_type.id,
            stay=stay,
            nights=tuple(nights[room_type.id]),
            free_rooms=free[room_type.id],
            begun=begun,
        )
        for room_type in types
    )


def _by_type(
    nights: Iterable[RoomAvailability],
) -> Mapping[RoomTypeId, Sequence[RoomAvailability]]:
    of_each = defaultdict[RoomTypeId, list[RoomAvailability]](list)
    for night in nights:
        of_each[night.room_type_id].append(night)
    return of_each


@checked
def quote(
    uow: UnitOfWork,
    *,
    room_type_id: RoomTypeId,
    stay: Stay,
    nightly_prices: Sequence[Money] | None = None,
) -> Quote:
    """Return what a stay costs: the price of each night, and their exact sum.

    The prices are ``nightly_prices``, one a night in order and in the hotel's currency, or else
    the type's base rate for each. A booking made with the same arguments costs exactly this.
    Raises `InvalidInput` for prices that do not fit, and `NotFound`.
    """
    check_unit(uow)
    hotel, room_type = uow.hotel, uow.room_types.get(room_type_id)
    prices = prices_of(room_type, stay, nightly_prices, hotel.currency)
    return Quote(
        room_type_id=room_type_id,
        stay=stay,
        nights=tuple(NightPrice(*priced) for priced in zip(stay, prices, strict=True)),
        total=sum_money(prices, hotel.currency),
    )
