"""How bookings end and are taken back: which nights go back on sale, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotelcore import operations as op
from hotelcore.access import Role
from hotelcore.clock import FixedClock
from hotelcore.core import HotelCore
from hotelcore.domain.bookings import Booking, BookingStatus
from hotelcore.domain.cancellation import CancellationCause, CancellationPolicy, Fee, FeeKind
from hotelcore.domain.folios import FolioStatus, LineKind
from hotelcore.domain.stays import Stay
from hotelcore.errors import (
    ActionRefused,
    InvalidInput,
    PermissionDenied,
)
from hotelcore.events import catalogue as fact
from hotelcore.ids import BookingId
from hotelcore.lists import AuditFilter
from tests.operations.recount import (
    counted_units,
    events_of,
    hearing,
    misplaced_nights,
    recounted_units,
)
from tests.operations.reservations import (
    KEEP,
    add_suites,
    book,
    lives,
    nights_of,
    short_stays,
    stay,
)
from tests.operations.small_hotel import (
    DAY,
    TODAY,
    SmallHotel,
    eur,
    open_hotel,
    refusal,
)

ENDINGS = (fact.BookingCancelled, fact.BookingNoShow, fact.BookingReinstated)


def sellable(hotel: SmallHotel, night: date) -> int:
    """Return how many units of the one type may still be sold on a night."""
    with hotel.desk().reading() as uow:
        (counters,) = uow.inventory.nights(Stay(night, night + DAY), hotel.type_id)
    return counters.sellable


# -- ending -----------------------------------------------------------------------------------

fees = st.builds(Fee, kind=st.sampled_from(FeeKind), basis_points=st.integers(0, 10_000))
policies = st.builds(
    CancellationPolicy, free_days=st.integers(0, 4), late_fee=fees, no_show_fee=fees
)


@lives
@given(
    of=short_stays,
    policy=policies,
    paid=st.lists(st.integers(1, 20_000), max_size=3),
    extras=st.integers(0, 5_000),
    waive=st.booleans(),
)
def test_a_cancellation_refunds_what_was_paid_less_the_fee(
    core: HotelCore,
    clock: FixedClock,
    of: Stay,
    policy: CancellationPolicy,
    paid: list[int],
    extras: int,
    waive: bool,
) -> None:
    """The fee is from nothing to the total; the refund is paid - charged, never below zero."""
    hotel = open_hotel(core, clock)
    booking, folio = book(hotel, of, cancellation=policy)
    for amount in paid:
        hotel.pay(folio.id, amount)
    if extras:
        hotel.charge(folio.id, extras)
    outcome = hotel.desk().run(
        op.cancel_booking_with_refund, booking_id=booking.id, reason="ill", waive_fee=waive
    )
    free = waive or (of.arrival - TODAY).days >= policy.free_days
    agreed = Fee() if free else policy.late_fee
    assert outcome.fee == agreed.of(eur(10_000), booking.total)
    assert eur(0) <= outcome.fee <= booking.total
    owed = outcome.fee.minor + extras
    assert outcome.refund == eur(max(0, sum(paid) - owed))
    left = hotel.folio(folio.id)
    assert left.balance == eur(max(0, owed - sum(paid)))
    assert (left.status is FolioStatus.CLOSED) == (not left.balance)
    refunds = [line.amount for line in hotel.lines(folio.id) if line.kind is LineKind.REFUND]
    assert sum(amount.minor for amount in refunds) == outcome.refund.minor
    assert counted_units(hotel) == {}


def test_the_fee_is_kept_from_the_folio_that_was_paid(hotel: SmallHotel) -> None:
    """With two folios the fee goes where the credit is, so the refund is still paid - fee."""
    policy = CancellationPolicy(free_days=9, late_fee=Fee(kind=FeeKind.FIRST_NIGHT))
    booking, first = book(hotel, stay(0, 2), cancellation=policy)
    second = hotel.desk().run(op.open_folio, booking_id=booking.id)
    hotel.pay(second.id, 15_000)
    outcome = hotel.desk().run(op.cancel_booking_with_refund, booking_id=booking.id, reason="ill")
    assert (outcome.fee, outcome.refund) == (eur(10_000), eur(5_000))
    assert {hotel.folio(f.id).status for f in (first, second)} == {FolioStatus.CLOSED}


def test_a_fee_without_an_open_folio_opens_one(hotel: SmallHotel) -> None:
    """Where every folio is closed, the fee stands on a new one of the booking's guest."""
    policy = CancellationPolicy(free_days=9, late_fee=Fee(kind=FeeKind.FIRST_NIGHT))
    booking, first = book(hotel, stay(0, 2), cancellation=policy)
    hotel.desk().run(op.close_folio, folio_id=first.id)
    hotel.desk().run(op.cancel_booking_with_refund, booking_id=booking.id, reason="ill")
    with hotel.desk().reading() as uow:
        _, second = uow.folios.of_booking(booking.id)
    assert (second.guest_id, second.balance) == (hotel.guest_id, eur(10_000))
    (line,) = hotel.lines(second.id)
    assert (line.code, line.description) == ("cancellation_fee", "")


def test_what_one_folio_owes_is_kept_from_what_the_others_paid(hotel: SmallHotel) -> None:
    """The booking gets back what its folios together are in credit, however it lies in them."""
    booking, first = book(hotel, stay(0, 1))
    second, third = (hotel.desk().run(op.open_folio, booking_id=booking.id) for _ in range(2))
    hotel.pay(first.id, 5_000)
    hotel.pay(second.id, 5_000)
    hotel.charge(third.id, 6_000)
    outcome = hotel.desk().run(op.cancel_booking_with_refund, booking_id=booking.id, reason="ill")
    assert outcome.refund == eur(4_000)
    left = [hotel.folio(folio.id).balance for folio in (first, second, third)]
    assert left == [eur(-1_000), eur(-5_000), eur(6_000)]


def test_waiving_the_fee_needs_its_permission(hotel: SmallHotel) -> None:
    """Nobody waives a fee without the right to override the rules, or without a reason."""
    booking, _ = book(hotel, stay(0, 1))
    for desk, what in ((hotel.desk(Role.RECEPTION), ""), (hotel.clerk(), " with waive_fee")):
        with pytest.raises(PermissionDenied, match=f"^cancel_booking_with_refund{what} needs"):
            desk.run(
                op.cancel_booking_with_refund, booking_id=booking.id, reason="ill", waive_fee=True
            )
    for bad in (" ", "x" * 501):
        with pytest.raises(InvalidInput, match=r"^reason: "):
            hotel.desk().run(op.cancel_booking_with_refund, booking_id=booking.id, reason=bad)
    assert hotel.booking(booking.id).status is BookingStatus.CONFIRMED


def named(hotel: SmallHotel, booking: Booking) -> dict[str, Any]:  # fields of several types
    """Return the fields by which every event of an ending names its booking."""
    number = booking.confirmation_number
    return {
        "hotel_id": hotel.hotel_id,
        "booking_id": booking.id,
        "confirmation_number": number,
    }


def test_an_ending_is_reported_with_what_it_cost(hotel: SmallHotel, core: HotelCore) -> None:
    """Fee, refund and released nights are in the event, and the reason in entry and refund."""
    heard = hearing(core)
    fee = Fee(kind=FeeKind.FIRST_NIGHT)
    policy = CancellationPolicy(free_days=9, late_fee=fee, no_show_fee=fee)
    cancelled, folio = book(hotel, stay(0, 2), cancellation=policy)
    hotel.pay(folio.id, 15_000)
    reason = "x" * 500
    hotel.desk().run(op.cancel_booking_with_refund, booking_id=cancelled.id, reason=reason)
    assert hotel.booking(cancelled.id).cancelled_at == hotel.clock.now()
    held, _ = book(hotel, stay(0, 3), hold_until=hotel.clock.now() + DAY, cancellation=policy)
    hotel.clock.advance(DAY)
    hotel.desk().run(op.expire_holds)
    again = hotel.desk().run(op.reinstate_booking, booking_id=cancelled.id)
    assert [event for event in heard if isinstance(event, ENDINGS)] == [
        fact.BookingCancelled(
            fee=eur(10_000),
            refund=eur(5_000),
            nights_released=2,
            reason=CancellationCause.REQUESTED,
            **named(hotel, cancelled),
        ),
        fact.BookingCancelled(
            fee=eur(0),
            refund=eur(0),
            nights_released=3,
            reason=CancellationCause.HOLD_EXPIRED,
            **named(hotel, held),
        ),
        fact.BookingReinstated(
            arrival=again.stay.arrival, departure=again.stay.departure, **named(hotel, again)
        ),
    ]
    (refund,) = [line for line in hotel.lines(folio.id) if line.kind is LineKind.REFUND]
    assert refund.description == reason
    with hotel.desk().reading() as uow:
        entries = uow.audit.page(AuditFilter(operation="cancel_booking_with_refund")).items
    assert [entry.reason for entry in entries] == [reason]


def test_a_no_show_is_reported_with_its_fee(core: HotelCore, clock: FixedClock) -> None:
    """The event has the fee by the booking's terms and the nights that are back on sale."""
    hotel = open_hotel(core, clock, rules=KEEP)
    policy = CancellationPolicy(no_show_fee=Fee(kind=FeeKind.FIRST_NIGHT))
    booking, _ = book(hotel, stay(0, 3), cancellation=policy)
    hotel.close_day()
    heard = hearing(core)
    _no_show(hotel, booking.id)
    assert heard[0] == fact.BookingNoShow(
        fee=eur(10_000), nights_released=2, **named(hotel, booking)
    )
    assert [type(event) for event in heard[1:]] == [fact.ChargePosted]


def _cancel(hotel: SmallHotel, booking_id: BookingId) -> object:
    return hotel.desk().run(op.cancel_booking_with_refund, booking_id=booking_id, reason="ill")


def _no_show(hotel: SmallHotel, booking_id: BookingId) -> object:
    return hotel.desk().run(op.mark_no_show, booking_id=booking_id)


def _leave(hotel: SmallHotel, booking_id: BookingId) -> object:
    return hotel.desk().run(
        op.check_out_guest, booking_id=booking_id, unsettled_reason="the company pays"
    )


def _expire(hotel: SmallHotel, booking_id: BookingId) -> object:
    ended = hotel.desk().run(op.expire_holds)
    if booking_id not in {booking.id for booking in ended}:
        raise ActionRefused(action="expire", reasons=("wrong_status",))
    return ended


@lives
@given(nights=st.integers(1, 4), passed=st.integers(0, 4), with_room=st.booleans())
@pytest.mark.parametrize("end", [_cancel, _no_show, _leave, _expire])
def test_an_ending_returns_exactly_the_unconsumed_nights_once(
    core: HotelCore,
    clock: FixedClock,
    end: Callable[[SmallHotel, BookingId], object],
    nights: int,
    passed: int,
    with_room: bool,
) -> None:
    """Nights from the business date on are free again, earlier ones never; no end comes twice."""
    passed = min(passed, nights)
    if end is _no_show:
        passed = max(passed, 1)
    hotel = open_hotel(core, clock, rooms=1, rules=KEEP)
    until = clock.now() + passed * DAY if end is _expire else None
    if end is _expire and not passed:
        until = clock.now() + timedelta(seconds=1)
    arrival = hotel.today
    booking, _ = book(hotel, Stay(arrival, arrival + nights * DAY), hold_until=until)
    if with_room:
        hotel.desk().run(op.assign_room, booking_id=booking.id)
    if end is _leave:
        hotel.check_in(booking)
    for _ in range(passed):
        hotel.close_day()
    clock.advance(timedelta(seconds=1))
    end(hotel, booking.id)
    # Who left was in that room; who never came has none any more.
    assert (hotel.booking(booking.id).room_id is not None) == (end is _leave)
    left = {night: sellable(hotel, night) for night in booking.stay}
    assert left == {night: int(night >= arrival + passed * DAY) for night in booking.stay}
    assert isinstance(refusal(lambda: end(hotel, booking.id)), ActionRefused)
    assert left == {night: sellable(hotel, night) for night in booking.stay}
    assert counted_units(hotel) == recounted_units(hotel)
    assert misplaced_nights(hotel) == []


def test_nights_that_were_given_up_are_not_given_back_again(
    core: HotelCore, clock: FixedClock
) -> None:
    """Who shortens a stay and then cancels it leaves the nights of another guest alone."""
    hotel = open_hotel(core, clock, rooms=2, rules=KEEP)
    arrival = hotel.today
    booking, _ = book(hotel, Stay(arrival, arrival + 3 * DAY))
    book(hotel, Stay(arrival, arrival + 3 * DAY))
    shorter = Stay(arrival, arrival + DAY)
    hotel.desk().run(op.amend_stay, booking_id=booking.id, stay=shorter)
    _cancel(hotel, booking.id)
    assert [sellable(hotel, night) for night in booking.stay] == [1, 1, 1]
    assert counted_units(hotel) == recounted_units(hotel)


@lives
@given(nights=st.integers(1, 3), policy=policies)
def test_a_no_show_costs_what_was_agreed(
    core: HotelCore, clock: FixedClock, nights: int, policy: CancellationPolicy
) -> None:
    """Nobody is a no-show on the day of arrival; a day later it costs the fee of the policy."""
    hotel = open_hotel(core, clock, rules=KEEP)
    arrival = hotel.today
    booking, folio = book(hotel, Stay(arrival, arrival + nights * DAY), cancellation=policy)
    with pytest.raises(ActionRefused) as refused:
        _no_show(hotel, booking.id)
    assert refused.value.reasons == ("arrival_not_passed",)
    hotel.close_day()
    gone = hotel.desk().run(op.mark_no_show, booking_id=booking.id)
    assert (gone.status, gone.no_show_on) == (BookingStatus.NO_SHOW, arrival + DAY)
    fee = policy.no_show_fee.of(eur(10_000), booking.total)
    assert hotel.folio(folio.id).balance == fee
    assert [line.code for line in hotel.lines(folio.id)] == ["no_show_fee"] * bool(fee)


# -- taking back ------------------------------------------------------------------------------


@lives
@given(nights=st.integers(1, 4), before=st.integers(0, 3), after=st.integers(0, 3))
@pytest.mark.parametrize("end", [_cancel, _no_show])
def test_a_reinstated_booking_holds_its_nights_to_come(
    core: HotelCore,
    clock: FixedClock,
    end: Callable[[SmallHotel, BookingId], object],
    nights: int,
    before: int,
    after: int,
) -> None:
    """What is left of the stay is sold again; of a stay that is over nothing is left."""
    before = max(before, 1) if end is _no_show else before
    hotel = open_hotel(core, clock, rooms=1, rules=KEEP)
    arrival = hotel.today
    booking, folio = book(hotel, Stay(arrival, arrival + nights * DAY))
    for _ in range(before):
        hotel.close_day()
    end(hotel, booking.id)
    for _ in range(after):
        hotel.close_day()
    refused = refusal(lambda: hotel.desk().run(op.reinstate_booking, booking_id=booking.id))
    passed = before + after
    if passed >= nights:
        assert isinstance(refused, ActionRefused)
        assert refused.reasons == ("stay_is_over",)
        return
    assert refused is None
    again = hotel.booking(booking.id)
    spent = {arrival + n * DAY for n in range(before)}
    to_come = {arrival + n * DAY for n in range(passed, nights)}
    kept = [night for night in nights_of(hotel, again) if not night.released]
    assert {night.night for night in kept} == spent | to_come
    assert (again.status, again.room_id) == (BookingStatus.CONFIRMED, None)
    assert (again.cancelled_at, again.no_show_on) == (None, None)
    assert again.total == eur(10_000) * len(kept)
    assert hotel.folio(folio.id).status is FolioStatus.OPEN
    assert counted_units(hotel) == recounted_units(hotel)


def test_a_full_house_of_another_type_hinders_no_reinstatement(hotel: SmallHotel) -> None:
    """Only the booked type needs a unit on each night."""
    suites, _ = add_suites(hotel)
    booking, _ = book(hotel, stay(0, 2))
    _cancel(hotel, booking.id)
    hotel.desk().run(
        op.create_booking_with_folio,
        guest_id=hotel.guest_id,
        room_type_id=suites,
        stay=stay(0, 2),
    )
    again = hotel.desk().run(op.reinstate_booking, booking_id=booking.id)
    assert again.status is BookingStatus.CONFIRMED


def test_reinstating_runs_the_sale_rule_again(core: HotelCore, clock: FixedClock) -> None:
    """A full night refuses the reinstatement, unless a manager says why not."""
    hotel = open_hotel(core, clock, rooms=1)
    booking, _ = book(hotel, stay(0, 3))
    _cancel(hotel, booking.id)
    book(hotel, stay(1, 1))
    before = hotel.rows()
    with pytest.raises(ActionRefused) as refused:
        hotel.desk().run(op.reinstate_booking, booking_id=booking.id)
    assert refused.value.reasons == ("sold_out",)
    assert hotel.rows() == before
    again = hotel.desk().run(
        op.reinstate_booking, booking_id=booking.id, force_reason="our mistake"
    )
    assert again.status is BookingStatus.CONFIRMED
    assert counted_units(hotel)["DBL", str(TODAY + DAY)] == (2, 0)
    assert events_of(hotel)[-1] == "booking.reinstated"
