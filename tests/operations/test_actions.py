"""What a screen offers is what the command accepts; and whatever is done, the rows agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial

import pytest
from attrs import define, field
from hypothesis import given, note
from hypothesis import strategies as st

from hotelcore import operations as op
from hotelcore.clock import FixedClock
from hotelcore.core import HotelCore
from hotelcore.domain.bookings import Action, Booking, BookingStatus, Reason
from hotelcore.domain.rooms import MaintenanceKind, RoomCondition
from hotelcore.domain.stays import Stay
from hotelcore.errors import ActionRefused, InvalidInput, Refused
from hotelcore.ids import BookingId, RoomId
from hotelcore.unit_of_work import UnitOfWork
from tests.operations.recount import (
    commands_of,
    counted_units,
    misplaced_nights,
    recounted_units,
    untold,
)
from tests.operations.reservations import KEEP, add_suites, book, lives, stay
from tests.operations.small_hotel import DAY, SmallHotel, open_hotel, refusal

# -- what a command would do ------------------------------------------------------------------


class _Undone(Exception):
    """Takes a command back that succeeded."""


def _move_elsewhere(uow: UnitOfWork, booking_id: BookingId, spare: RoomId) -> object:
    return op.move_room(uow, booking_id=booking_id, room_id=spare, reason="noise")


def _stay_as_booked(uow: UnitOfWork, booking_id: BookingId, _: RoomId) -> object:
    booking = uow.bookings.get(booking_id)
    return op.amend_stay(uow, booking_id=booking_id, stay=booking.stay)


COMMANDS: Mapping[Action, Callable[[UnitOfWork, BookingId, RoomId], object]] = {
    Action.CONFIRM: lambda uow, key, _: op.confirm_booking(uow, booking_id=key),
    Action.AMEND: _stay_as_booked,
    Action.ASSIGN_ROOM: lambda uow, key, _: op.assign_room(uow, booking_id=key),
    Action.CHECK_IN: lambda uow, key, _: op.check_in_guest(uow, booking_id=key),
    Action.MOVE_ROOM: _move_elsewhere,
    Action.CHECK_OUT: lambda uow, key, _: op.check_out_guest(uow, booking_id=key),
    Action.CANCEL: lambda uow, key, _: op.cancel_booking_with_refund(
        uow, booking_id=key, reason="ill"
    ),
    Action.MARK_NO_SHOW: lambda uow, key, _: op.mark_no_show(uow, booking_id=key),
    Action.REINSTATE: lambda uow, key, _: op.reinstate_booking(uow, booking_id=key),
}


def refused_for(
    hotel: SmallHotel, action: Action, booking_id: BookingId, spare: RoomId
) -> tuple[str, ...]:
    """Try a command, take it back, and return the reasons for which it was refused."""
    try:
        with hotel.desk().transaction() as uow:
            COMMANDS[action](uow, booking_id, spare)
            raise _Undone
    except ActionRefused as refused:
        return (*refused.reasons, *([] if refused.action == action else [refused.action]))
    except _Undone:
        return ()


def possible(hotel: SmallHotel, booking_id: BookingId) -> Mapping[Action, tuple[Reason, ...]]:
    """Ask what can be done with a booking, as a screen does."""
    with hotel.desk().reading() as uow:
        return op.possible_actions(uow, booking_id=booking_id)


# -- every state, every action ----------------------------------------------------------------

HOLD = timedelta(days=30)


def _tentative(hotel: SmallHotel) -> Booking:
    return book(hotel, stay(0, 2), hold_until=hotel.clock.now() + HOLD)[0]


def _confirmed(hotel: SmallHotel) -> Booking:
    return book(hotel, stay(0, 2))[0]


def _in_house(hotel: SmallHotel) -> Booking:
    booking = _confirmed(hotel)
    return hotel.desk().run(op.check_in_guest, booking_id=booking.id)[0]


def _checked_out(hotel: SmallHotel) -> Booking:
    booking = _in_house(hotel)
    return hotel.desk().run(op.check_out_guest, booking_id=booking.id)[0]


def _cancelled(hotel: SmallHotel) -> Booking:
    booking = _confirmed(hotel)
    ended = hotel.desk().run(op.cancel_booking_with_refund, booking_id=booking.id, reason="ill")
    return ended.booking


def _no_show(hotel: SmallHotel) -> Booking:
    booking = _confirmed(hotel)
    hotel.close_day()
    return hotel.desk().run(op.mark_no_show, booking_id=booking.id)


A = Action
# What may follow each state on the day of arrival, with a room free and nothing owed.
TABLE: list[tuple[BookingStatus, Callable[[SmallHotel], Booking], set[Action]]] = [
    (BookingStatus.TENTATIVE, _tentative, {A.CONFIRM, A.AMEND, A.ASSIGN_ROOM, A.CANCEL}),
    (BookingStatus.CONFIRMED, _confirmed, {A.AMEND, A.ASSIGN_ROOM, A.CHECK_IN, A.CANCEL}),
    (BookingStatus.IN_HOUSE, _in_house, {A.AMEND, A.MOVE_ROOM, A.CHECK_OUT}),
    (BookingStatus.CHECKED_OUT, _checked_out, set()),
    (BookingStatus.CANCELLED, _cancelled, {A.REINSTATE}),
    (BookingStatus.NO_SHOW, _no_show, {A.REINSTATE}),
]


@pytest.mark.parametrize(("status", "reach", "allowed"), TABLE)
def test_every_state_allows_its_actions_and_no_other(
    core: HotelCore,
    clock: FixedClock,
    status: BookingStatus,
    reach: Callable[[SmallHotel], Booking],
    allowed: set[Action],
) -> None:
    """For every pair of state and action the table, the question and the command agree."""
    hotel = open_hotel(core, clock, rules=KEEP)
    booking = reach(hotel)
    assert booking.status is status
    asked = possible(hotel, booking.id)
    assert {action for action, reasons in asked.items() if not reasons} == allowed
    for action in Action:
        assert refused_for(hotel, action, booking.id, hotel.room_ids[-1]) == asked[action]


def test_a_confirmed_booking_becomes_a_no_show_only_after_its_day(
    core: HotelCore, clock: FixedClock
) -> None:
    """A day after the arrival the same booking may be given up, and while it lasts checked in."""
    hotel = open_hotel(core, clock, rules=KEEP)
    booking = _confirmed(hotel)
    assert possible(hotel, booking.id)[A.MARK_NO_SHOW] == (Reason.ARRIVAL_NOT_PASSED,)
    hotel.close_day()
    assert possible(hotel, booking.id)[A.MARK_NO_SHOW] == ()
    assert possible(hotel, booking.id)[A.CHECK_IN] == ()
    hotel.close_day()
    assert possible(hotel, booking.id)[A.CHECK_IN] == (Reason.STAY_IS_OVER,)


# -- any commands in any order ----------------------------------------------------------------


@define
class Life:
    """A hotel in which things happen."""

    hotel: SmallHotel
    rooms: tuple[RoomId, ...]
    bookings: list[BookingId] = field(factory=list)

    def do(self, operation: Callable[..., object], **arguments: object) -> None:
        """Run one command of the hotel."""
        self.hotel.desk().run(operation, **arguments)

    def booking(self, number: int) -> BookingId:
        """Choose one of the bookings made so far."""
        return self.bookings[number % len(self.bookings)]

    def room(self, number: int) -> RoomId:
        """Choose one of the rooms, of both types."""
        return self.rooms[number % len(self.rooms)]


def _book(life: Life, a: int, b: int) -> None:
    arrival = life.hotel.today + (a % 3) * DAY
    until = life.hotel.clock.now() + DAY if a >= 6 else None
    made, _ = book(life.hotel, Stay(arrival, arrival + (b % 4) * DAY), hold_until=until)
    life.bookings.append(made.id)


def _amend(life: Life, a: int, b: int) -> None:
    known = life.hotel.booking(life.booking(a)).stay
    begins = known.arrival + (b % 3 - 1) * DAY
    wanted = Stay(begins, max(begins, known.departure + (b // 3 - 1) * DAY))
    life.do(op.amend_stay, booking_id=life.booking(a), stay=wanted)


def _assign(life: Life, a: int, b: int) -> None:
    named = life.room(b) if b < 5 else None
    life.do(op.assign_room, booking_id=life.booking(a), room_id=named)


def _assign_all(life: Life, a: int, b: int) -> None:
    until = life.hotel.today + a * DAY
    life.do(op.assign_rooms, room_type_id=life.hotel.type_id, arriving_until=until)


def _check_in(life: Life, a: int, b: int) -> None:
    named = life.room(b) if b >= 6 else None
    life.do(op.check_in_guest, booking_id=life.booking(a), room_id=named)


def _move(life: Life, a: int, b: int) -> None:
    life.do(op.move_room, booking_id=life.booking(a), room_id=life.room(b), reason="noise")


def _leave(life: Life, a: int, b: int) -> None:
    unsettled = "the company pays" if b < 5 else None
    life.do(op.check_out_guest, booking_id=life.booking(a), unsettled_reason=unsettled)


def _cancel(life: Life, a: int, b: int) -> None:
    life.do(op.cancel_booking_with_refund, booking_id=life.booking(a), reason="ill")


def _of_booking(operation: Callable[..., object], life: Life, a: int, b: int) -> None:
    life.do(operation, booking_id=life.booking(a))


def _expire(life: Life, a: int, b: int) -> None:
    life.do(op.expire_holds)


def _close_day(life: Life, a: int, b: int) -> None:
    life.hotel.close_day()


def _clean(life: Life, a: int, b: int) -> None:
    condition = RoomCondition.DIRTY if b < 3 else RoomCondition.CLEAN
    life.do(op.bulk_update_room_status, room_ids=[life.room(a)], condition=condition)


def _block(life: Life, a: int, b: int) -> None:
    begins = life.hotel.today + (b % 3) * DAY
    life.do(
        op.block_room,
        room_id=life.room(a),
        kind=list(MaintenanceKind)[b % 3],
        period=Stay(begins, begins + (1 + b // 3) * DAY),
        reason="leak",
    )


# Twice in the list is twice as often.
STEPS: list[Callable[[Life, int, int], None]] = [
    _book,
    _book,
    partial(_of_booking, op.confirm_booking),
    _amend,
    _amend,
    _assign,
    _assign_all,
    _check_in,
    _check_in,
    _move,
    _leave,
    _cancel,
    partial(_of_booking, op.mark_no_show),
    partial(_of_booking, op.reinstate_booking),
    _expire,
    _close_day,
    _close_day,
    _clean,
    _block,
]

happenings = st.lists(
    st.tuples(st.integers(0, len(STEPS) - 1), st.integers(0, 8), st.integers(0, 8)),
    min_size=4,
    max_size=16,
)


@pytest.mark.long
@lives
@given(happenings=happenings)
def test_whatever_happens_the_counters_and_the_rooms_agree_with_the_bookings(
    core: HotelCore, clock: FixedClock, happenings: list[tuple[int, int, int]]
) -> None:
    """After each command the rows add up, and a refused one has left nothing, not even an entry.

    At the end the audit log retells it all, every booking is asked what can be done with it, and
    each answer is tried.
    """
    life = _begin(core, clock)
    hotel = life.hotel
    for which, a, b in happenings:
        before = len(commands_of(hotel))
        refused = refusal(partial(STEPS[which], life, a, b))
        note(f"{STEPS[which]} {a} {b}: {refused or 'done'}")
        assert refused is None or isinstance(refused, Refused | InvalidInput)
        assert len(commands_of(hotel)) == before + (refused is None)
        assert counted_units(hotel) == recounted_units(hotel)
        assert misplaced_nights(hotel) == []
    assert untold(hotel) == []
    for booking_id in life.bookings:
        _answers_hold(life, booking_id)


def _begin(core: HotelCore, clock: FixedClock) -> Life:
    hotel = open_hotel(core, clock, rooms=2, rules=KEEP)
    _, suites = add_suites(hotel)
    life = Life(hotel, (*hotel.room_ids, *suites))
    _book(life, 0, 2)
    return life


def _answers_hold(life: Life, booking_id: BookingId) -> None:
    for action, reasons in possible(life.hotel, booking_id).items():
        # A move that the table allows may still be refused for the room.
        if action is not Action.MOVE_ROOM or reasons:
            assert refused_for(life.hotel, action, booking_id, life.rooms[0]) == reasons
