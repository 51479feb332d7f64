"""The front desk: guests arrive, change rooms and leave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from hotelcore.access import Permission
from hotelcore.domain.bookings import (
    Action,
    Booking,
    BookingNight,
    BookingStatus,
    Reason,
    RoomKey,
    refuse_unless_allowed,
)
from hotelcore.domain.folios import Folio
from hotelcore.domain.housekeeping import HousekeepingTask, TaskKind, TaskStatus
from hotelcore.domain.rooms import Room, RoomCondition
from hotelcore.errors import ActionRefused, InvalidInput
from hotelcore.events.catalogue import BookingCheckedIn, BookingCheckedOut
from hotelcore.ids import BookingId, RoomId, TaskId
from hotelcore.operations.counters import counters_ahead, lock_counters
from hotelcore.operations.declaring import operation
from hotelcore.operations.judging import (
    booking_ahead,
    judge,
    lock_booking,
    overrides,
    surroundings,
)
from hotelcore.operations.keys import (
    issue_keys,
    reissue_keys,
    revoke_keys,
    room_in_use,
    valid_keys,
)
from hotelcore.operations.nights import (
    claim_room,
    give_room,
    moving_nights,
    nights_to_come,
    note_room,
    refuse_unless_empty,
    release_nights,
    room_ahead,
    total_of,
)
from hotelcore.operations.posting import close_settled_folios, post_nights
from hotelcore.operations.rooms import note_condition
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["MOST_KEYS", "check_in_guest", "check_out_guest", "move_room"]

MOST_KEYS = 20
"""The most keys that one check-in issues; more are typing errors."""


# -- arriving ---------------------------------------------------------------------------------


@operation(Permission.FRONT_DESK)
def check_in_guest(
    uow: UnitOfWork, *, booking_id: BookingId, room_id: RoomId | None = None, keys: int = 1
) -> tuple[Booking, tuple[RoomKey, ...]]:
    """Check a guest in; return the booking and its new keys, good until the departure.

    The guest gets the room named by ``room_id``, else the one that the booking has, else the first
    room of the booked type, by number, that is free on all nights to come, ready and empty. A room
    of another type takes the units of that type, at the booking's own prices. ``keys`` is their
    number, from 0 to 20. Nights before the business date that the guest missed are charged to the
    oldest open folio, each with its own service date.

    Raises `ActionRefused` when the booking is not confirmed, its arrival lies ahead, its stay is
    over, no room is free for it, or the room is occupied or not ready by the house's rule;
    `RoomTaken` with the nights on which the named room is not free, `SoldOut` with the nights on
    which the other type is full, `InvalidInput` for the number of keys, `NotFound`.
    """
    if isinstance(keys, bool) or not isinstance(keys, int) or not 0 <= keys <= MOST_KEYS:
        raise InvalidInput("keys", f"must be a whole number from 0 to {MOST_KEYS}")
    booking_ahead(uow, booking_id)
    if room_id is not None:
        room_ahead(uow, room_id)
    before, business_date = lock_booking(uow, booking_id)
    nights = uow.bookings.nights(before.id)
    with uow.together(later=True):
        room = claim_room(uow, Action.CHECK_IN, before, nights, room_id)
        _judge_locked(uow, before, room)
        arrived = attrs.evolve(
            before,
            status=BookingStatus.IN_HOUSE,
            room_id=room.id,
            checked_in_at=uow.now(),
            checked_in_on=business_date,
        )
        after = uow.bookings.update(arrived)
        note_room(uow, before, after)
        uow.emit(
            BookingCheckedIn(
                hotel_id=uow.hotel_id,
                booking_id=after.id,
                room_id=room.id,
                business_date=business_date,
            )
        )
        post_nights(uow, after, (night for night in nights if night.night < business_date))
        return after, issue_keys(uow, after, keys)


def _judge_locked(uow: UnitOfWork, booking: Booking, room: Room) -> None:
    """Lock the room, after its nights, and judge again if somebody was there meanwhile.

    Housekeeping changes the room itself; maintenance does not, and a day use holds no night that
    would keep it away.
    """
    (locked,) = uow.rooms.lock([room.id])
    if locked != room or booking.stay.is_day_use:
        judge(uow, Action.CHECK_IN, booking, locked)


# -- changing rooms ---------------------------------------------------------------------------


@operation(Permission.FRONT_DESK)
def move_room(uow: UnitOfWork, *, booking_id: BookingId, room_id: RoomId, reason: str) -> Booking:
    """Move a guest in house to another room, from the coming night on, and return the booking.

    Past nights stay with the old room, which is dirty afterwards. A room of another type takes the
    units of that type, at the booking's own prices. The keys are replaced by as many for the new
    room. ``reason`` has 1 to 500 characters and goes to the audit.

    Raises `ActionRefused` when the booking is not in house, or the new room is occupied or not
    ready by the house's rule; `RoomTaken` with the nights on which it is not free or off sale,
    `SoldOut` with the nights on which the other type is full, `InvalidInput` for the room that the
    guest is in already, `NotFound`.
    """
    uow.reason(reason)
    booking_ahead(uow, booking_id)
    uow.ahead(uow.keys.of_booking, booking_id)
    room_ahead(uow, room_id)
    before, business_date = lock_booking(uow, booking_id)
    nights, keys = uow.bookings.nights(before.id), valid_keys(uow, booking_id)
    judge(uow, Action.MOVE_ROOM, before)
    left = room_in_use(before)
    if room_id == left:
        raise InvalidInput("room_id", "must be another room than the guest is in")
    room = uow.rooms.get(room_id)
    _refuse_unfit(uow, room)
    with uow.together(later=True):
        give_room(uow, before, nights, room)
        rooms = {room.id: room for room in uow.rooms.lock([left, room_id])}
        if rooms[room_id] != room:  # housekeeping was there meanwhile
            _refuse_unfit(uow, rooms[room_id])
        if not nights_to_come(nights, business_date):  # nor maintenance, which no night keeps away
            refuse_unless_empty(uow, before, room)
        after = uow.bookings.update(attrs.evolve(before, room_id=room_id))
        note_room(uow, before, after)
        reissue_keys(uow, after, keys)
        _make_dirty(uow, rooms[left])
    return after


def _refuse_unfit(uow: UnitOfWork, room: Room) -> None:
    reasons = {
        Reason.ROOM_OCCUPIED: uow.rooms.is_occupied(room.id),
        Reason.ROOM_NOT_READY: not uow.hotel.rules.is_ready(room.condition),
    }
    if any(reasons.values()):
        found = tuple(reason for reason, holds in reasons.items() if holds)
        raise ActionRefused(Action.MOVE_ROOM, found, BookingStatus.IN_HOUSE)


def _make_dirty(uow: UnitOfWork, room: Room) -> None:
    if room.condition is not RoomCondition.DIRTY:
        uow.rooms.set_condition([room.id], RoomCondition.DIRTY)
        dirty = attrs.evolve(room, condition=RoomCondition.DIRTY, version=room.version + 1)
        note_condition(uow, room, dirty)


# -- leaving ----------------------------------------------------------------------------------


@operation(Permission.FRONT_DESK)
def check_out_guest(
    uow: UnitOfWork, *, booking_id: BookingId, unsettled_reason: str | None = None
) -> tuple[Booking, HousekeepingTask]:
    """Check a guest out; return the booking and the departure task of the room.

    The nights from the business date on go back on sale; a stay that ends early then ends on the
    business date, and its total is that of the nights that remain. Folios at zero are closed, the
    keys revoked, the room is dirty, and a cleaning of it while the guest stays that nobody did is
    cancelled. ``unsettled_reason`` (1 to 500 characters, needs
    `Permission.RULES_OVERRIDE`) lets the guest go with a balance; that folio stays open.

    Raises `ActionRefused` when the booking is not in house, or a folio has a balance
    (``balance_open``), and `NotFound`.
    """
    unsettled = overrides(uow, unsettled_reason, "check_out_guest with unsettled_reason")
    booking_ahead(uow, booking_id)
    uow.ahead(uow.keys.of_booking, booking_id)
    before, business_date = lock_booking(uow, booking_id)
    nights, keys = uow.bookings.nights(before.id), valid_keys(uow, booking_id)
    tasks, rooms, folios = _lock_to_leave(uow, before, nights)
    around = surroundings(uow, before, action=Action.CHECK_OUT, folios=folios)
    around = attrs.evolve(around, balance_open=around.balance_open and not unsettled)
    refuse_unless_allowed(Action.CHECK_OUT, before, business_date, around)
    with uow.together(later=True):
        room = rooms[room_in_use(before)]
        after, released = _left(uow, before, nights)
        _cancel_tasks(uow, tasks)
        _make_dirty(uow, room)
        revoke_keys(uow, keys)
        close_settled_folios(uow, folios)
        uow.emit(
            BookingCheckedOut(
                hotel_id=uow.hotel_id,
                booking_id=after.id,
                room_id=room.id,
                business_date=business_date,
                nights_released=released,
            )
        )
        return after, _departure_task(uow, after, room)


def _lock_to_leave(
    uow: UnitOfWork, booking: Booking, nights: Sequence[BookingNight]
) -> tuple[Sequence[HousekeepingTask], Mapping[RoomId, Room], Sequence[Folio]]:
    """Lock all that an end of the stay changes, and return it: tasks, the room if any, folios.

    The room before the booking leaves it: who checks in there holds the room, and then waits for
    this booking to be out of it. Tasks before the room, as whoever completes one locks them.
    """
    business_date = uow.hotel.business_date
    room_ids = [] if booking.room_id is None else [booking.room_id]
    moving = moving_nights(booking, nights, business_date)
    counters_ahead(uow, moving)
    for room_id in room_ids:
        uow.ahead(uow.housekeeping.lock_open, room_id, TaskKind.STAY_OVER, business_date)
    uow.ahead(uow.rooms.lock, room_ids)
    uow.ahead(uow.folios.of_booking, booking.id)
    lock_counters(uow, moving)
    tasks = [
        task
        for room_id in room_ids
        for task in uow.housekeeping.lock_open(room_id, TaskKind.STAY_OVER, business_date)
    ]
    rooms = {room.id: room for room in uow.rooms.lock(room_ids)}
    return tasks, rooms, uow.folios.of_booking(booking.id)


def _left(uow: UnitOfWork, before: Booking, nights: Sequence[BookingNight]) -> tuple[Booking, int]:
    """Release the nights to come, and store the booking as it ended; return it and how many."""
    business_date = uow.hotel.business_date
    released = release_nights(uow, before, nights, from_night=business_date)
    stayed = (night for night in nights if night.night < business_date)
    after = uow.bookings.update(
        attrs.evolve(
            before,
            status=BookingStatus.CHECKED_OUT,
            stay=before.stay.until_day(business_date),
            total=total_of(stayed, before.total.currency),
            checked_out_at=uow.now(),
            checked_out_on=business_date,
        )
    )
    uow.changed("booking", before.id, before, after)
    return after, released


def _cancel_tasks(uow: UnitOfWork, tasks: Iterable[HousekeepingTask]) -> None:
    # Whoever completed one later would make a room clean that the departure left dirty.
    for task in tasks:
        cancelled = uow.housekeeping.update(attrs.evolve(task, status=TaskStatus.CANCELLED))
        uow.changed("housekeeping_task", task.id, task, cancelled)


def _departure_task(uow: UnitOfWork, booking: Booking, room: Room) -> HousekeepingTask:
    task = HousekeepingTask(
        id=TaskId(uow.new_id()),
        hotel_id=uow.hotel_id,
        room_id=room.id,
        kind=TaskKind.DEPARTURE,
        due=uow.hotel.business_date,
        booking_id=booking.id,
        created_at=uow.now(),
    )
    uow.housekeeping.add(task)
    uow.changed("housekeeping_task", task.id, None, task)
    return task
