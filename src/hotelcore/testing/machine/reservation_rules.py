"""The rules on bookings: which of their commands the machine may try, and on what."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import rule

from hotelcore import operations as op
from hotelcore.domain.cancellation import CancellationPolicy
from hotelcore.testing import strategies as some
from hotelcore.testing.machine.commands import MANNERS, Manner
from hotelcore.testing.machine.driving import HOTELS, PICKS, Driver, driving, when
from hotelcore.testing.machine.houses import DAY, HOLDING, Booking, House
from hotelcore.testing.machine.reservations import (
    AWAITED,
    amend,
    assign,
    assign_all,
    book,
    cancel,
    confirm,
    expire,
    is_,
    mark_no_show,
    reinstate,
)

__all__ = ["ReservationRules"]

_MANNERS = st.sampled_from(MANNERS)


def _may_be_confirmed(house: House, booking: Booking) -> bool:
    held = booking.hold_until is not None and booking.hold_until > house.now
    return booking.status == "tentative" and held


def _is_missing(house: House, booking: Booking) -> bool:
    return booking.status == "confirmed" and booking.arrival < house.day


def _may_come_back(house: House, booking: Booking) -> bool:
    return booking.status in ("cancelled", "no_show") and not booking.is_over(house.day)


_RARELY = st.sampled_from([False, False, False, True])
_HOLDS = st.sampled_from([None, None, timedelta(hours=20), timedelta(hours=50), timedelta()])
_NUMBERS = st.sampled_from([None, None, "N-1", "N-2"])
_PRICES = st.none() | st.lists(st.sampled_from([0, 1, 9_999, 10_000, -1]), min_size=1, max_size=3)


class ReservationRules(Driver):
    """The rules on bookings."""

    def first_bookings(self, house: House) -> None:
        """Sell a unit from tomorrow on, so that there is something to do."""
        self.run(house, book(house, next(iter(house.guests)), next(iter(house.types)), 1, 2))

    @driving(op.create_booking_with_folio)
    @rule(
        hotel=HOTELS, guest=PICKS, of=PICKS, begins=st.integers(-1, 6), nights=st.integers(0, 5),
        hold=_HOLDS, policy=st.none() | some.policies, number=_NUMBERS, prices=_PRICES,
        force=_RARELY, manner=_MANNERS,
    )  # fmt: skip
    def book_with_terms(
        self, hotel: int, guest: int, of: int, begins: int, nights: int, hold: timedelta | None,
        policy: CancellationPolicy | None, number: str | None, prices: list[int] | None,
        force: bool, manner: Manner,
    ) -> None:  # fmt: skip
        """Book with terms of all kinds."""
        house = self.houses[hotel]
        who, what = self.pick(house, "guests", guest), self.pick(house, "types", of)
        given = None if prices is None else (prices * 5)[: nights or 1]
        command = book(
            house, who, what, begins, nights,
            prices=given, hold=hold, policy=policy, number=number, force=force,
        )  # fmt: skip
        self.run(house, command, manner)

    @driving(op.create_booking_with_folio)
    @rule(hotel=HOTELS, begins=st.integers(0, 3), nights=st.integers(1, 4))
    def book_soon(self, hotel: int, begins: int, nights: int) -> None:
        """Book as most people do."""
        house = self.houses[hotel]
        first = self.pick(house, "types", len(house.types) - 1)
        guest = next((key for key, erased in house.guests.items() if not erased), "0" * 32)
        self.run(house, book(house, guest, first, begins, nights))

    @driving(op.create_booking_with_folio)
    @rule(
        hotel=HOTELS,
        of=PICKS,
        spans=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), min_size=2, max_size=4),
    )
    def book_many(self, hotel: int, of: int, spans: list[tuple[int, int]]) -> None:
        """Sell stays of one type that overlap, so that some nights are full and others not."""
        house = self.houses[hotel]
        guest = self.pick(house, "guests", 0, lambda _, erased: not erased)
        room_type = self.pick(house, "types", of % 20)
        for begins, nights in spans:
            self.run(house, book(house, guest, room_type, begins, nights))

    # All rules are equally likely, and a full house is worth several others.
    book_more = book_many

    @driving(op.confirm_booking)
    @when("bookings", _may_be_confirmed)
    @rule(hotel=HOTELS, booking=PICKS, manner=_MANNERS)
    def confirm(self, hotel: int, booking: int, manner: Manner) -> None:
        """Confirm a booking."""
        house = self.house(hotel, "bookings", _may_be_confirmed)
        self.run(
            house, confirm(house, self.pick(house, "bookings", booking, _may_be_confirmed)), manner
        )

    @driving(op.amend_stay)
    @when("bookings", is_(*HOLDING))
    @rule(
        hotel=HOTELS, booking=PICKS, begins=st.integers(-2, 3), nights=st.integers(0, 6),
        force=_RARELY, manner=_MANNERS,
    )  # fmt: skip
    def amend(
        self, hotel: int, booking: int, begins: int, nights: int, force: bool, manner: Manner
    ) -> None:
        """Give a booking other dates."""
        house = self.house(hotel, "bookings", is_(*HOLDING))
        key = self.pick(house, "bookings", booking, is_(*HOLDING))
        self.run(house, amend(house, key, begins, nights, force=force), manner)

    @driving(op.assign_room)
    @when("bookings", is_(*AWAITED))
    @rule(hotel=HOTELS, booking=PICKS, room=st.none() | PICKS, force=_RARELY, manner=_MANNERS)
    def assign(
        self, hotel: int, booking: int, room: int | None, force: bool, manner: Manner
    ) -> None:
        """Give a booking a room."""
        house = self.house(hotel, "bookings", is_(*AWAITED))
        where = None if room is None else self.pick(house, "rooms", room)
        key = self.pick(house, "bookings", booking, is_(*AWAITED))
        self.run(house, assign(house, key, where, force=force), manner)

    @driving(op.assign_rooms)
    @rule(hotel=HOTELS, of=PICKS, days=st.integers(0, 5), manner=_MANNERS)
    def assign_all(self, hotel: int, of: int, days: int, manner: Manner) -> None:
        """Give rooms to all who arrive soon."""
        house = self.houses[hotel]
        command = assign_all(house, self.pick(house, "types", of), house.day + days * DAY)
        self.run(house, command, manner)

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
