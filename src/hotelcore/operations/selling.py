"""New bookings, one or many by the same rules: built, sold, stored with nights and folio, reported.

A desk sells one at a time, a synchronisation thousands at once. The order of locks is that of every
operation: callers have read ``uow.hotel`` and shared the guests before anything is sold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime

from attrs import frozen

from hotelcore.domain.bookings import Booking, BookingNight, BookingStatus
from hotelcore.domain.cancellation import CancellationPolicy
from hotelcore.domain.fields import Attributes, JsonValue
from hotelcore.domain.folios import Folio
from hotelcore.domain.guests import Guest
from hotelcore.domain.money import Money, sum_money
from hotelcore.domain.rooms import RoomType
from hotelcore.domain.stays import Stay, check_stay
from hotelcore.errors import InvalidInput
from hotelcore.events.catalogue import BookingCreated
from hotelcore.ids import BookingId, RoomTypeId
from hotelcore.operations.judging import expected_guest
from hotelcore.operations.nights import prices_of
from hotelcore.operations.posting import add_folios
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["NewBooking", "new_booking", "sell_bookings"]


@frozen
class NewBooking:
    """A booking that is to be sold, with its nights."""

    booking: Booking
    nights: tuple[BookingNight, ...]


def new_booking(
    uow: UnitOfWork,
    *,
    guest: Guest,
    room_type: RoomType,
    stay: Stay,
    nightly_prices: Sequence[Money] | None,
    adults: int,
    children: int,
    infants: int = 0,
    channel: str,
    hold_until: datetime | None = None,
    cancellation: CancellationPolicy | None = None,
    confirmation_number: str | None,
    attributes: Mapping[str, JsonValue] | None = None,
    force: bool,
) -> NewBooking:
    """Build a booking that has not been sold; what is asked for is what an operation is asked for.

    ``force`` lets the stay begin before the business date. Raises `ActionRefused` for a guest who
    was anonymised, `InvalidInput` for whatever is out of its range.
    """
    hotel = uow.hotel
    prices = prices_of(room_type, check_stay("stay", stay), nightly_prices, hotel.currency)
    booking = Booking(
        id=BookingId(uow.new_id()),
        hotel_id=uow.hotel_id,
        confirmation_number=(
            uow.new_confirmation_number() if confirmation_number is None else confirmation_number
        ),
        guest_id=expected_guest(guest),
        room_type_id=room_type.id,
        stay=stay,
        status=BookingStatus.CONFIRMED if hold_until is None else BookingStatus.TENTATIVE,
        adults=adults,
        children=children,
        infants=infants,
        channel=channel,
        total=sum_money(prices, hotel.currency),
        cancellation=_checked_policy(
            hotel.rules.cancellation if cancellation is None else cancellation
        ),
        hold_until=hold_until,
        created_at=uow.now(),
        attributes=Attributes(attributes),
    )
    _refuse_past(uow, booking, force=force)
    return NewBooking(booking, _nights(booking, prices))


def _checked_policy(policy: object) -> CancellationPolicy:
    if not isinstance(policy, CancellationPolicy):
        raise InvalidInput("cancellation", "must be a CancellationPolicy")
    return policy


def _refuse_past(uow: UnitOfWork, booking: Booking, *, force: bool) -> None:
    if booking.hold_until is not None and booking.hold_until <= uow.now():
        raise InvalidInput("hold_until", "must lie ahead")
    business_date = uow.hotel.business_date
    if booking.stay.arrival < business_date and not force:
        raise InvalidInput("stay", f"must not begin before the business date, {business_date}")


def _nights(booking: Booking, prices: Sequence[Money]) -> tuple[BookingNight, ...]:
    return tuple(
        BookingNight(
            booking_id=booking.id, night=night, room_type_id=booking.room_type_id, price=price
        )
        for night, price in zip(booking.stay, prices, strict=True)
    )


def sell_bookings(
    uow: UnitOfWork, new: Sequence[NewBooking], *, force: bool
) -> list[tuple[Booking, Folio]]:
    """Take the units, store the bookings with their nights, open a folio of each, report them.

    Raises `SoldOut` with the full nights of a type, unless ``force``, and `AlreadyExists` for a
    taken confirmation number.
    """
    _take_units(uow, new, force=force)
    bookings = [each.booking for each in new]
    with uow.together():
        uow.bookings.add_all(bookings, [night for each in new for night in each.nights])
        for booking in bookings:
            uow.changed("booking", booking.id, None, booking)
            uow.emit(_created(booking))
        folios = add_folios(uow, ((booking.id, booking.guest_id) for booking in bookings))
    return list(zip(bookings, folios, strict=True))


def _take_units(uow: UnitOfWork, new: Sequence[NewBooking], *, force: bool) -> None:
    """Take them type by type, all nights of one at once, as everybody locks the counters."""
    wanted = defaultdict[tuple[RoomTypeId, bool], list[date]](list)
    for each in new:
        held = each.booking.status is BookingStatus.TENTATIVE
        wanted[each.booking.room_type_id, held] += each.booking.stay
    for (room_type_id, held), nights in sorted(wanted.items()):
        uow.inventory.sell(room_type_id, nights, held=held, force=force)


def _created(booking: Booking) -> BookingCreated:
    return BookingCreated(
        hotel_id=booking.hotel_id,
        booking_id=booking.id,
        confirmation_number=booking.confirmation_number,
        guest_id=booking.guest_id,
        room_type_id=booking.room_type_id,
        arrival=booking.stay.arrival,
        departure=booking.stay.departure,
        total=booking.total,
        channel=booking.channel,
    )
