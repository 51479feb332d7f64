"""How a booking of ours follows the one there, and what keeps it from that.

Only a difference is acted upon, so a change of ours that comes back changes nothing. The system
there is the master of what it sends: what it sold is sold here whatever the limit, and what ended
there costs nothing here. What happened at the desk stays: nobody is checked out, moved or put into
the past by a message.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import attrs
from attrs import frozen

from hotelcore.access import Permission
from hotelcore.domain.bookings import Booking, BookingNight, BookingStatus
from hotelcore.domain.guests import Guest
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import Room
from hotelcore.domain.stays import Stay
from hotelcore.errors import RoomTaken
from hotelcore.ids import RoomTypeId
from hotelcore.operations.bookings import cancel_booking_with_refund, reinstate_booking
from hotelcore.operations.counters import commit_nights
from hotelcore.operations.judging import overrides
from hotelcore.operations.nights import (
    change_stay,
    change_type,
    give_up_no_shows,
    moving_nights,
    note_update,
)
from hotelcore.operations.pms_sync.report import Hindrance
from hotelcore.pms.records import RemoteBooking, RemoteBookingStatus
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["REASON", "Followed", "Wanted", "counters_of", "follow", "hindrance_of", "order_of"]

REASON = "taken over from the property management system"
"""What the audit log says of all that a synchronisation overrides."""

_ENDED = (BookingStatus.CANCELLED, BookingStatus.NO_SHOW)


@frozen
class Wanted:
    """What a booking to come there says, in our own terms."""

    stay: Stay
    nightly_prices: tuple[Money, ...]
    room_type_id: RoomTypeId
    guest: Guest
    adults: int
    children: int
    channel: str

    @property
    def prices(self) -> dict[date, Money]:
        """The price of each night."""
        return dict(zip(self.stay, self.nightly_prices, strict=True))


@frozen
class Followed:
    """A booking of ours, locked, with all its nights and its room, and what it is to follow.

    ``wanted`` is None where nobody is to come there.
    """

    record: RemoteBooking
    wanted: Wanted | None
    booking: Booking
    nights: tuple[BookingNight, ...]
    room: Room | None


# -- what cannot be followed ------------------------------------------------------------------


def hindrance_of(it: Followed, today: date) -> Hindrance | None:
    """Return what keeps a booking from following, as far as that is known before it is tried."""
    if it.wanted is None:
        return _AT_THE_DESK.get(it.booking.status)
    if _is_for_erased_guest(it.wanted, it.booking):
        return Hindrance.ANONYMISED
    match it.booking.status:
        case BookingStatus.IN_HOUSE:
            return _against_departure(it.wanted, it.booking, today)
        case BookingStatus.CHECKED_OUT:
            return None if _is_same_stay(it.wanted, it.booking) else Hindrance.CHECKED_OUT
        case BookingStatus.CANCELLED | BookingStatus.NO_SHOW:
            return _against_return(it.wanted, it, today)
        case BookingStatus.TENTATIVE | BookingStatus.CONFIRMED:
            return _against_change(it.wanted, it.booking, today)


_AT_THE_DESK = {
    BookingStatus.IN_HOUSE: Hindrance.IN_HOUSE,
    BookingStatus.CHECKED_OUT: Hindrance.CHECKED_OUT,
}


def _is_for_erased_guest(wanted: Wanted, booking: Booking) -> bool:
    """Tell whether an erased guest would come, or come again; what was before stays theirs."""
    comes = wanted.guest.id != booking.guest_id or booking.status in _ENDED
    return comes and wanted.guest.anonymised_at is not None


def _is_same_stay(wanted: Wanted, booking: Booking) -> bool:
    return (wanted.stay, wanted.room_type_id) == (booking.stay, booking.room_type_id)


def _against_departure(wanted: Wanted, booking: Booking, today: date) -> Hindrance | None:
    departure = wanted.stay.departure
    may_leave = departure >= today or departure == booking.stay.departure
    same = (wanted.stay.arrival, wanted.room_type_id)
    if may_leave and same == (booking.stay.arrival, booking.room_type_id):
        return None
    return Hindrance.IN_HOUSE


def _against_return(wanted: Wanted, it: Followed, today: date) -> Hindrance | None:
    """Say why an ended booking cannot come back: its past, if it has any, stands."""
    if wanted.stay.is_over(today):
        return Hindrance.STAY_IS_OVER
    passed = wanted.stay.until_day(today).nights
    consumed = any(night.night < today and not night.released for night in it.nights)
    if passed == it.booking.stay.until_day(today).nights or not (passed or consumed):
        return None
    return Hindrance.PAST_NIGHTS


def _against_change(wanted: Wanted, booking: Booking, today: date) -> Hindrance | None:
    tentative = booking.status is BookingStatus.TENTATIVE
    if _is_same_stay(wanted, booking) and not tentative:
        return None
    if wanted.stay.is_over(today) or booking.stay.is_over(today):
        return Hindrance.STAY_IS_OVER
    if wanted.stay.until_day(today).nights != booking.stay.until_day(today).nights:
        return Hindrance.PAST_NIGHTS
    return None


# -- what moves -------------------------------------------------------------------------------


def counters_of(it: Followed, today: date) -> Iterator[tuple[RoomTypeId, date]]:
    """Give the counters that move as the booking follows: of nights in their type, and by night."""
    if it.booking.status in _ENDED:
        if it.wanted is not None:
            yield from ((it.wanted.room_type_id, night) for night in it.wanted.stay.from_day(today))
        return
    had = moving_nights(it.booking, it.nights, today)
    if it.wanted is None or it.booking.status is BookingStatus.TENTATIVE:
        yield from ((night.room_type_id, night.night) for night in had)
    if it.wanted is not None:
        yield from _exchanged(it.wanted, it, had)


def _exchanged(
    wanted: Wanted, it: Followed, had: tuple[BookingNight, ...]
) -> Iterator[tuple[RoomTypeId, date]]:
    new = set(wanted.stay).difference(it.booking.stay)
    types = {wanted.room_type_id}
    if it.room is not None:
        types.add(it.room.room_type_id)
    yield from ((each, night) for each in types for night in new)
    # If another has the room on a new night, all nights go back to the booked type.
    roomless = len(types) > 1 and new and it.booking.status is not BookingStatus.IN_HOUSE
    retyped = it.booking.room_type_id != wanted.room_type_id or roomless
    for night in had:
        if retyped:
            yield wanted.room_type_id, night.night
        if retyped or night.night not in wanted.stay:
            yield night.room_type_id, night.night


def order_of(it: Followed) -> tuple[bool, bool]:
    """Return the place of a booking among those that follow: last who needs a room for longer."""
    gets_nights = it.wanted is not None and not set(it.wanted.stay).issubset(it.booking.stay)
    return gets_nights, it.booking.status is BookingStatus.IN_HOUSE


# -- following --------------------------------------------------------------------------------


def follow(uow: UnitOfWork, it: Followed) -> Hindrance | None:
    """Bring a booking that nothing hinders in line with the one there; its counters are locked.

    Returns what hindered it after all: a guest in house stays longer, and another has the room.
    """
    if it.wanted is None:
        _give_up(uow, it)
        return None
    if it.booking.status in _ENDED:
        _take_back(uow, it, it.wanted)
        return None
    if not _is_same_stay(it.wanted, it.booking):
        uow.require(Permission.BOOKINGS_AMEND, "amend_stay")
        overrides(uow, REASON, "amend_stay with force_reason")
    if it.booking.status in (BookingStatus.IN_HOUSE, BookingStatus.CHECKED_OUT):
        return _follow_stayer(uow, it, it.wanted)
    _follow_expected(uow, it, it.wanted)
    return None


def _give_up(uow: UnitOfWork, it: Followed) -> None:
    """End a booking as it ended there, at no cost; one that ended here stays as it ended."""
    booking, today = it.booking, uow.hotel.business_date
    if booking.status in _ENDED:
        return
    never_came = it.record.status is RemoteBookingStatus.NO_SHOW and booking.stay.arrival < today
    if never_came and booking.status is BookingStatus.CONFIRMED:
        uow.require(Permission.FRONT_DESK, "mark_no_show")
        ending = [(booking, it.nights)]
        give_up_no_shows(uow, ending, business_date=today, from_night=today, waive_fees=True)
    else:
        cancel_booking_with_refund(uow, booking_id=booking.id, reason=REASON, waive_fee=True)


def _take_back(uow: UnitOfWork, it: Followed, wanted: Wanted) -> None:
    """Confirm an ended booking again, as it is there now.

    It holds nothing, so it first takes what is wanted without moving anything. Then it is
    reinstated like any other.
    """
    booking = it.booking
    nights = _nights_to_return(it, wanted, uow.hotel.business_date)
    uow.bookings.put_nights([night for night in nights if night not in it.nights])
    told = _as_told(booking, wanted)
    told = attrs.evolve(told, stay=wanted.stay, room_type_id=wanted.room_type_id)
    if told != booking:
        note_update(uow, booking, uow.bookings.update(told))
    reinstate_booking(uow, booking_id=booking.id, force_reason=REASON)


def _nights_to_return(it: Followed, wanted: Wanted, today: date) -> list[BookingNight]:
    """Return the nights to come of the stay there, released, at the prices fixed on them if any."""
    retyped = it.booking.room_type_id != wanted.room_type_id
    known = {} if retyped else {night.night: night.price for night in it.nights}
    return [
        BookingNight(
            booking_id=it.booking.id,
            night=night,
            room_type_id=wanted.room_type_id,
            price=known.get(night, price),
            released=True,
        )
        for night, price in wanted.prices.items()
        if night >= today
    ]


def _follow_stayer(uow: UnitOfWork, it: Followed, wanted: Wanted) -> Hindrance | None:
    """Follow the departure of a guest in house, and who the guests are, or were."""
    booking = it.booking
    if wanted.stay != booking.stay:
        try:
            with uow.savepoint():
                booking = _with_stay(uow, booking, it.nights, wanted)
        except RoomTaken:
            return Hindrance.ROOM_TAKEN
    _update(uow, booking, _as_told(booking, wanted))
    return None


def _follow_expected(uow: UnitOfWork, it: Followed, wanted: Wanted) -> None:
    """Follow all there is of a booking whose guest has not arrived."""
    booking, nights = it.booking, it.nights
    told = _as_told(booking, wanted)
    if booking.status is BookingStatus.TENTATIVE:
        commit_nights(uow, nights)
        told = attrs.evolve(told, status=BookingStatus.CONFIRMED, hold_until=None)
    if booking.room_type_id != wanted.room_type_id:
        type_id, prices = wanted.room_type_id, wanted.prices
        fits = it.room is not None and it.room.room_type_id == type_id
        told, nights = change_type(uow, told, nights, type_id, prices=prices, keeps_room=fits)
    booking = _update(uow, booking, told)
    if wanted.stay != booking.stay:
        _change_expected_stay(uow, booking, nights, wanted)


def _change_expected_stay(
    uow: UnitOfWork, booking: Booking, nights: tuple[BookingNight, ...], wanted: Wanted
) -> None:
    """Give it the stay there, and take its room back if another has that on a new night."""
    if booking.room_id is None or not set(wanted.stay).difference(booking.stay):
        _with_stay(uow, booking, nights, wanted)
        return
    try:
        with uow.savepoint():
            _with_stay(uow, booking, nights, wanted)
    except RoomTaken:
        type_id = booking.room_type_id
        roomless, nights = change_type(uow, booking, nights, type_id, prices={}, keeps_room=False)
        _with_stay(uow, _update(uow, booking, roomless), nights, wanted)


def _with_stay(
    uow: UnitOfWork, booking: Booking, nights: tuple[BookingNight, ...], wanted: Wanted
) -> Booking:
    new = [price for night, price in wanted.prices.items() if night not in booking.stay]
    return change_stay(uow, booking, wanted.stay, prices=new, nights=nights, force=True)


def _as_told(booking: Booking, wanted: Wanted) -> Booking:
    return attrs.evolve(
        booking,
        guest_id=wanted.guest.id,
        adults=wanted.adults,
        children=wanted.children,
        channel=wanted.channel,
    )


def _update(uow: UnitOfWork, before: Booking, told: Booking) -> Booking:
    """Store and report what differs, if anything does, and return the booking as it is then."""
    if told == before:
        return before
    after = uow.bookings.update(told)
    note_update(uow, before, after)
    return after
