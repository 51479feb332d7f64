"""What somebody in a demo hotel does for one guest, one room or one line: one step each."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from hotelcore.cli.shifts import Shift
from hotelcore.domain.bookings import Booking
from hotelcore.domain.folios import FolioLine, refunds_of
from hotelcore.domain.housekeeping import HousekeepingTask, TaskKind
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import MaintenanceKind, Room, RoomCondition
from hotelcore.domain.stays import Stay
from hotelcore.ids import RoomId
from hotelcore.operations import (
    amend_stay,
    block_room,
    bulk_update_room_status,
    cancel_booking_with_refund,
    check_out_guest,
    complete_housekeeping_task,
    confirm_booking,
    create_housekeeping_task,
    grant_allowance,
    mark_no_show,
    move_charge,
    move_room,
    open_folio,
    record_payment,
    refund_payment,
    reinstate_booking,
    void_charge,
)

__all__ = [
    "allow_half",
    "ask_for_cleaning",
    "block",
    "cancel",
    "check_out",
    "complete",
    "confirm",
    "extend",
    "give_up",
    "move",
    "put_on_second_folio",
    "refund_credit",
    "reinstate",
    "set_condition",
    "shift_by_a_day",
    "void",
]

_DAY = timedelta(days=1)


# -- bookings ---------------------------------------------------------------------------------


def confirm(shift: Shift, booking: Booking) -> None:
    """Make a held booking firm."""
    shift.do(confirm_booking, booking_id=booking.id)


def extend(shift: Shift, booking: Booking) -> None:
    """Let a guest stay one night longer, if a room is left."""
    stay = Stay(booking.stay.arrival, booking.stay.departure + _DAY)
    shift.attempt(amend_stay, booking_id=booking.id, stay=stay)


def shift_by_a_day(shift: Shift, booking: Booking) -> None:
    """Let a guest come and leave one day later, if a room is left."""
    stay = Stay(booking.stay.arrival + _DAY, booking.stay.departure + _DAY)
    shift.attempt(amend_stay, booking_id=booking.id, stay=stay)


def cancel(shift: Shift, booking: Booking) -> None:
    """Cancel on the guest's wish, with the fee and the refund of the booking's terms."""
    shift.do(cancel_booking_with_refund, booking_id=booking.id, reason="plans changed")


def give_up(shift: Shift, booking: Booking) -> None:
    """Put the room of a guest who never came back on sale."""
    shift.do(mark_no_show, booking_id=booking.id)


def reinstate(shift: Shift, booking: Booking) -> None:
    """Take back a guest who was given up, if a room is left."""
    shift.attempt(reinstate_booking, booking_id=booking.id)


# -- the stay ---------------------------------------------------------------------------------


def move(shift: Shift, booking: Booking) -> None:
    """Move a guest to the first other room of the type that is free, clean and empty."""
    stay = booking.stay.from_day(shift.uow.hotel.business_date)
    for room in shift.uow.rooms.free(booking.room_type_id, stay):
        if shift.uow.hotel.rules.is_ready(room.condition):
            shift.attempt(move_room, booking_id=booking.id, room_id=room.id, reason="noise")
            return


def refund_credit(shift: Shift, booking: Booking) -> None:
    """Give back what the guest paid beyond the bill."""
    for folio in shift.uow.folios.of_booking(booking.id):
        if folio.balance.minor < 0:
            lines = shift.uow.folios.lines(folio.id)
            for payment, part in refunds_of(lines, -folio.balance):
                shift.do(refund_payment, line_id=payment.id, amount=part, reason="paid too much")


def check_out(shift: Shift, booking: Booking) -> None:
    """Take the payment for what is open, and see the guest off."""
    for folio in shift.uow.folios.of_booking(booking.id):
        if folio.balance.minor > 0:
            shift.do(record_payment, folio_id=folio.id, amount=folio.balance, method="card")
    shift.do(check_out_guest, booking_id=booking.id)


# -- the bill ---------------------------------------------------------------------------------


def void(shift: Shift, line: FolioLine) -> None:
    """Reverse a charge that was posted to the wrong guest."""
    shift.do(void_charge, line_id=line.id, reason="wrong room")


def allow_half(shift: Shift, line: FolioLine) -> None:
    """Take half of a charge back, because the service was poor."""
    half = Money(line.amount.minor // 2, line.amount.currency)
    shift.do(grant_allowance, line_id=line.id, amount=half, reason="slow service")


def put_on_second_folio(shift: Shift, line: FolioLine) -> None:
    """Put a charge on a bill of its own."""
    folio = shift.do(open_folio, booking_id=line.booking_id)
    shift.do(move_charge, line_id=line.id, to_folio_id=folio.id)


# -- rooms ------------------------------------------------------------------------------------


def ask_for_cleaning(shift: Shift, booking: Booking) -> None:
    """Have the room of a guest who stays cleaned today."""
    if booking.room_id is not None:
        shift.do(create_housekeeping_task, room_id=booking.room_id, kind=TaskKind.STAY_OVER)


def complete(shift: Shift, task: HousekeepingTask) -> Room:
    """Do the task; return the room as it is now."""
    _, room = shift.do(complete_housekeeping_task, task_id=task.id)
    return room


def set_condition(shift: Shift, rooms: Collection[RoomId], condition: RoomCondition) -> None:
    """Set the condition of any number of rooms at once, none included."""
    if rooms:
        shift.do(bulk_update_room_status, room_ids=rooms, condition=condition)


def block(shift: Shift, room: Room, kind: MaintenanceKind, period: Stay) -> None:
    """Give a room to maintenance, unless it is needed for what is sold."""
    shift.attempt(block_room, room_id=room.id, kind=kind, period=period, reason="repair")
