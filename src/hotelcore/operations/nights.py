"""A booking's nights: sold, given a room, exchanged and put back on sale, always in one order.

The order is that of the locks: the hotel, the booking, the counters by type and night, the room
nights, the rooms, the folios. Callers have read ``uow.hotel`` and locked the booking before. Who
ends a stay locks the rooms and folios before it frees the room nights: to free them waits for
nobody, and others wait for the end of whoever does it.

A night before the business date is consumed: it is never released or given another room, and sold
only as a part of a stay that began before, with a reason.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date

import attrs
from attrs import frozen

from hotelcore.domain.bookings import (
    Action,
    Booking,
    BookingNight,
    BookingStatus,
    Reason,
    RoomKey,
)
from hotelcore.domain.folios import Folio
from hotelcore.domain.money import Money, sum_money
from hotelcore.domain.rooms import Room, RoomType
from hotelcore.domain.stays import Stay, check_stay
from hotelcore.errors import ActionRefused, InvalidInput, RoomTaken
from hotelcore.events.catalogue import BookingNoShow, BookingRoomAssigned, BookingUpdated
from hotelcore.ids import BookingId, RoomId, RoomTypeId
from hotelcore.operations.counters import (
    commit_nights,
    counters_ahead,
    given_back,
    lock_counters,
    move_counters,
    taken,
)
from hotelcore.operations.judging import free_rooms, is_blocked, judge
from hotelcore.operations.keys import reissue_keys, valid_keys
from hotelcore.operations.posting import charge_booking
from hotelcore.unit_of_work import UnitOfWork

__all__ = [
    "NO_SHOW_FEE",
    "change_stay",
    "change_type",
    "claim_room",
    "give_room",
    "give_up_no_shows",
    "lock_to_end",
    "moving_nights",
    "nights_to_come",
    "nights_to_sell_again",
    "note_room",
    "note_update",
    "prices_of",
    "refuse_unless_empty",
    "release_nights",
    "release_nights_of_each",
    "room_ahead",
    "sell_again",
    "total_of",
    "type_in_use",
]


NO_SHOW_FEE = "no_show_fee"
"""The code of the charge that a no-show's policy asks for."""


# -- reading nights ---------------------------------------------------------------------------


def nights_to_come(nights: Iterable[BookingNight], business_date: date) -> tuple[BookingNight, ...]:
    """Return those of a booking's nights that it still has from ``business_date`` on, in order."""
    return tuple(n for n in nights if n.night >= business_date and not n.released)


def total_of(nights: Iterable[BookingNight], currency: str) -> Money:
    """Return the sum of the prices of the nights that are not released."""
    return sum_money((night.price for night in nights if not night.released), currency)


def prices_of(
    room_type: RoomType, stay: Stay, prices: Sequence[Money] | None, currency: str
) -> tuple[Money, ...]:
    """Return a price for each night: ``prices`` if they fit, else the type's base rate."""
    given = [room_type.base_rate] * len(stay) if prices is None else prices
    return checked_prices(given, len(stay), currency)


def checked_prices(prices: Sequence[Money], number: int, currency: str) -> tuple[Money, ...]:
    """Return ``prices`` if there are ``number`` of them, all money in the hotel's currency."""
    if len(prices) != number:
        raise InvalidInput("nightly_prices", f"must be one price a new night: {number}")
    for price in prices:
        if not isinstance(price, Money):
            raise InvalidInput("nightly_prices", "must be Money")
        if price.currency != currency:
            raise InvalidInput("nightly_prices", f"must be in the hotel's currency, {currency}")
    return tuple(prices)


def _restated(
    night: BookingNight,
    room_type_id: RoomTypeId,
    *,
    released: bool,
    price: Money | None = None,
) -> BookingNight:
    """Return a night as it is in another type, given up or not, at another price if that is told.

    It says nothing of the night's room, which stands elsewhere.
    """
    return BookingNight(
        booking_id=night.booking_id,
        night=night.night,
        room_type_id=room_type_id,
        price=night.price if price is None else price,
        released=released,
        posted=night.posted,
    )


# -- selling and releasing --------------------------------------------------------------------


def nights_to_sell_again(
    booking: Booking, nights: Iterable[BookingNight], business_date: date
) -> list[BookingNight]:
    """Return the released nights to come as they are when the booking has them again."""
    stay = booking.stay.from_day(business_date)
    return [
        _restated(night, booking.room_type_id, released=False)
        for night in nights
        if night.released and night.night in stay
    ]


def sell_again(
    uow: UnitOfWork, booking: Booking, nights: Iterable[BookingNight], *, force: bool = False
) -> tuple[BookingNight, ...]:
    """Sell the released nights to come of a booking that holds again; return all its nights.

    ``booking`` is as it will be: its status says how the nights count. They are sold in the booked
    type, at the prices fixed on them, and without a room. Raises `SoldOut` as a sale does, unless
    ``force``.
    """
    again = nights_to_sell_again(booking, nights, uow.hotel.business_date)
    move_counters(uow, taken(booking, again), force=force)
    uow.bookings.put_nights(again)
    sold = {night.night: night for night in again}
    return tuple(sold.get(night.night, night) for night in nights)


def lock_to_end(
    uow: UnitOfWork,
    bookings: Sequence[tuple[Booking, Sequence[BookingNight]]],
    *,
    from_night: date,
    folios_of: Collection[BookingId],
) -> Mapping[BookingId, tuple[Folio, ...]]:
    """Lock what changes when bookings end: counters of their nights, and then the folios of some.

    Returns the folios by booking. Who also changes a room locks it in between.
    """
    moving = [night for each in bookings for night in moving_nights(*each, from_night)]
    counters_ahead(uow, moving)
    uow.ahead(uow.folios.of_bookings, folios_of)
    lock_counters(uow, moving)
    return uow.folios.of_bookings(folios_of)


def moving_nights(
    booking: Booking, nights: Iterable[BookingNight], from_night: date
) -> tuple[BookingNight, ...]:
    """Return the nights whose counters move when a booking ends; see `release_nights`."""
    first = date.min if booking.status is BookingStatus.TENTATIVE else from_night
    return nights_to_come(nights, first)


def release_nights(
    uow: UnitOfWork, booking: Booking, nights: Sequence[BookingNight], *, from_night: date
) -> int:
    """Put the nights from ``from_night`` on back on sale, free their room, and return how many.

    ``nights`` are all of the booking's, ``booking`` is as it was while it held them. Its earlier
    nights stay as they are; those of a tentative booking count as committed from here on, because
    it is about to leave the one state whose nights count as held. The counters are locked.
    """
    [number] = release_nights_of_each(uow, [(booking, nights)], from_night=from_night)
    return number


def release_nights_of_each(
    uow: UnitOfWork,
    bookings: Sequence[tuple[Booking, Sequence[BookingNight]]],
    *,
    from_night: date,
) -> list[int]:
    """Do for several bookings, each with its nights, what `release_nights` does for one."""
    moving = [night for each in bookings for night in moving_nights(*each, from_night)]
    commit_nights(uow, (night for night in moving if night.night < from_night))
    released = [(each, nights_to_come(nights, from_night)) for each, nights in bookings]
    moves = (move for each in released for move in given_back(*each))
    move_counters(uow, moves, are_locked=True)
    uow.bookings.put_nights(
        [_restated(n, n.room_type_id, released=True) for _, nights in released for n in nights]
    )
    for booking, nights in released:
        if any(night.room_id for night in nights):
            uow.room_nights.release(booking.id, from_night=from_night)
    return [len(nights) for _, nights in released]


# -- rooms ------------------------------------------------------------------------------------


def give_room(
    uow: UnitOfWork,
    booking: Booking,
    nights: Iterable[BookingNight],
    room: Room,
    *,
    force: bool = False,
    at_once: bool = False,
) -> None:
    """Give the booking ``room`` for all its nights to come, and free the room it had for them.

    ``nights`` are all of the booking's. Where the room is of another type, the counters of the
    nights move to that type; the prices stay. The caller stores the booking's ``room_id``. Raises
    `RoomTaken` with the nights on which the room is not free, and `SoldOut` where the other type
    has no unit left, unless ``force``. Without nights to come (a day use, or a guest who leaves
    today) the room must be empty and not off sale on the business date or the later arrival.
    ``at_once`` is that of `hotelcore.repositories.RoomNights.hold`.
    """
    coming = nights_to_come(nights, uow.hotel.business_date)
    if not coming:
        refuse_unless_empty(uow, booking, room)
    elif any(night.room_id != room.id for night in coming):
        changing = [n for n in coming if n.room_type_id != room.room_type_id]
        changed = [_restated(n, room.room_type_id, released=False) for n in changing]
        moves = given_back(booking, changing) + taken(booking, changed)
        has_room = any(night.room_id for night in coming)
        if has_room:
            # Two who want each other's room would each wait for what the other is letting go. The
            # counters come before room nights, so here one of them waits, and lets go of nothing.
            lock_counters(uow, [*coming, *changed])
        move_counters(uow, moves, force=force)
        uow.bookings.put_nights(changed)
        if has_room:
            uow.room_nights.release(booking.id, from_night=coming[0].night)
        wanted = [night.night for night in coming]
        uow.room_nights.hold(room.id, booking.id, wanted, at_once=at_once)


def room_ahead(uow: UnitOfWork, room_id: RoomId) -> None:
    """Have a room, and whether somebody is in it, asked for with the next question."""
    uow.ahead(uow.rooms.get, room_id)
    uow.ahead(uow.rooms.is_occupied, room_id)


def claim_room(
    uow: UnitOfWork,
    action: Action,
    booking: Booking,
    nights: Sequence[BookingNight],
    room_id: RoomId | None,
    *,
    force: bool = False,
) -> Room:
    """Judge an action that is about a room, see that the booking has that room, and return it.

    It is the room named by ``room_id``, else the one that the booking has, else the first free
    one. Raises `ActionRefused` by the table, and whatever `give_room` raises for a named room.
    """
    known = booking.room_id if room_id is None else room_id
    if known is None:
        return _give_first_free_room(uow, action, booking, nights)
    room = uow.rooms.get(known)
    judge(uow, action, booking, room)
    if room_id is not None:
        give_room(uow, booking, nights, room, force=force)
    return room


def _give_first_free_room(
    uow: UnitOfWork, action: Action, booking: Booking, nights: Sequence[BookingNight]
) -> Room:
    fit, others = free_rooms(uow, booking)
    # Nobody is checked in to a room that is not fit, and to ask of each why would take long.
    for room in fit if action is Action.CHECK_IN else (*fit, *others):
        # Somebody may be quicker, and then the next room may still be free and empty.
        try:
            judge(uow, action, booking, room)
            give_room(uow, booking, nights, room, at_once=True)
        except RoomTaken:
            # Some nights may have been held before one was found taken.
            uow.room_nights.release(booking.id, from_night=uow.hotel.business_date)
        except ActionRefused as refused:
            if Reason.ROOM_OCCUPIED not in refused.reasons:
                break
        else:
            return room
    judge(uow, action, booking)
    raise ActionRefused(action, (Reason.NO_ROOM,), booking.status)


def refuse_unless_empty(uow: UnitOfWork, booking: Booking, room: Room) -> None:
    """Raise `RoomTaken` if somebody is in the room, or it is off sale on the day it is for.

    The answer holds to the end of the transaction only if the room is locked.
    """
    day = max(booking.stay.arrival, uow.hotel.business_date)
    if uow.rooms.is_occupied(room.id) or is_blocked(uow, room.id, day):
        raise RoomTaken(room.id, (day,))


# -- another stay -----------------------------------------------------------------------------


@frozen
class _Exchange:
    """The nights that a new stay drops, keeps and adds, each in order."""

    dropped: list[BookingNight]
    kept: list[BookingNight]
    added: list[BookingNight]


def change_stay(
    uow: UnitOfWork,
    booking: Booking,
    stay: Stay,
    *,
    prices: Sequence[Money] | None = None,
    nights: Sequence[BookingNight] | None = None,
    force: bool = False,
) -> Booking:
    """Give a booking that holds nights another stay, and return it as stored.

    Only the difference moves: nights in both stays keep their unit, price and room. ``prices`` are
    those of the new nights in order; without them each costs what the nearest night of the booking
    costs, or the type's base rate where it has none. A booking with a room gets the new nights in
    that room. Keys of a guest in house are replaced when the departure changes. ``nights`` are all
    of the booking's, for whoever has read them.

    Raises `InvalidInput` for prices that do not fit and for a stay that would change the past,
    `SoldOut` with the full nights unless ``force``, `RoomTaken` with the nights on which the
    booking's room is not free. Notes the change and reports `BookingUpdated`.
    """
    _refuse_impossible_stay(booking, check_stay("stay", stay), uow.hotel.business_date)
    had = uow.bookings.nights(booking.id) if nights is None else nights
    exchange = _exchange(uow, booking, had, stay, prices)
    keys = _keys_to_replace(uow, booking, stay)
    moves = given_back(booking, exchange.dropped) + taken(booking, exchange.added)
    move_counters(uow, moves, force=force)
    dropped = [_restated(n, n.room_type_id, released=True) for n in exchange.dropped]
    uow.bookings.put_nights([*dropped, *exchange.added])
    _keep_room(uow, booking, exchange)
    total = total_of([*exchange.kept, *exchange.added], booking.total.currency)
    after = uow.bookings.update(attrs.evolve(booking, stay=stay, total=total))
    note_update(uow, booking, after)
    if keys:
        reissue_keys(uow, after, keys)
    return after


def _keys_to_replace(uow: UnitOfWork, booking: Booking, stay: Stay) -> tuple[RoomKey, ...]:
    """Return the valid keys of a guest in house, if they are to open the door to another day."""
    if booking.status is not BookingStatus.IN_HOUSE or stay.departure == booking.stay.departure:
        return ()
    return valid_keys(uow, booking.id)


def _refuse_impossible_stay(booking: Booking, stay: Stay, business_date: date) -> None:
    old = booking.stay
    if booking.status is BookingStatus.IN_HOUSE:
        if stay.arrival != old.arrival:
            raise InvalidInput("stay", "must keep the arrival of a guest in house")
        if stay.departure < business_date:
            raise InvalidInput("stay", f"must not end before the business date, {business_date}")
    elif stay.is_over(business_date):
        raise InvalidInput("stay", f"must not be over on the business date, {business_date}")
    elif stay.until_day(business_date).nights != old.until_day(business_date).nights:
        past = f"must not add or drop nights before the business date, {business_date}"
        raise InvalidInput("stay", past)


def _exchange(
    uow: UnitOfWork,
    booking: Booking,
    had: Sequence[BookingNight],
    stay: Stay,
    prices: Sequence[Money] | None,
) -> _Exchange:
    nights = [night for night in had if not night.released]
    new = [night for night in stay if night not in booking.stay]
    if prices is None:
        prices = _prices_beside(uow, booking, nights, new)
    prices = checked_prices(prices, len(new), booking.total.currency)
    room_type_id = type_in_use(uow, booking) if new else booking.room_type_id
    return _Exchange(
        dropped=[night for night in nights if night.night not in stay],
        kept=[night for night in nights if night.night in stay],
        added=[
            BookingNight(booking_id=booking.id, night=night, room_type_id=room_type_id, price=price)
            for night, price in zip(new, prices, strict=True)
        ],
    )


def _prices_beside(
    uow: UnitOfWork, booking: Booking, nights: Sequence[BookingNight], new: Sequence[date]
) -> list[Money]:
    """Price each new night, which lies outside the old stay, like the nearest night of that."""
    if not new:
        return []
    if not nights:
        return [uow.room_types.get(booking.room_type_id).base_rate] * len(new)
    first, last = nights[0], nights[-1]
    return [first.price if night < first.night else last.price for night in new]


def type_in_use(uow: UnitOfWork, booking: Booking) -> RoomTypeId:
    """Return the type of the booking's room, or the booked one while it has none."""
    if booking.room_id is None:
        return booking.room_type_id
    return uow.rooms.get(booking.room_id).room_type_id


def _keep_room(uow: UnitOfWork, booking: Booking, exchange: _Exchange) -> None:
    """Free the booking's room on the dropped nights and hold it on the added ones."""
    if booking.room_id is None:
        return
    holding = [night.night for night in exchange.added]
    if exchange.dropped:
        # Only all nights from one on can be freed, so the kept ones behind it are held again.
        first = exchange.dropped[0].night
        uow.room_nights.release(booking.id, from_night=first)
        holding += [night.night for night in exchange.kept if night.night > first]
    if holding:
        uow.room_nights.hold(booking.room_id, booking.id, holding)


# -- another type ------------------------------------------------------------------------------


def change_type(
    uow: UnitOfWork,
    booking: Booking,
    nights: Sequence[BookingNight],
    room_type_id: RoomTypeId,
    *,
    prices: Mapping[date, Money],
    keeps_room: bool,
) -> tuple[Booking, tuple[BookingNight, ...]]:
    """Have a booking that has not arrived use another type, whatever its limit.

    The nights to come move to that type, at ``prices`` where these name the night. ``nights`` are
    all of the booking's. The room that it has is taken back, unless it ``keeps_room``, which then
    is of that type. Returns the booking, which the caller stores and notes, and all its nights.
    """
    coming = nights_to_come(nights, uow.hotel.business_date)
    moving = [night for night in coming if night.room_type_id != room_type_id]
    changed = {
        n.night: _restated(n, room_type_id, released=False, price=prices.get(n.night))
        for n in coming
    }
    moves = given_back(booking, moving) + taken(booking, (changed[n.night] for n in moving))
    move_counters(uow, moves, force=True)
    uow.bookings.put_nights(tuple(changed.values()))
    room_id = booking.room_id if keeps_room else None
    if room_id != booking.room_id:
        uow.room_nights.release(booking.id, from_night=uow.hotel.business_date)
    all_nights = tuple(changed.get(night.night, night) for night in nights)
    total = total_of(all_nights, booking.total.currency)
    after = attrs.evolve(booking, room_type_id=room_type_id, room_id=room_id, total=total)
    return after, all_nights


# -- nobody came ------------------------------------------------------------------------------


def give_up_no_shows(
    uow: UnitOfWork,
    bookings: Sequence[tuple[Booking, Sequence[BookingNight]]],
    *,
    business_date: date,
    from_night: date,
    waive_fees: bool = False,
) -> list[Booking]:
    """Give up confirmed bookings whose guests never came, and return them as stored.

    Each comes with all its nights. ``business_date`` is the day that the no-show counts for. The
    nights from ``from_night`` on go back on sale; the night audit, which resolves a day after its
    night is over, gives the next day. The booking's own policy says the fee, reckoned from all
    nights that the booking had; it is charged as ``no_show_fee`` when it is above zero, unless
    ``waive_fees``. Notes each change and reports `BookingNoShow`.
    """
    fees = {booking.id: _no_show_fee(booking, nights) for booking, nights in bookings}
    if waive_fees:
        fees = {key: Money.zero(fee.currency) for key, fee in fees.items()}
    charged = [booking_id for booking_id, fee in fees.items() if fee]
    folios = lock_to_end(uow, bookings, from_night=from_night, folios_of=charged)
    released = release_nights_of_each(uow, bookings, from_night=from_night)
    return [
        _given_up(uow, booking, folios.get(booking.id, ()), fees[booking.id], number, business_date)
        for (booking, _), number in zip(bookings, released, strict=True)
    ]


def _no_show_fee(booking: Booking, nights: Iterable[BookingNight]) -> Money:
    prices = tuple(night.price for night in nights if not night.released)
    return booking.cancellation.fee_for_no_show(prices) or Money.zero(booking.total.currency)


def _given_up(
    uow: UnitOfWork,
    booking: Booking,
    folios: Sequence[Folio],
    fee: Money,
    nights_released: int,
    business_date: date,
) -> Booking:
    missed = attrs.evolve(
        booking, status=BookingStatus.NO_SHOW, room_id=None, no_show_on=business_date
    )
    after = uow.bookings.update(missed)
    uow.changed("booking", booking.id, booking, after)
    uow.emit(
        BookingNoShow(
            hotel_id=uow.hotel_id,
            booking_id=booking.id,
            confirmation_number=booking.confirmation_number,
            fee=fee,
            nights_released=nights_released,
        )
    )
    if fee:
        charge_booking(uow, after, folios, NO_SHOW_FEE, fee)
    return after


# -- noting and reporting ---------------------------------------------------------------------


def note_update(uow: UnitOfWork, before: Booking, after: Booking) -> None:
    """Note what changed in a booking, and report `BookingUpdated` with what now holds."""
    uow.changed("booking", before.id, before, after)
    uow.emit(
        BookingUpdated(
            hotel_id=uow.hotel_id,
            booking_id=after.id,
            confirmation_number=after.confirmation_number,
            arrival=after.stay.arrival,
            departure=after.stay.departure,
            total=after.total,
            status=after.status,
        )
    )


def note_room(uow: UnitOfWork, before: Booking, after: Booking) -> None:
    """Note what changed in a booking, and report `BookingRoomAssigned` if it got another room."""
    uow.changed("booking", before.id, before, after)
    if after.room_id is not None and after.room_id != before.room_id:
        uow.emit(
            BookingRoomAssigned(
                hotel_id=uow.hotel_id,
                booking_id=after.id,
                room_id=after.room_id,
                previous_room_id=before.room_id,
            )
        )
