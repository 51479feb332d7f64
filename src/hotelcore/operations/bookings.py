"""Bookings: made, confirmed, changed, given rooms, cancelled, given up and taken back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from types import MappingProxyType

import attrs

from hotelcore.access import Permission
from hotelcore.domain.availability import plan_rooms
from hotelcore.domain.bookings import (
    Action,
    Booking,
    BookingNight,
    BookingStatus,
    CancellationOutcome,
    Reason,
    allowed_actions,
    refuse_unless_allowed,
)
from hotelcore.domain.cancellation import CancellationCause, CancellationPolicy
from hotelcore.domain.fields import JsonValue, check_day
from hotelcore.domain.folios import Folio, FolioStatus
from hotelcore.domain.guests import Guest
from hotelcore.domain.money import Money
from hotelcore.domain.stays import MOST_NIGHTS, Stay
from hotelcore.errors import InvalidInput, StaleVersion
from hotelcore.events.catalogue import BookingCancelled, BookingReinstated
from hotelcore.ids import BookingId, GuestId, RoomId, RoomTypeId
from hotelcore.lists import RoomFilter, every
from hotelcore.operations.arguments import checked
from hotelcore.operations.counters import commit_nights, counters_ahead
from hotelcore.operations.declaring import check_unit, operation, permission_of
from hotelcore.operations.front_desk import check_in_guest, check_out_guest, move_room
from hotelcore.operations.judging import (
    booking_ahead,
    judge,
    lock_booking,
    overrides,
    surroundings,
)
from hotelcore.operations.nights import (
    change_stay,
    claim_room,
    give_room,
    give_up_no_shows,
    lock_to_end,
    nights_to_sell_again,
    note_room,
    note_update,
    release_nights,
    release_nights_of_each,
    room_ahead,
    sell_again,
    total_of,
)
from hotelcore.operations.posting import charge_booking, close_settled_folios, refund_credit
from hotelcore.operations.selling import new_booking, sell_bookings
from hotelcore.text import clean_text
from hotelcore.unit_of_work import UnitOfWork

__all__ = [
    "CANCELLATION_FEE",
    "amend_stay",
    "assign_room",
    "assign_rooms",
    "cancel_booking_with_refund",
    "confirm_booking",
    "create_booking_with_folio",
    "expire_holds",
    "mark_no_show",
    "possible_actions",
    "reinstate_booking",
]

CANCELLATION_FEE = "cancellation_fee"
"""The code of the charge that a booking's policy asks for when it is cancelled late."""

_EXPIRED = "the hold expired"
_MOST_HOLDS = 1_000


# -- making and confirming --------------------------------------------------------------------


@operation(Permission.BOOKINGS_CREATE)
def create_booking_with_folio(
    uow: UnitOfWork,
    *,
    guest_id: GuestId,
    room_type_id: RoomTypeId,
    stay: Stay,
    nightly_prices: Sequence[Money] | None = None,
    adults: int = 1,
    children: int = 0,
    infants: int = 0,
    channel: str = "direct",
    hold_until: datetime | None = None,
    cancellation: CancellationPolicy | None = None,
    confirmation_number: str | None = None,
    attributes: Mapping[str, JsonValue] | None = None,
    force_reason: str | None = None,
) -> tuple[Booking, Folio]:
    """Sell one unit of a room type on every night of ``stay``; return the booking and its folio.

    ``nightly_prices`` are one price a night in order, in the hotel's currency; without them each
    night costs the type's base rate. A day use (no night) takes no unit and has no price. With
    ``hold_until``, a later instant than now, the booking is tentative until then; without it, it
    is confirmed. ``cancellation`` are its terms, kept for good; the house's own by default.
    ``confirmation_number`` (1 to 40 characters, unique in the hotel) is made where none is given.
    ``force_reason`` (1 to 500 characters, needs `Permission.RULES_OVERRIDE`) says why to sell
    beyond the limit, or a stay that began before the business date.

    Raises `SoldOut` with the full nights, `NotFound` for the guest or the type, `ActionRefused` for
    a guest who was anonymised (``anonymised``), `AlreadyExists` for a taken confirmation number,
    `InvalidInput` for whatever is out of its range.
    """
    uow.ahead(uow.hotels.current)
    uow.ahead(uow.room_types.get, room_type_id)
    uow.ahead(uow.guests.share, guest_id)
    uow.ahead(uow.inventory.lock, room_type_id, stay.nights)
    _ = uow.hotel  # Read before the guest is shared: the order of locks.
    force = overrides(uow, force_reason, "create_booking_with_folio with force_reason")
    new = new_booking(
        uow,
        room_type=uow.room_types.get(room_type_id),
        guest=uow.guests.share(guest_id),
        stay=stay,
        nightly_prices=nightly_prices,
        adults=adults,
        children=children,
        infants=infants,
        channel=channel,
        hold_until=hold_until,
        cancellation=cancellation,
        confirmation_number=confirmation_number,
        attributes=attributes,
        force=force,
    )
    with uow.together(later=True):
        [sold] = sell_bookings(uow, [new], force=force)
    return sold


@operation(Permission.BOOKINGS_CREATE)
def confirm_booking(uow: UnitOfWork, *, booking_id: BookingId) -> Booking:
    """Confirm a tentative booking before its hold expires: its nights are committed for good.

    Raises `ActionRefused` when it is not tentative, its hold expired or its stay is over, and
    `NotFound`.
    """
    before, _ = lock_booking(uow, booking_id)
    judge(uow, Action.CONFIRM, before)
    commit_nights(uow, uow.bookings.nights(before.id))
    confirmed = attrs.evolve(before, status=BookingStatus.CONFIRMED, hold_until=None)
    with uow.together(later=True):
        after = uow.bookings.update(confirmed)
        note_update(uow, before, after)
    return after


@operation(Permission.BOOKINGS_AMEND)
def amend_stay(
    uow: UnitOfWork,
    *,
    booking_id: BookingId,
    stay: Stay,
    nightly_prices: Sequence[Money] | None = None,
    force_reason: str | None = None,
) -> Booking:
    """Give a booking other dates; only the difference between the stays is sold and released.

    ``nightly_prices`` are those of the new nights in order, in the hotel's currency; without them
    a new night costs what the nearest night of the booking costs, or the type's base rate where
    it has none. The total is the sum of what the booking then has. Nights before the business date
    stay as they are. A guest in house keeps the arrival and may leave on the business date or
    later; the keys are replaced when the departure changes. ``force_reason`` (1 to 500 characters,
    needs `Permission.RULES_OVERRIDE`) says why to sell beyond the limit.

    Raises `ActionRefused` in a state that holds no nights, after the end of a hold, and for a stay
    that went by without the guest, `SoldOut` with the full nights, `RoomTaken` with the nights on
    which the booking's room is not free (nothing overrides that: assign or move to another room),
    `InvalidInput` for dates or prices that do not fit, `NotFound`.
    """
    force = overrides(uow, force_reason, "amend_stay with force_reason")
    before, _ = lock_booking(uow, booking_id)
    judge(uow, Action.AMEND, before)
    with uow.together(later=True):
        return change_stay(uow, before, stay, prices=nightly_prices, force=force)


# -- rooms ------------------------------------------------------------------------------------


@operation(Permission.FRONT_DESK)
def assign_room(
    uow: UnitOfWork,
    *,
    booking_id: BookingId,
    room_id: RoomId | None = None,
    force_reason: str | None = None,
) -> Booking:
    """Give a booking that has not arrived one room for all its nights to come.

    Without ``room_id`` the booking keeps the room it has, or gets the first room of its type, by
    number, that is free on all of them. A room of another type takes the units of that type, at
    the booking's own prices; ``force_reason`` (1 to 500 characters, needs
    `Permission.RULES_OVERRIDE`) says why to do so beyond that type's limit. Condition does not
    matter before the check-in.

    Raises `ActionRefused` when the booking is in house or ended, its hold or its stay is over, or
    no single room is free for it (``no_room``); `RoomTaken` with the nights on which the named room
    is not free, `SoldOut` with the nights on which the other type is full, `NotFound`.
    """
    force = overrides(uow, force_reason, "assign_room with force_reason")
    booking_ahead(uow, booking_id)
    if room_id is not None:
        room_ahead(uow, room_id)
    before, _ = lock_booking(uow, booking_id)
    nights = uow.bookings.nights(before.id)
    with uow.together(later=True):
        room = claim_room(uow, Action.ASSIGN_ROOM, before, nights, room_id, force=force)
        return _assigned(uow, before, room.id)


def _assigned(uow: UnitOfWork, before: Booking, room_id: RoomId) -> Booking:
    after = uow.bookings.update(attrs.evolve(before, room_id=room_id))
    note_room(uow, before, after)
    return after


@operation(Permission.FRONT_DESK)
def assign_rooms(
    uow: UnitOfWork, *, room_type_id: RoomTypeId, arriving_until: date
) -> tuple[Booking, ...]:
    """Give rooms of one type to its confirmed bookings that arrive by ``arriving_until``.

    The plan gives each booking one room for all its nights to come, in the order of arrival, and
    leaves alone who has a room already. Bookings for which it finds no room, day uses and stays
    that are over stay without one. Returns the bookings that got a room, in the order of arrival.

    Raises `InvalidInput` for a date that is none, `NotFound` for the type, and `RoomTaken` if
    somebody else takes a planned room meanwhile; then run it again.
    """
    uow.ahead(uow.hotels.current)
    uow.ahead(uow.room_types.get, room_type_id)
    business_date = uow.hotel.business_date
    room_type = uow.room_types.get(room_type_id)
    until = check_day("arriving_until", arriving_until)
    waiting = {
        booking.id: booking
        for booking in uow.bookings.unassigned(room_type.id, until)
        if booking.stay.departure > business_date and not booking.stay.is_day_use
    }
    stays = {key: booking.stay.from_day(business_date) for key, booking in waiting.items()}
    which = RoomFilter(room_type_id=room_type.id)
    listed = every(lambda after: uow.rooms.page(which, after=after, limit=1_000))
    rooms = {room.id: room for room in listed}
    plan = plan_rooms(stays.items(), list(rooms), _nights_taken(uow, stays.values(), rooms))
    nights = uow.bookings.nights_of_each(plan)
    with uow.together(later=True):
        for key, room_id in plan.items():
            give_room(uow, waiting[key], nights[key], rooms[room_id])
        return tuple(_assigned(uow, waiting[key], room_id) for key, room_id in plan.items())


def _nights_taken(
    uow: UnitOfWork, stays: Collection[Stay], rooms: Container[RoomId]
) -> dict[RoomId, list[Stay]]:
    """Return the nights of those stays on which some of the rooms are taken, each as a stay."""
    taken = defaultdict[RoomId, list[Stay]](list)
    first = min((stay.arrival for stay in stays), default=date.max)
    last = max((stay.departure for stay in stays), default=date.min)
    while first < last:
        # A period has a longest length, and arrivals may lie years apart.
        until = min(last, first + timedelta(days=MOST_NIGHTS))
        for row in uow.room_nights.chart(Stay(first, until)):
            if row.room_id in rooms:
                taken[row.room_id].append(Stay(row.night, row.night + timedelta(days=1)))
        first = until
    return taken


# -- ending and taking back -------------------------------------------------------------------


@operation(Permission.BOOKINGS_CANCEL)
def cancel_booking_with_refund(
    uow: UnitOfWork, *, booking_id: BookingId, reason: str, waive_fee: bool = False
) -> CancellationOutcome:
    """Cancel a booking that has not arrived, charge the fee of its own policy, refund the rest.

    The nights from the business date on go back on sale. The fee is reckoned on the business date
    from all nights that the booking has; above zero it is charged as ``cancellation_fee``. A
    tentative booking has none, as nothing was promised yet. Then what the folios together are in
    credit is paid back, payment by payment: what was paid less the fee and other charges. Settled
    folios close. ``reason`` (1 to 500 characters) goes to the audit and the refunds, so it should
    name nobody. ``waive_fee`` charges nothing and needs `Permission.RULES_OVERRIDE`.

    Raises `ActionRefused` when the booking is in house or ended, `InvalidInput`, `NotFound`.
    """
    reason = clean_text("reason", reason, most=500)
    if waive_fee:
        uow.require(Permission.RULES_OVERRIDE, "cancel_booking_with_refund with waive_fee")
    uow.reason(reason)
    before, business_date = lock_booking(uow, booking_id)
    judge(uow, Action.CANCEL, before)
    nights = uow.bookings.nights(before.id)
    ending = [(before, nights)]
    folios = lock_to_end(uow, ending, from_night=business_date, folios_of=[before.id])
    nothing = Money.zero(before.total.currency)
    fee = nothing if waive_fee else _fee_for_cancelling(before, nights, business_date)
    with uow.together(later=True):
        released = release_nights(uow, before, nights, from_night=business_date)
        cause = CancellationCause.REQUESTED
        return _cancelled(uow, before, folios[before.id], fee, released, cause, reason)


def _fee_for_cancelling(
    booking: Booking, nights: Iterable[BookingNight], business_date: date
) -> Money:
    prices = tuple(night.price for night in nights if not night.released)
    nothing = Money.zero(booking.total.currency)
    if booking.status is BookingStatus.TENTATIVE:
        return nothing
    return booking.cancellation.cancellation_fee(booking.stay, prices, business_date) or nothing


def _cancelled(
    uow: UnitOfWork,
    before: Booking,
    folios: Sequence[Folio],
    fee: Money,
    nights_released: int,
    cause: CancellationCause,
    reason: str,
) -> CancellationOutcome:
    after = uow.bookings.update(
        attrs.evolve(before, status=BookingStatus.CANCELLED, room_id=None, cancelled_at=uow.now())
    )
    uow.changed("booking", before.id, before, after)
    if fee:
        folios = charge_booking(uow, after, folios, CANCELLATION_FEE, fee)
    refund, folios = refund_credit(uow, folios, reason)
    close_settled_folios(uow, folios)
    uow.emit(
        BookingCancelled(
            hotel_id=uow.hotel_id,
            booking_id=after.id,
            confirmation_number=after.confirmation_number,
            fee=fee,
            refund=refund,
            nights_released=nights_released,
            reason=cause,
        )
    )
    return CancellationOutcome(booking=after, fee=fee, refund=refund)


@operation(Permission.FRONT_DESK)
def expire_holds(uow: UnitOfWork, *, limit: int = 100) -> tuple[Booking, ...]:
    """Cancel tentative bookings whose ``hold_until`` has come, and return them by id.

    At most ``limit`` of them, 1 to 1,000, so that one transaction stays short: repeat it while it
    returns some. No fee is charged; what was paid is refunded. Nothing happens when there is
    none, so a host may run it as often as it likes. Raises `InvalidInput`.
    """
    if not 1 <= limit <= _MOST_HOLDS:
        raise InvalidInput("limit", f"must be from 1 to {_MOST_HOLDS:,}")
    business_date, nothing = uow.hotel.business_date, Money.zero(uow.hotel.currency)
    holds = uow.bookings.expired_holds(uow.now(), limit=limit)
    ids = [hold.id for hold in holds]
    nights = uow.bookings.nights_of_each(ids)
    ending = [(hold, nights[hold.id]) for hold in holds]
    folios = lock_to_end(uow, ending, from_night=business_date, folios_of=ids)
    cause = CancellationCause.HOLD_EXPIRED
    with uow.together(later=True):
        released = release_nights_of_each(uow, ending, from_night=business_date)
        return tuple(
            _cancelled(uow, hold, folios[hold.id], nothing, number, cause, _EXPIRED).booking
            for hold, number in zip(holds, released, strict=True)
        )


@operation(Permission.FRONT_DESK)
def mark_no_show(uow: UnitOfWork, *, booking_id: BookingId) -> Booking:
    """Give up a confirmed booking whose guest did not come by the end of the arrival day.

    The nights from the business date on go back on sale; the earlier ones stay sold. The booking's
    own policy says the fee, charged as ``no_show_fee`` when it is above zero. Nothing is refunded.

    Raises `ActionRefused` when the booking is not confirmed or its arrival is not past, and
    `NotFound`.
    """
    before, business_date = lock_booking(uow, booking_id)
    judge(uow, Action.MARK_NO_SHOW, before)
    nights = uow.bookings.nights(before.id)
    with uow.together(later=True):
        [after] = give_up_no_shows(
            uow, [(before, nights)], business_date=business_date, from_night=business_date
        )
    return after


@operation(Permission.BOOKINGS_AMEND)
def reinstate_booking(
    uow: UnitOfWork, *, booking_id: BookingId, force_reason: str | None = None
) -> Booking:
    """Confirm a cancelled or no-show booking again, if its nights to come can be sold again.

    They are sold in the booked type, at the prices fixed before, without a room; the total is that
    of the nights that the booking then has. A folio is open afterwards. What was charged or
    refunded stays so. ``force_reason`` (1 to 500 characters, needs `Permission.RULES_OVERRIDE`)
    says why to sell beyond the limit.

    Raises `ActionRefused` when the booking is in another state, its stay is over, its guest was
    anonymised, or a night is full (``sold_out``; `SoldOut` if it fills up meanwhile),
    `StaleVersion` when it gets another guest meanwhile, and `NotFound`.
    """
    force = overrides(uow, force_reason, "reinstate_booking with force_reason")
    guest = _share_guest(uow, booking_id)
    before, business_date = lock_booking(uow, booking_id)
    if before.guest_id != guest.id:
        raise StaleVersion("booking", booking_id)
    nights = uow.bookings.nights(before.id)
    uow.ahead(uow.guests.get, guest.id)
    counters_ahead(uow, nights_to_sell_again(before, nights, business_date))
    around = surroundings(uow, before, action=Action.REINSTATE)
    around = attrs.evolve(around, sellable=around.sellable or force)
    refuse_unless_allowed(Action.REINSTATE, before, business_date, around)
    again = attrs.evolve(
        before,
        status=BookingStatus.CONFIRMED,
        hold_until=None,
        cancelled_at=None,
        no_show_on=None,
    )
    with uow.together(later=True):
        nights = sell_again(uow, again, nights, force=force)
        total = total_of(nights, before.total.currency)
        after = uow.bookings.update(attrs.evolve(again, total=total))
        uow.changed("booking", before.id, before, after)
        uow.emit(
            BookingReinstated(
                hotel_id=uow.hotel_id,
                booking_id=after.id,
                confirmation_number=after.confirmation_number,
                arrival=after.stay.arrival,
                departure=after.stay.departure,
            )
        )
        _open_a_folio(uow, after)
    return after


def _share_guest(uow: UnitOfWork, booking_id: BookingId) -> Guest:
    """Keep the guest of a booking from being anonymised, before the booking itself is locked."""
    uow.ahead(uow.hotels.current)
    uow.ahead(uow.bookings.get, booking_id)
    _ = uow.hotel  # Read before the guest is shared: the order of locks.
    guest_id = uow.bookings.get(booking_id).guest_id
    uow.ahead(uow.guests.share, guest_id)
    booking_ahead(uow, booking_id)
    return uow.guests.share(guest_id)


def _open_a_folio(uow: UnitOfWork, booking: Booking) -> None:
    folios = uow.folios.of_booking(booking.id)
    if all(folio.status is FolioStatus.CLOSED for folio in folios):
        reopened = uow.folios.reopen(folios[0])
        uow.changed("folio", reopened.id, folios[0], reopened)


# -- asking -----------------------------------------------------------------------------------


@checked
def possible_actions(
    uow: UnitOfWork, *, booking_id: BookingId
) -> Mapping[Action, tuple[Reason, ...]]:
    """Tell what the actor can do with a booking now: each action with the reasons against it.

    An action without reasons succeeds if what it takes beside the booking is right: the new dates
    of an amendment, the other room of a move, the reason of a cancellation. The others need
    nothing more. Another room or a reason to override may change the answer. ``not_permitted``
    says that the actor's role may not do it. Reads only. Raises `NotFound`.
    """
    check_unit(uow)
    booking = uow.bookings.get(booking_id)
    found = allowed_actions(booking, uow.hotel.business_date, surroundings(uow, booking))
    return MappingProxyType(
        {
            action: reasons if _may(uow, action) else (*reasons, Reason.NOT_PERMITTED)
            for action, reasons in found.items()
        }
    )


def _may(uow: UnitOfWork, action: Action) -> bool:
    needed = permission_of(_COMMANDS[action])
    return needed is not None and uow.may(needed)


# The commands differ in their arguments; only what they need to be called is asked of them.
_COMMANDS: Mapping[Action, Callable[..., object]] = MappingProxyType(
    {
        Action.CONFIRM: confirm_booking,
        Action.AMEND: amend_stay,
        Action.ASSIGN_ROOM: assign_room,
        Action.CHECK_IN: check_in_guest,
        Action.MOVE_ROOM: move_room,
        Action.CHECK_OUT: check_out_guest,
        Action.CANCEL: cancel_booking_with_refund,
        Action.MARK_NO_SHOW: mark_no_show,
        Action.REINSTATE: reinstate_booking,
    }
)
