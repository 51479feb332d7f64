"""A booking, its nights, and the table that says which action is possible when, and why not.

The same table answers `allowed_actions` and drives the exceptions of the operations, so what a
screen offers is what the command accepts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType

from attrs import frozen

from hotelcore.domain import fields
from hotelcore.domain.cancellation import CancellationPolicy
from hotelcore.domain.money import Money
from hotelcore.domain.stays import Stay
from hotelcore.errors import ActionRefused
from hotelcore.ids import BookingId, GuestId, HotelId, RoomId, RoomKeyId, RoomTypeId

__all__ = [
    "Action",
    "Booking",
    "BookingNight",
    "BookingStatus",
    "CancellationOutcome",
    "Reason",
    "RoomKey",
    "Surroundings",
    "allowed_actions",
    "reasons_against",
    "refuse_unless_allowed",
]


class BookingStatus(StrEnum):
    """Where a booking stands. Due in, due out and stay-over follow from dates, unstored."""

    TENTATIVE = "tentative"
    CONFIRMED = "confirmed"
    IN_HOUSE = "in_house"
    CHECKED_OUT = "checked_out"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"

    @property
    def holds_nights(self) -> bool:
        """Whether a booking in this state takes rooms away from sale."""
        return self in _HOLDING


_HOLDING = frozenset({BookingStatus.TENTATIVE, BookingStatus.CONFIRMED, BookingStatus.IN_HOUSE})


class Action(StrEnum):
    """What can be done with a booking."""

    CONFIRM = "confirm"
    AMEND = "amend"
    ASSIGN_ROOM = "assign_room"
    CHECK_IN = "check_in"
    MOVE_ROOM = "move_room"
    CHECK_OUT = "check_out"
    CANCEL = "cancel"
    MARK_NO_SHOW = "mark_no_show"
    REINSTATE = "reinstate"


class Reason(StrEnum):
    """Why an action is not possible: stable codes for screens and programs."""

    WRONG_STATUS = "wrong_status"
    ARRIVAL_NOT_REACHED = "arrival_not_reached"
    ARRIVAL_NOT_PASSED = "arrival_not_passed"
    STAY_IS_OVER = "stay_is_over"
    HOLD_EXPIRED = "hold_expired"
    NO_ROOM = "no_room"
    ROOM_OCCUPIED = "room_occupied"
    ROOM_NOT_READY = "room_not_ready"
    BALANCE_OPEN = "balance_open"
    SOLD_OUT = "sold_out"
    ANONYMISED = "anonymised"
    NOT_PERMITTED = "not_permitted"


@frozen(kw_only=True)
class Booking:
    """One booking of one room. ``room_id`` is the room it has, or will first have.

    ``total`` is the sum of the prices fixed on its nights, day uses have none. ``hold_until`` is
    the instant after which a tentative booking is not confirmed any more, and loses its nights with
    the next `expire_holds`. The ``_at`` fields are instants, the ``_on`` fields the business dates
    on which the guest came, left, or was given up.
    """

    id: BookingId = fields.identifier()
    hotel_id: HotelId = fields.identifier()
    confirmation_number: str = fields.text(40)
    guest_id: GuestId = fields.identifier()
    room_type_id: RoomTypeId = fields.identifier()
    stay: Stay = fields.instance(Stay)
    status: BookingStatus = fields.choice(BookingStatus)
    room_id: RoomId | None = fields.identifier(optional=True)
    adults: int = fields.count(0, 999, default=1)
    children: int = fields.count(0, 999, default=0)
    infants: int = fields.count(0, 999, default=0)
    channel: str = fields.text(50)
    total: Money = fields.money()
    cancellation: CancellationPolicy = fields.instance(CancellationPolicy)
    hold_until: datetime | None = fields.instant(optional=True)
    checked_in_at: datetime | None = fields.instant(optional=True)
    checked_out_at: datetime | None = fields.instant(optional=True)
    cancelled_at: datetime | None = fields.instant(optional=True)
    checked_in_on: date | None = fields.day(optional=True)
    checked_out_on: date | None = fields.day(optional=True)
    no_show_on: date | None = fields.day(optional=True)
    created_at: datetime = fields.instant()
    attributes: fields.Attributes = fields.attributes()
    version: int = fields.version()


@frozen(kw_only=True)
class BookingNight:
    """One night of a booking: its price, fixed at booking, and whose inventory it takes.

    ``room_type_id`` is the type whose unit the night uses, which differs from the booked type
    after an upgrade. ``released`` nights went back to sale; ``posted`` ones stand on the folio.
    """

    booking_id: BookingId = fields.identifier()
    night: date = fields.day()
    room_type_id: RoomTypeId = fields.identifier()
    price: Money = fields.money()
    room_id: RoomId | None = fields.identifier(optional=True)
    released: bool = fields.flag()
    posted: bool = fields.flag()


@frozen(kw_only=True)
class RoomKey:
    """A key issued to a booking for a room, good until it is revoked or ``valid_until`` ends."""

    id: RoomKeyId = fields.identifier()
    hotel_id: HotelId = fields.identifier()
    booking_id: BookingId = fields.identifier()
    room_id: RoomId = fields.identifier()
    valid_until: date = fields.day()
    issued_at: datetime = fields.instant()
    revoked_at: datetime | None = fields.instant(optional=True)


@frozen(kw_only=True)
class CancellationOutcome:
    """A cancelled booking, the fee that was charged for it, and what was paid back."""

    booking: Booking = fields.instance(Booking)
    fee: Money = fields.money()
    refund: Money = fields.money()


@frozen(kw_only=True)
class Surroundings:
    """What the action table needs to know beside the booking and the business date.

    ``now`` decides whether a hold expired. The room flags speak of the room that the booking has
    for all its nights to come, or of the free one that it would be given; ``balance_open`` of all
    its folios; ``sellable`` of the nights that a reinstated booking would take again;
    ``guest_anonymised`` of the guest that it would expect again.
    """

    now: datetime
    has_room: bool
    room_occupied: bool
    room_ready: bool
    balance_open: bool
    sellable: bool
    guest_anonymised: bool = False


_FROM: Mapping[Action, frozenset[BookingStatus]] = MappingProxyType(
    {
        Action.CONFIRM: frozenset({BookingStatus.TENTATIVE}),
        Action.AMEND: _HOLDING,
        Action.ASSIGN_ROOM: frozenset({BookingStatus.TENTATIVE, BookingStatus.CONFIRMED}),
        Action.CHECK_IN: frozenset({BookingStatus.CONFIRMED}),
        Action.MOVE_ROOM: frozenset({BookingStatus.IN_HOUSE}),
        Action.CHECK_OUT: frozenset({BookingStatus.IN_HOUSE}),
        Action.CANCEL: frozenset({BookingStatus.TENTATIVE, BookingStatus.CONFIRMED}),
        Action.MARK_NO_SHOW: frozenset({BookingStatus.CONFIRMED}),
        Action.REINSTATE: frozenset({BookingStatus.CANCELLED, BookingStatus.NO_SHOW}),
    }
)


def reasons_against(
    action: Action, booking: Booking, business_date: date, around: Surroundings
) -> tuple[Reason, ...]:
    """Return every reason against ``action`` on ``business_date``; empty means it succeeds."""
    if booking.status not in _FROM[action]:
        return (Reason.WRONG_STATUS,)
    stay = booking.stay
    over = stay.is_over(business_date)
    hold_over = booking.hold_until is not None and around.now >= booking.hold_until
    checks: dict[Action, tuple[tuple[bool, Reason], ...]] = {
        Action.CONFIRM: ((hold_over, Reason.HOLD_EXPIRED), (over, Reason.STAY_IS_OVER)),
        Action.AMEND: (
            (hold_over, Reason.HOLD_EXPIRED),
            (over and booking.status is not BookingStatus.IN_HOUSE, Reason.STAY_IS_OVER),
        ),
        Action.ASSIGN_ROOM: (
            (hold_over, Reason.HOLD_EXPIRED),
            (over, Reason.STAY_IS_OVER),
            (not over and not around.has_room, Reason.NO_ROOM),
        ),
        Action.CHECK_IN: (
            (business_date < stay.arrival, Reason.ARRIVAL_NOT_REACHED),
            (over, Reason.STAY_IS_OVER),
            (not around.has_room, Reason.NO_ROOM),
            (around.has_room and around.room_occupied, Reason.ROOM_OCCUPIED),
            (around.has_room and not around.room_ready, Reason.ROOM_NOT_READY),
        ),
        Action.MOVE_ROOM: (),
        Action.CHECK_OUT: ((around.balance_open, Reason.BALANCE_OPEN),),
        Action.CANCEL: (),
        Action.MARK_NO_SHOW: ((business_date <= stay.arrival, Reason.ARRIVAL_NOT_PASSED),),
        Action.REINSTATE: (
            (around.guest_anonymised, Reason.ANONYMISED),
            (over, Reason.STAY_IS_OVER),
            (not over and not around.sellable, Reason.SOLD_OUT),
        ),
    }
    return tuple(reason for holds, reason in checks[action] if holds)


def allowed_actions(
    booking: Booking, business_date: date, around: Surroundings
) -> Mapping[Action, tuple[Reason, ...]]:
    """Give each action with the reasons against it; none means that the booking allows it.

    Actions that take further arguments (new dates, another room) may still be refused for them.
    Who acts is not asked here.
    """
    return MappingProxyType(
        {action: reasons_against(action, booking, business_date, around) for action in Action}
    )


def refuse_unless_allowed(
    action: Action, booking: Booking, business_date: date, around: Surroundings
) -> None:
    """Raise `ActionRefused` with the reasons of the table, if there are any."""
    if reasons := reasons_against(action, booking, business_date, around):
        raise ActionRefused(action=action, reasons=reasons, status=booking.status)
