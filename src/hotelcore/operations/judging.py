"""Whether an action is possible, asked of the one table with what storage says of its surroundings.

A screen's list of possible actions and the command itself read the same facts here, so they agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import chain

from hotelcore.access import Permission
from hotelcore.domain.bookings import (
    Action,
    Booking,
    Surroundings,
    refuse_unless_allowed,
)
from hotelcore.domain.folios import Folio
from hotelcore.domain.guests import Guest
from hotelcore.domain.rooms import Room
from hotelcore.domain.stays import Stay
from hotelcore.errors import ActionRefused
from hotelcore.ids import BookingId, GuestId, RoomId
from hotelcore.unit_of_work import UnitOfWork

__all__ = [
    "booking_ahead",
    "expected_guest",
    "free_rooms",
    "is_blocked",
    "judge",
    "lock_booking",
    "overrides",
    "surroundings",
]

_ABOUT_A_ROOM = frozenset({Action.ASSIGN_ROOM, Action.CHECK_IN})
_NIGHT = timedelta(days=1)


def overrides(uow: UnitOfWork, reason: str | None, what: str) -> bool:
    """Tell whether the actor overrides a rule, and note the reason in the audit entry.

    A ``reason`` (1 to 500 characters) asks for it; None does not. Raises `PermissionDenied`, which
    names ``what``, for an actor without `Permission.RULES_OVERRIDE`, and `InvalidInput` for a
    reason that is no such text.
    """
    if reason is None:
        return False
    uow.require(Permission.RULES_OVERRIDE, what)
    uow.reason(reason)
    return True


def booking_ahead(uow: UnitOfWork, booking_id: BookingId) -> None:
    """Have the hotel, a booking, locked, and its nights asked for with the next question."""
    uow.ahead(uow.hotels.current)
    uow.ahead(uow.bookings.lock, booking_id)
    uow.ahead(uow.bookings.nights, booking_id)


def lock_booking(uow: UnitOfWork, booking_id: BookingId) -> tuple[Booking, date]:
    """Lock a booking, and before it the hotel's day; return the booking and the business date."""
    booking_ahead(uow, booking_id)  # for whoever has not, as nothing is asked ahead twice
    business_date = uow.hotel.business_date
    return uow.bookings.lock(booking_id), business_date


def expected_guest(guest: Guest) -> GuestId:
    """Return the id of a guest for whom one may book.

    The guest is shared (`hotelcore.repositories.Guests.share`), or might be anonymised meanwhile.
    Raises `ActionRefused` for a guest who was anonymised (``anonymised``).
    """
    if guest.anonymised_at is not None:
        raise ActionRefused("book", ("anonymised",))
    return guest.id


def judge(uow: UnitOfWork, action: Action, booking: Booking, room: Room | None = None) -> None:
    """Raise `ActionRefused` unless the table allows ``action`` here and now."""
    around = surroundings(uow, booking, action=action, room=room)
    refuse_unless_allowed(action, booking, uow.hotel.business_date, around)


def surroundings(
    uow: UnitOfWork,
    booking: Booking,
    *,
    action: Action | None = None,
    room: Room | None = None,
    folios: Sequence[Folio] | None = None,
) -> Surroundings:
    """Read what the table needs to know of ``booking``.

    With ``action`` only what the table asks about that action is read; the rest is answered with
    no. ``room`` is the one that an assignment or a check-in is about; without it that is the
    booking's own, or the free room that it would be given. ``folios`` are all of the booking's, for
    whoever has read them.
    """
    asked = frozenset(Action) if action is None else frozenset({action})
    if room is None and asked & _ABOUT_A_ROOM:
        room = _room_in_question(uow, booking)
    return Surroundings(
        now=uow.now(),
        has_room=room is not None,
        room_occupied=room is not None and uow.rooms.is_occupied(room.id),
        room_ready=room is not None and _is_ready(uow, booking, room),
        balance_open=Action.CHECK_OUT in asked and _is_unsettled(uow, booking, folios),
        sellable=Action.REINSTATE in asked and _is_sellable(uow, booking),
        guest_anonymised=Action.REINSTATE in asked and _is_anonymised(uow, booking),
    )


def free_rooms(uow: UnitOfWork, booking: Booking) -> tuple[Sequence[Room], Sequence[Room]]:
    """Return the rooms of the booked type that are free on all nights to come, by number.

    First those that the guest could have now: for one who is due they are ready and empty. Then
    the others.
    """
    business_date, rules = uow.hotel.business_date, uow.hotel.rules
    rooms = uow.rooms.free(booking.room_type_id, booking.stay.from_day(business_date))
    if booking.stay.arrival > business_date:
        return rooms, ()
    ready = [room.id for room in rooms if rules.is_ready(room.condition)]
    empty = frozenset(ready) - uow.rooms.occupied(ready)
    fit = [room for room in rooms if room.id in empty]
    return fit, [room for room in rooms if room.id not in empty]


def is_blocked(uow: UnitOfWork, room_id: RoomId, day: date) -> bool:
    """Tell whether maintenance has taken the room off sale on the night of ``day``."""
    blocks = uow.maintenance.overlapping(Stay(day, day + _NIGHT))
    return any(block.room_id == room_id and block.kind.off_sale for block in blocks)


def _room_in_question(uow: UnitOfWork, booking: Booking) -> Room | None:
    if booking.room_id is not None:
        return uow.rooms.get(booking.room_id)
    return next(chain(*free_rooms(uow, booking)), None)


def _is_ready(uow: UnitOfWork, booking: Booking, room: Room) -> bool:
    hotel = uow.hotel
    # A night that the booking holds in the room cannot be blocked; a day use holds none.
    blocked = booking.stay.is_day_use and is_blocked(uow, room.id, hotel.business_date)
    return hotel.rules.is_ready(room.condition) and not blocked


def _is_unsettled(uow: UnitOfWork, booking: Booking, folios: Sequence[Folio] | None) -> bool:
    of_booking = uow.folios.of_booking(booking.id) if folios is None else folios
    return any(folio.balance for folio in of_booking)


def _is_anonymised(uow: UnitOfWork, booking: Booking) -> bool:
    # Who is expected is kept from being anonymised.
    expected = booking.status.holds_nights
    return not expected and uow.guests.get(booking.guest_id).anonymised_at is not None


def _is_sellable(uow: UnitOfWork, booking: Booking) -> bool:
    stay = booking.stay.from_day(uow.hotel.business_date)
    nights = uow.inventory.nights(stay, booking.room_type_id)
    return all(night.sellable for night in nights)
