"""Commands that end a booking before the stay, and the one that takes it back."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule

from hotelcore import operations as op
from hotelcore.testing.machine.commands import MANNERS, Command, Manner, against
from hotelcore.testing.machine.driving import HOTELS, PICKS, Driver, driving, when
from hotelcore.testing.machine.houses import Booking, House, Key
from hotelcore.testing.machine.reservations import (
    AWAITED,
    forced,
    is_,
    nights_between,
    override,
    shows,
)

__all__ = ["EndingRules", "cancel", "expire", "give_up", "mark_no_show", "reinstate"]

_MANNERS = st.sampled_from(MANNERS)
_RARELY = st.sampled_from([False, False, False, True])
_UNKNOWN = frozenset({"NotFound"})


def cancel(house: House, key: Key, *, waive: bool = False) -> Command:
    """Cancel a booking, with the fee of its own policy or without."""
    known = house.bookings.get(key)

    def learn(result: Any) -> None:
        assert known is not None
        fee = 0 if waive or known.status == "tentative" else cancellation_fee(known, house.day)
        refund = end(house, known, fee)
        assert (result.fee.minor, result.refund.minor) == (fee, refund), (result, fee, refund)
        shows(house, result.booking)

    return Command(
        operation=op.cancel_booking_with_refund,
        arguments={
            "booking_id": UUID(key),
            "reason": "other plans",
            **({"waive_fee": True} if waive else {}),
        },
        doubts=_UNKNOWN if known is None else against(ActionRefused=known.status not in AWAITED),
        learn=learn,
        needs=override(waive),
        event="booking.cancelled",
    )


def cancellation_fee(known: Booking, day: date) -> int:
    """Return what a cancellation on ``day`` costs."""
    free = (known.arrival - day).days >= known.policy.free_days and day <= known.arrival
    return 0 if free else known.policy.late.of(known.prices())


def end(house: House, known: Booking, fee: int) -> int:
    """Cancel a booking; return what is paid back."""
    house.release(known, house.day)
    known.status, known.room = "cancelled", None
    house.charge(known, "cancellation_fee", fee)
    refund = house.refund_credit(known)
    house.close_settled(known)
    return refund


def expire(house: House) -> Command:
    """Let the holds that are over end."""
    ended = [
        booking
        for key, booking in sorted(house.bookings.items())
        if booking.hold_is_over(house.now)
    ]

    def learn(result: Any) -> None:
        assert [told.id.hex for told in result] == [known.key for known in ended], result
        for known in ended:
            end(house, known, 0)

    return Command(operation=op.expire_holds, arguments={}, learn=learn)


def give_up(house: House, known: Booking, from_night: date) -> None:
    """Make a no-show of a booking."""
    fee = known.policy.no_show.of(known.prices())
    house.release(known, from_night)
    known.status, known.room = "no_show", None
    house.charge(known, "no_show_fee", fee)


def mark_no_show(house: House, key: Key) -> Command:
    """Give a booking up whose guest did not come."""
    known = house.bookings.get(key)

    def learn(told: Any) -> None:
        assert known is not None
        give_up(house, known, house.day)
        shows(house, told)

    doubts = _UNKNOWN
    if known is not None:
        doubts = against(ActionRefused=known.status != "confirmed" or house.day <= known.arrival)
    return Command(
        operation=op.mark_no_show,
        arguments={"booking_id": UUID(key)},
        doubts=doubts,
        learn=learn,
        event="booking.noShow",
    )


def reinstate(house: House, key: Key, *, force: bool = False) -> Command:
    """Take a cancelled or no-show booking back."""
    known = house.bookings.get(key)
    doubts, coming = _UNKNOWN, list[date]()
    if known is not None:
        coming = nights_between(max(known.arrival, house.day), known.departure)
        doubts = against(
            ActionRefused=known.status not in ("cancelled", "no_show")
            or known.is_over(house.day)
            or house.guests[known.guest]
            or (not force and bool(house.full(known.room_type, coming)))
        )

    def learn(told: Any) -> None:
        assert known is not None
        known.status, known.hold_until = "confirmed", None
        for day in coming:
            known.nights[day].released = False
            known.nights[day].room_type = known.room_type
        known.total = sum(known.prices())
        if not house.open_folios(known.key):
            house.folios[house.folios_of(known.key)[0]].is_open = True
        shows(house, told)

    return Command(
        operation=op.reinstate_booking,
        arguments={"booking_id": UUID(key), **forced(force)},
        doubts=doubts,
        learn=learn,
        needs=override(force),
        event="booking.reinstated",
    )


# -- the rules ---------------------------------------------------------------------------------


def _is_missing(house: House, booking: Booking) -> bool:
    return booking.status == "confirmed" and booking.arrival < house.day


def _may_come_back(house: House, booking: Booking) -> bool:
    return booking.status in ("cancelled", "no_show") and not booking.is_over(house.day)


class EndingRules(Driver):
    """The rules on what ends a booking."""

    @driving(op.cancel_booking_with_refund)
    @when("bookings", is_(*AWAITED))
    @rule(hotel=HOTELS, booking=PICKS, waive=_RARELY, manner=_MANNERS)
    def cancel(self, hotel: int, booking: int, waive: bool, manner: Manner) -> None:
        """Cancel a booking."""
        house = self.house(hotel, "bookings", is_(*AWAITED))
        key = self.pick(house, "bookings", booking, is_(*AWAITED))
        self.run(house, cancel(house, key, waive=waive), manner)

    @driving(op.expire_holds)
    @rule(hotel=HOTELS, manner=_MANNERS)
    def expire(self, hotel: int, manner: Manner) -> None:
        """Let holds end."""
        self.run(self.houses[hotel], expire(self.houses[hotel]), manner)

    @driving(op.mark_no_show)
    @when("bookings", _is_missing)
    @rule(hotel=HOTELS, booking=PICKS, manner=_MANNERS)
    def mark_no_show(self, hotel: int, booking: int, manner: Manner) -> None:
        """Give a booking up."""
        house = self.house(hotel, "bookings", _is_missing)
        key = self.pick(house, "bookings", booking, _is_missing)
        self.run(house, mark_no_show(house, key), manner)

    @driving(op.reinstate_booking)
    @when("bookings", _may_come_back)
    @rule(hotel=HOTELS, booking=PICKS, force=_RARELY, manner=_MANNERS)
    def reinstate(self, hotel: int, booking: int, force: bool, manner: Manner) -> None:
        """Take a booking back."""
        house = self.house(hotel, "bookings", _may_come_back)
        key = self.pick(house, "bookings", booking, _may_come_back)
        self.run(house, reinstate(house, key, force=force), manner)
