"""The action table, the terms of cancellation, and the sums of a ledger, without a database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotelcore.domain.audit import text_of_change
from hotelcore.domain.bookings import (
    Action,
    Booking,
    BookingStatus,
    Reason,
    Surroundings,
    allowed_actions,
    reasons_against,
    refuse_unless_allowed,
)
from hotelcore.domain.cancellation import CancellationPolicy, Fee, FeeKind
from hotelcore.domain.fields import Attributes
from hotelcore.domain.folios import (
    FolioLine,
    LineKind,
    allowance_of,
    refund_of,
    refunds_of,
    remaining,
    void_of,
)
from hotelcore.domain.guests import Guest, email_key, name_key, phone_key
from hotelcore.domain.hotels import HouseRules
from hotelcore.domain.housekeeping import TaskKind, condition_after
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import RoomCondition
from hotelcore.domain.stays import Stay
from hotelcore.errors import ActionRefused, AmountRefused, InvalidInput
from hotelcore.ids import BookingId, FolioId, FolioLineId, GuestId, HotelId, RoomTypeId, new_id

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TODAY = date(2026, 6, 1)
NO_SUCH_LINE = FolioLineId(new_id())

# What a booking may become, and by what: written down again, from the words of the trade.
EDGES = {
    (BookingStatus.TENTATIVE, Action.CONFIRM),
    (BookingStatus.TENTATIVE, Action.AMEND),
    (BookingStatus.TENTATIVE, Action.ASSIGN_ROOM),
    (BookingStatus.TENTATIVE, Action.CANCEL),
    (BookingStatus.CONFIRMED, Action.AMEND),
    (BookingStatus.CONFIRMED, Action.ASSIGN_ROOM),
    (BookingStatus.CONFIRMED, Action.CHECK_IN),
    (BookingStatus.CONFIRMED, Action.CANCEL),
    (BookingStatus.CONFIRMED, Action.MARK_NO_SHOW),
    (BookingStatus.IN_HOUSE, Action.AMEND),
    (BookingStatus.IN_HOUSE, Action.MOVE_ROOM),
    (BookingStatus.IN_HOUSE, Action.CHECK_OUT),
    (BookingStatus.CANCELLED, Action.REINSTATE),
    (BookingStatus.NO_SHOW, Action.REINSTATE),
}


def booking(status: BookingStatus, arrival: int = 0, nights: int = 2) -> Booking:
    """Return a booking that arrives some days from today."""
    first = TODAY + timedelta(days=arrival)
    return Booking(
        id=BookingId(new_id()),
        hotel_id=HotelId(new_id()),
        confirmation_number="A1",
        guest_id=GuestId(new_id()),
        room_type_id=RoomTypeId(new_id()),
        stay=Stay(first, first + timedelta(days=nights)),
        status=status,
        channel="direct",
        total=Money(0, "EUR"),
        cancellation=CancellationPolicy(),
        created_at=NOW,
    )


surroundings = st.builds(
    Surroundings,
    now=st.just(NOW),
    has_room=st.booleans(),
    room_occupied=st.booleans(),
    room_ready=st.booleans(),
    balance_open=st.booleans(),
    sellable=st.booleans(),
    guest_anonymised=st.booleans(),
)
statuses = st.sampled_from(BookingStatus)


@given(statuses, st.integers(-4, 4), st.integers(0, 3), surroundings)
def test_only_the_edges_of_the_table_exist(
    status: BookingStatus, arrival: int, nights: int, around: Surroundings
) -> None:
    """An action outside its states is refused for that alone; inside them never for that."""
    for action, reasons in allowed_actions(booking(status, arrival, nights), TODAY, around).items():
        assert (reasons == (Reason.WRONG_STATUS,)) == ((status, action) not in EDGES)


@pytest.mark.parametrize("action", Action)
@given(around=surroundings)
def test_every_action_stands_in_the_table(action: Action, around: Surroundings) -> None:
    """Each is judged in the states that it has, by reasons of its own; a forgotten one in none."""
    states = [status for status, possible in EDGES if possible is action]
    assert states
    for status in states:
        against = reasons_against(action, booking(status), TODAY, around)
        assert Reason.WRONG_STATUS not in against


@given(st.integers(-4, 4), st.integers(0, 3), surroundings)
def test_a_check_in_needs_the_day_and_a_fit_room(
    arrival: int, nights: int, around: Surroundings
) -> None:
    """It is possible exactly from arrival until the stay is over, into a free and ready room."""
    wanted = booking(BookingStatus.CONFIRMED, arrival, nights)
    days = max(nights, 1)
    possible = (
        -days < arrival <= 0 and around.has_room and not around.room_occupied and around.room_ready
    )
    assert (allowed_actions(wanted, TODAY, around)[Action.CHECK_IN] == ()) == possible


@given(
    statuses, st.integers(-4, 4), st.integers(0, 3), surroundings, st.integers(-1, 1) | st.none()
)
def test_every_reason_stands_where_its_words_hold(
    status: BookingStatus, arrival: int, nights: int, around: Surroundings, hold: int | None
) -> None:
    """Each reason is given exactly where it is true, and no other beside it."""
    wanted = booking(status, arrival, nights)
    if hold is not None:
        wanted = attrs.evolve(wanted, hold_until=NOW + timedelta(minutes=hold))
    over = arrival + max(nights, 1) <= 0
    hold_over = hold is not None and hold <= 0
    no_room = around.has_room is False
    unfit = {
        Reason.ROOM_OCCUPIED: around.has_room and around.room_occupied,
        Reason.ROOM_NOT_READY: around.has_room and not around.room_ready,
    }
    words: dict[Action, dict[Reason, bool]] = {
        Action.CONFIRM: {
            Reason.HOLD_EXPIRED: hold_over,
            Reason.STAY_IS_OVER: over,
        },
        Action.AMEND: {
            Reason.HOLD_EXPIRED: hold_over,
            Reason.STAY_IS_OVER: over and status is not BookingStatus.IN_HOUSE,
        },
        Action.ASSIGN_ROOM: {
            Reason.HOLD_EXPIRED: hold_over,
            Reason.STAY_IS_OVER: over,
            Reason.NO_ROOM: no_room and not over,
        },
        Action.CHECK_IN: {
            Reason.ARRIVAL_NOT_REACHED: arrival > 0,
            Reason.STAY_IS_OVER: over,
            Reason.NO_ROOM: no_room,
            **unfit,
        },
        Action.CHECK_OUT: {Reason.BALANCE_OPEN: around.balance_open},
        Action.MARK_NO_SHOW: {Reason.ARRIVAL_NOT_PASSED: arrival >= 0},
        Action.REINSTATE: {
            Reason.ANONYMISED: around.guest_anonymised,
            Reason.STAY_IS_OVER: over,
            Reason.SOLD_OUT: not around.sellable and not over,
        },
    }
    for action, reasons in allowed_actions(wanted, TODAY, around).items():
        if (status, action) in EDGES:
            true = {reason for reason, holds in words.get(action, {}).items() if holds}
            assert set(reasons) == true, action


@given(statuses, st.integers(-4, 4), st.integers(0, 3), surroundings)
def test_the_exception_follows_the_same_table(
    status: BookingStatus, arrival: int, nights: int, around: Surroundings
) -> None:
    """An action raises exactly when the table has reasons against it, and with those."""
    wanted = booking(status, arrival, nights)
    for action, reasons in allowed_actions(wanted, TODAY, around).items():
        if reasons:
            with pytest.raises(ActionRefused) as refused:
                refuse_unless_allowed(action, wanted, TODAY, around)
            told = refused.value
            assert (told.action, told.reasons, told.status) == (action, reasons, status)
        else:
            refuse_unless_allowed(action, wanted, TODAY, around)


fees = st.builds(Fee, kind=st.sampled_from(FeeKind), basis_points=st.integers(0, 10_000))
policies = st.builds(
    CancellationPolicy, free_days=st.integers(0, 10), late_fee=fees, no_show_fee=fees
)
prices = st.lists(st.integers(-5_000, 50_000), min_size=1, max_size=6).map(
    lambda amounts: tuple(Money(amount, "EUR") for amount in amounts)
)


@given(policies, prices, st.integers(-3, 15))
def test_a_fee_lies_between_nothing_and_the_total(
    policy: CancellationPolicy, nightly: tuple[Money, ...], ahead: int
) -> None:
    """Whatever the terms, a fee is never negative, and never above a total that is not negative."""
    stay = Stay(TODAY, TODAY + timedelta(days=len(nightly)))
    total = sum(price.minor for price in nightly)
    for fee in (
        policy.cancellation_fee(stay, nightly, TODAY - timedelta(days=ahead)),
        policy.fee_for_no_show(nightly),
    ):
        assert fee is not None
        assert 0 <= fee.minor <= max(total, 0)


@given(st.sampled_from(FeeKind), st.integers(0, 10_000), st.integers(0, 500), st.integers(0, 900))
def test_a_fee_is_a_share_of_what_it_is_reckoned_from(
    kind: FeeKind, share: int, first: int, total: int
) -> None:
    """Half a unit at most lies between the fee and the exact share, unless the total is less."""
    fee = Fee(kind=kind, basis_points=share).of(Money(first, "EUR"), Money(total, "EUR"))
    base = {FeeKind.NONE: 0, FeeKind.FIRST_NIGHT: first, FeeKind.SHARE: total}[kind]
    assert fee.minor == total or abs(fee.minor * 10_000 - base * share) <= 5_000
    assert fee.minor < total or base * share >= total * 10_000 - 5_000


@given(prices, st.integers(0, 10), st.integers(0, 20))
def test_a_cancellation_in_time_is_free(
    nightly: tuple[Money, ...], free_days: int, ahead: int
) -> None:
    """The late fee is due exactly when fewer than the free days are left."""
    policy = CancellationPolicy(free_days=free_days, late_fee=Fee(kind=FeeKind.SHARE))
    stay = Stay(TODAY, TODAY + timedelta(days=len(nightly)))
    total = max(sum(price.minor for price in nightly), 0)
    fee = policy.cancellation_fee(stay, nightly, TODAY - timedelta(days=ahead))
    assert fee == Money(0 if ahead >= free_days else total, "EUR")


def line(kind: LineKind, minor: int, refers_to: FolioLineId | None = None) -> FolioLine:
    """Return a posted line."""
    return FolioLine(
        id=FolioLineId(new_id()),
        hotel_id=HotelId(new_id()),
        folio_id=FolioId(new_id()),
        booking_id=BookingId(new_id()),
        kind=kind,
        code="bar",
        description="",
        amount=Money(minor, "EUR"),
        business_date=TODAY,
        service_date=TODAY,
        refers_to=refers_to,
        posted_at=NOW,
        posted_by="ana",
    )


@given(st.integers(1, 1_000), st.lists(st.integers(1, 1_000), max_size=8))
def test_refunds_and_allowances_never_pass_what_they_refer_to(
    amount: int, wanted: list[int]
) -> None:
    """Granted one by one, they stop exactly where the original is used up."""
    for original, part_of, kind in (
        (line(LineKind.PAYMENT, -amount), refund_of, LineKind.REFUND),
        (line(LineKind.CHARGE, amount), allowance_of, LineKind.ALLOWANCE),
    ):
        granted: tuple[FolioLine, ...] = ()
        for part in wanted:
            left = remaining(original, granted).minor
            if part > left:
                with pytest.raises(AmountRefused):
                    part_of(original, granted, Money(part, "EUR"))
            else:
                effect = part_of(original, granted, Money(part, "EUR"))
                granted += (line(kind, effect.minor, original.id),)
        assert 0 <= remaining(original, granted).minor <= amount


REFUSED_LINES = [
    (
        lambda: void_of(line(LineKind.VOID, 1, NO_SUCH_LINE), ()),
        "a void cannot be voided: post the line anew",
    ),
    (
        lambda: allowance_of(line(LineKind.PAYMENT, -1), (), Money(1, "EUR")),
        "an allowance lowers a charge, and this line is none",
    ),
    (
        lambda: refund_of(line(LineKind.CHARGE, 1), (), Money(1, "EUR")),
        "a refund gives a payment back, and this line is none",
    ),
    (
        lambda: allowance_of(line(LineKind.CHARGE, 100), (), Money(101, "EUR")),
        "the allowance of 1.01 EUR passes what is left of the charge: 1.00 EUR",
    ),
    (
        lambda: refund_of(line(LineKind.PAYMENT, -100), (), Money(101, "EUR")),
        "the refund of 1.01 EUR passes what is left of the payment: 1.00 EUR",
    ),
    (
        lambda: refund_of(line(LineKind.PAYMENT, -100), (), Money(0, "EUR")),
        "amount: must be more than zero",
    ),
    (lambda: line(LineKind.CHARGE, -1), "amount: has the wrong sign for a charge"),
    (
        lambda: line(LineKind.REFUND, 1),
        "refers_to: a refund names the line it belongs to",
    ),
]


@pytest.mark.parametrize(("refused", "text"), REFUSED_LINES)
def test_a_refused_line_says_why(refused: Callable[[], object], text: str) -> None:
    """The ledger's refusals name the rule and the amounts."""
    with pytest.raises((AmountRefused, InvalidInput)) as told:
        refused()
    assert str(told.value) == text


@given(st.integers(1, 1_000))
def test_payments_and_rebates_have_their_opposites_too(amount: int) -> None:
    """A payment, and a night that was sold below zero, are voided by what they took off."""
    payment = line(LineKind.PAYMENT, -amount)
    rebate = attrs.evolve(payment, kind=LineKind.CHARGE, night=TODAY)
    for original in (payment, rebate):
        assert void_of(original, ()) == Money(amount, "EUR")
    refund = line(LineKind.REFUND, 1, payment.id)
    with pytest.raises(AmountRefused):
        void_of(payment, (refund,))


@given(st.integers(1, 1_000), st.integers(1, 1_000))
def test_a_lowered_line_is_not_voided(amount: int, part: int) -> None:
    """A charge with an allowance, or voided before, is left alone, and the text says which."""
    charge = line(LineKind.CHARGE, amount + part)
    lower = line(LineKind.ALLOWANCE, -part, charge.id)
    with pytest.raises(AmountRefused) as told:
        void_of(charge, (lower,))
    assert str(told.value) == "allowances or refunds refer to the line: void those first"
    taken_back = line(LineKind.VOID, part, lower.id)
    assert void_of(charge, (lower, taken_back)) == -charge.amount
    void = line(LineKind.VOID, -charge.amount.minor, charge.id)
    with pytest.raises(AmountRefused, match=r"^the line is already voided$"):
        void_of(charge, (void,))


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), max_size=5), st.integers(0, 300))
def test_a_refund_is_spread_from_the_oldest_payment_on(
    paid: list[tuple[int, int]], wanted: int
) -> None:
    """Each payment gives what is left of it before the next one gives anything."""
    lines = [line(LineKind.CHARGE, 7)]
    left: dict[FolioLineId, int] = {}
    for amount, back in paid:
        payment = line(LineKind.PAYMENT, -amount)
        lines.append(payment)
        left[payment.id] = amount - min(back, amount)
        if back:
            lines.append(line(LineKind.REFUND, min(back, amount), payment.id))
    expected, open_ = [], wanted
    for key, most in left.items():
        if part := min(open_, most):
            expected.append((key, part))
            open_ -= part
    parts = refunds_of(lines, Money(wanted, "EUR"))
    assert [(payment.id, part.minor) for payment, part in parts] == expected


@given(st.integers(1, 1_000))
def test_a_void_is_the_exact_opposite_and_only_once(amount: int) -> None:
    """Original and void are zero together; a second void, and one of a void, are refused."""
    charge = line(LineKind.CHARGE, amount)
    void = line(LineKind.VOID, void_of(charge, ()).minor, charge.id)
    assert not charge.amount + void.amount
    for again, known in ((charge, (void,)), (void, ())):
        with pytest.raises(AmountRefused):
            void_of(again, known)


@pytest.mark.parametrize(
    ("kind", "minor", "refers_to"),
    [
        (LineKind.CHARGE, -1, None),
        (LineKind.PAYMENT, 1, None),
        (LineKind.ALLOWANCE, 1, NO_SUCH_LINE),
        (LineKind.REFUND, -1, NO_SUCH_LINE),
        (LineKind.REFUND, 1, None),
        (LineKind.VOID, 1, None),
    ],
)
def test_a_line_with_a_wrong_sign_or_no_original_is_refused(
    kind: LineKind, minor: int, refers_to: FolioLineId | None
) -> None:
    """Credits are negative, debits positive, and a reversal names what it reverses."""
    with pytest.raises(InvalidInput):
        line(kind, minor, refers_to)


def test_the_least_amounts_are_taken() -> None:
    """A line may be of nothing, and the smallest unit of a payment may be given back."""
    for kind in (LineKind.CHARGE, LineKind.PAYMENT, LineKind.ALLOWANCE):
        assert not line(kind, 0).amount
    assert refund_of(line(LineKind.PAYMENT, -1), (), Money(1, "EUR")) == Money(1, "EUR")


@given(st.sampled_from(TaskKind), st.sampled_from(RoomCondition))
def test_a_task_never_makes_a_room_worse(kind: TaskKind, condition: RoomCondition) -> None:
    """Cleaning ends clean or inspected; only an inspection of a clean room ends inspected."""
    worst_first = list(RoomCondition)
    fit = condition in (RoomCondition.CLEAN, RoomCondition.INSPECTED)
    if kind is TaskKind.INSPECTION and not fit:
        with pytest.raises(ActionRefused) as refused:
            condition_after(kind, condition)
        assert (refused.value.action, refused.value.reasons) == ("inspect", ("room_not_clean",))
        return
    after = condition_after(kind, condition)
    assert after in (RoomCondition.CLEAN, RoomCondition.INSPECTED)
    assert worst_first.index(after) >= worst_first.index(condition)
    assert (after is RoomCondition.INSPECTED) == (
        kind is TaskKind.INSPECTION or condition is RoomCondition.INSPECTED
    )


@pytest.mark.parametrize("ready", [RoomCondition.CLEAN, RoomCondition.INSPECTED])
def test_house_rules_say_which_rooms_are_ready(ready: RoomCondition) -> None:
    """A room is ready in the wanted condition and in a better one, in no worse one."""
    order = list(RoomCondition)
    rules = HouseRules(ready_condition=ready)
    assert [c for c in order if rules.is_ready(c)] == order[order.index(ready) :]


@pytest.mark.parametrize("condition", [RoomCondition.DIRTY, RoomCondition.PICKUP, "spotless"])
def test_a_dirty_room_is_never_ready(condition: RoomCondition) -> None:
    """House rules that would check guests in to dirty rooms cannot be made."""
    with pytest.raises(ValueError, match=r"ready_condition|spotless"):
        HouseRules(ready_condition=condition)


@given(st.text(max_size=60))
def test_search_keys_are_stable(text: str) -> None:
    """Folding what is folded changes nothing, so a stored key is found by itself."""
    assert name_key(name_key(text)) == name_key(text)
    assert email_key(email_key(text)) == email_key(text)
    assert phone_key(phone_key(text)) == phone_key(text)


def test_names_are_found_without_accents_and_case() -> None:
    """A clerk without the right keyboard finds the guest."""
    assert name_key("  MÜLLER-Østby ") == name_key("muller-Østby")
    assert phone_key("+351 (0) 21-٣٤٥") == "351021345"


def test_a_guest_shows_nothing_personal() -> None:
    """Neither the repr nor a change noted for the audit holds a guest's own words."""
    before = Guest(
        id=GuestId(new_id()),
        hotel_id=HotelId(new_id()),
        last_name="Canary-Last",
        first_name="Canary-First",
        email="canary@example.com",
        phone="555-canary",
        country="PRT",
        attributes=Attributes({"note": "canary"}),
        created_at=NOW,
    )
    after = attrs.evolve(before, last_name="Canary-Other", vip=True)
    shown = repr(before) + text_of_change("guest", before.id, before, after)
    assert "anary" not in shown
    assert "vip" in shown
