"""Setting a hotel up: the hotel itself, its house rules, its room types and rooms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import attrs

from hotelcore import clock
from hotelcore.access import Permission
from hotelcore.domain.fields import Attributes, JsonValue, member
from hotelcore.domain.hotels import Hotel, HouseRules
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import Room, RoomCondition, RoomType
from hotelcore.errors import CurrencyMismatch, InvalidInput
from hotelcore.ids import RoomId, RoomTypeId
from hotelcore.operations.declaring import operation
from hotelcore.operations.rooms import MOST_ROOMS
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["add_room_type", "add_rooms", "change_house_rules", "register_hotel"]


@operation(Permission.HOTEL_MANAGE)
def register_hotel(
    uow: UnitOfWork,
    *,
    name: str,
    time_zone: str,
    currency: str,
    business_date: date,
    rules: HouseRules | None = None,
    stripe_customer_id: str | None = None,
    stripe_subscription_id: str | None = None,
    attributes: Mapping[str, JsonValue] | None = None,
) -> Hotel:
    """Register the actor's hotel: its id is the one that the actor already names.

    ``time_zone`` is an IANA name, ``currency`` an ISO 4217 code for all amounts of the hotel,
    ``business_date`` the day that is open from now on, not later than the hotel's own date. Both
    Stripe ids belong to one hotel of the database only. Raises `InvalidInput`, and
    `AlreadyExists` for a hotel that is registered or a Stripe id that is taken.
    """
    hotel = Hotel(
        id=uow.hotel_id,
        name=name,
        time_zone=time_zone,
        currency=currency,
        business_date=business_date,
        rules=HouseRules() if rules is None else rules,
        stripe_customer_id=stripe_customer_id,
        stripe_subscription_id=stripe_subscription_id,
        attributes=Attributes(attributes),
        created_at=uow.now(),
    )
    if hotel.business_date > clock.local_date(uow.now(), hotel.time_zone):
        raise InvalidInput("business_date", "must not be ahead of the date in the hotel's zone")
    uow.hotels.add(hotel)
    uow.changed("hotel", hotel.id, None, hotel)
    return hotel


@operation(Permission.HOTEL_MANAGE)
def change_house_rules(uow: UnitOfWork, *, rules: HouseRules) -> Hotel:
    """Replace the hotel's house rules; bookings keep the cancellation policy they were made under.

    Raises `InvalidInput` for anything but `HouseRules`.
    """
    hotel = uow.hotels.lock()
    with uow.together(later=True):
        changed = uow.hotels.update(attrs.evolve(hotel, rules=rules))
    uow.changed("hotel", hotel.id, hotel, changed)
    return changed


@operation(Permission.HOTEL_MANAGE)
def add_room_type(
    uow: UnitOfWork,
    *,
    code: str,
    name: str,
    base_rate: Money,
    max_occupancy: int = 2,
    overbooking_limit: int = 0,
    attributes: Mapping[str, JsonValue] | None = None,
) -> RoomType:
    """Add a class of rooms that are sold as one.

    ``code`` (1 to 20 characters) is unique in the hotel: `AlreadyExists`. ``base_rate``, zero or
    more and in the hotel's currency, is a night's price where a booking names none.
    ``overbooking_limit`` units may be sold beyond the rooms that exist. ``max_occupancy`` is kept
    for the host, and refuses no booking of more guests. Raises `InvalidInput` and
    `CurrencyMismatch`.
    """
    hotel = uow.hotel
    room_type = RoomType(
        id=RoomTypeId(uow.new_id()),
        hotel_id=uow.hotel_id,
        code=code,
        name=name,
        base_rate=base_rate,
        max_occupancy=max_occupancy,
        overbooking_limit=overbooking_limit,
        attributes=Attributes(attributes),
    )
    if room_type.base_rate.currency != hotel.currency:
        raise CurrencyMismatch(hotel.currency, room_type.base_rate.currency)
    with uow.together(later=True):
        uow.room_types.add(room_type)
    uow.changed("room_type", room_type.id, None, room_type)
    return room_type


@operation(Permission.HOTEL_MANAGE)
def add_rooms(
    uow: UnitOfWork,
    *,
    room_type_id: RoomTypeId,
    numbers: Sequence[str],
    floor: str | None = None,
    condition: RoomCondition = RoomCondition.CLEAN,
) -> tuple[Room, ...]:
    """Add 1 to 5,000 rooms of a type, one for each number, on sale for every night.

    A counter is at any time what the rooms of today say, so past nights count the new rooms too;
    what a closed business day says of its rooms stays. A number (1 to 20 characters) is unique in
    the hotel: `AlreadyExists`. ``floor`` has up to 20 characters. Returns the rooms in the order of
    ``numbers``. Raises `InvalidInput`, also for a number given twice, and `NotFound` for an unknown
    type.
    """
    if not 1 <= len(numbers) <= MOST_ROOMS:
        raise InvalidInput("numbers", f"must name 1 to {MOST_ROOMS:,} rooms")
    found = member("condition", RoomCondition, condition)
    rooms = tuple(
        Room(
            id=RoomId(uow.new_id()),
            hotel_id=uow.hotel_id,
            room_type_id=room_type_id,
            number=number,
            floor=floor,
            condition=found,
        )
        for number in numbers
    )
    if len({room.number for room in rooms}) < len(rooms):
        raise InvalidInput("numbers", "must name each room once")
    uow.room_types.get(room_type_id)
    # The counters come before the rooms in the order of locks.
    uow.inventory.add_rooms(room_type_id, len(rooms))
    uow.rooms.add_all(rooms)
    for room in rooms:
        uow.changed("room", room.id, None, room)
    return rooms
