"""Folios add up after whatever is done to them, and correct nothing twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from attrs import define, field
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hotelcore import operations as op
from hotelcore.access import Role
from hotelcore.clock import FixedClock
from hotelcore.core import HotelCore
from hotelcore.domain.bookings import Booking
from hotelcore.domain.cancellation import CancellationPolicy, Fee, FeeKind
from hotelcore.domain.folios import FolioLine, FolioStatus, LineKind
from hotelcore.domain.money import Money, sum_money
from hotelcore.domain.stays import Stay
from hotelcore.errors import (
    AmountRefused,
    CurrencyMismatch,
    FolioClosed,
    HotelcoreError,
    InvalidInput,
    NotFound,
    PermissionDenied,
)
from hotelcore.events import catalogue as fact
from hotelcore.events.catalogue import Event
from hotelcore.ids import FolioId, FolioLineId
from hotelcore.lists import AuditFilter
from tests.operations.small_hotel import (
    DAY,
    TODAY,
    SmallHotel,
    eur,
    open_hotel,
    refusal,
)

# -- a model that knows amounts and nothing else ----------------------------------------------


@define
class Posted:
    """A line as the model knows it; ``left`` is what may still be allowed or refunded of it."""

    id: FolioLineId
    folio: int
    kind: LineKind
    amount: int
    left: int
    lowers: Posted | None = None
    voided: bool = False


@define
class Ledger:
    """Two folios of one booking: which are open, what they owe, and their lines."""

    open: list[bool] = field(factory=lambda: [True, True])
    owed: list[int] = field(factory=lambda: [0, 0])
    lines: list[Posted] = field(factory=list)

    def accepts(self, name: str, folio: int, line: Posted | None, amount: int) -> bool:
        """Foretell whether a command succeeds."""
        if name in ("charge", "pay"):
            return self.open[folio]
        if name == "close":
            return self.open[folio] and self.owed[folio] == 0
        if line is None or not self.open[line.folio]:
            return False
        charge, whole = line.kind is LineKind.CHARGE, line.left == line.amount
        if name == "allow":
            return charge and amount <= line.left
        if name == "refund":
            return line.kind is LineKind.PAYMENT and amount <= line.left
        voidable = not line.voided and (whole if charge else line.kind is LineKind.ALLOWANCE)
        if name == "void":
            return voidable
        return charge and voidable and folio != line.folio and self.open[folio]

    def apply(self, name: str, folio: int, line: Posted | None, amount: int) -> list[Posted]:
        """Do what an accepted command does; return the lines that it posts, yet without id."""
        if name == "close":
            self.open[folio] = False
            return []
        if name in ("charge", "pay"):
            kind = LineKind.CHARGE if name == "charge" else LineKind.PAYMENT
            return [self._post(folio, kind, amount, 1 if name == "charge" else -1)]
        assert line is not None
        if name in ("allow", "refund"):
            line.left -= amount
            kind = LineKind.ALLOWANCE if name == "allow" else LineKind.REFUND
            return [self._post(line.folio, kind, amount, -1 if name == "allow" else 1, line)]
        line.voided, line.left = True, 0
        if line.lowers is not None:
            line.lowers.left += line.amount
        sign = -1 if line.kind is LineKind.CHARGE else 1
        void = self._post(line.folio, LineKind.VOID, line.amount, sign, line)
        if name == "void":
            return [void]
        return [void, self._post(folio, LineKind.CHARGE, line.amount, 1)]

    def _post(
        self, folio: int, kind: LineKind, amount: int, sign: int, lowers: Posted | None = None
    ) -> Posted:
        self.owed[folio] += sign * amount
        line = Posted(FolioLineId(uuid4()), folio, kind, amount, amount, lowers)
        self.lines.append(line)
        return line


def perform(
    hotel: SmallHotel, folios: list[FolioId], name: str, folio: int, line: Posted, amount: int
) -> list[FolioLine]:
    """Run one command of the library and return the lines that it posted."""
    desk, money = hotel.desk(), eur(amount)
    if name == "charge":
        return [hotel.charge(folios[folio], amount)]
    if name == "pay":
        return [hotel.pay(folios[folio], amount)]
    if name == "close":
        desk.run(op.close_folio, folio_id=folios[folio])
        return []
    if name == "allow":
        return [desk.run(op.grant_allowance, line_id=line.id, amount=money, reason="late")]
    if name == "refund":
        return [desk.run(op.refund_payment, line_id=line.id, amount=money, reason="late")]
    if name == "void":
        return [desk.run(op.void_charge, line_id=line.id, reason="wrong")]
    return list(desk.run(op.move_charge, line_id=line.id, to_folio_id=folios[folio]))


COMMANDS = st.tuples(
    st.sampled_from(["charge", "pay", "allow", "refund", "void", "move", "close"]),
    st.integers(0, 1),
    st.integers(0, 30),
    st.sampled_from([1, 50, 100]),
)


# What each fact does to the balance of its folio.
EFFECTS: dict[type[Event], int] = {
    fact.ChargePosted: 1,
    fact.ChargeVoided: -1,
    fact.AllowanceGranted: -1,
    fact.AllowanceVoided: 1,
    fact.PaymentReceived: -1,
    fact.PaymentRefunded: 1,
}


def told_by(heard: list[Any], folio_id: FolioId) -> int:  # Any: the facts share their fields alone
    """Return what a folio owes by the facts that were reported of it."""
    return sum(
        EFFECTS[type(event)] * event.amount.minor for event in heard if event.folio_id == folio_id
    )


@pytest.mark.long
@settings(max_examples=40)
@given(commands=st.lists(COMMANDS, max_size=16))
@example([("charge", 0, 0, 100), ("move", 1, 0, 1), ("allow", 0, 0, 50), ("void", 0, 2, 1)])
@example([("charge", 0, 0, 50), ("allow", 0, 0, 50), ("void", 0, 1, 1), ("void", 0, 0, 1)])
@example([("pay", 0, 0, 100), ("refund", 0, 0, 50), ("refund", 0, 0, 100), ("void", 0, 0, 1)])
def test_a_folio_agrees_with_a_model_after_every_command(
    core: HotelCore, clock: FixedClock, commands: list[tuple[str, int, int, int]]
) -> None:
    """Every command is taken or refused as a simple ledger says, and so are balances and facts."""
    hotel, heard = open_hotel(core, clock), list[Event]()
    for kind in EFFECTS:
        core.events.subscribe(kind, heard.append)
    booking, first = hotel.book()
    second = hotel.desk().run(op.open_folio, booking_id=booking.id)
    folios, ledger = [first.id, second.id], Ledger()
    unknown = Posted(FolioLineId(uuid4()), 0, LineKind.CHARGE, 0, 0)
    for name, folio, nth, amount in commands:
        line = ledger.lines[nth % len(ledger.lines)] if ledger.lines else None
        if ledger.accepts(name, folio, line, amount):
            posted = perform(hotel, folios, name, folio, line or unknown, amount)
            for known, stored in zip(ledger.apply(name, folio, line, amount), posted, strict=True):
                known.id = stored.id
        else:
            before = hotel.rows()
            with pytest.raises(HotelcoreError):
                perform(hotel, folios, name, folio, line or unknown, amount)
            assert hotel.rows() == before
        assert [hotel.folio(key).balance.minor for key in folios] == ledger.owed
        assert [told_by(heard, key) for key in folios] == ledger.owed
    for key in folios:
        assert_adds_up(hotel, key)


def assert_adds_up(hotel: SmallHotel, folio_id: FolioId) -> None:
    """Check a folio's stored balance and its corrections against nothing but its lines."""
    folio, lines = hotel.folio(folio_id), hotel.lines(folio_id)
    total = dict.fromkeys(LineKind, 0)
    originals = {line.id: line for line in lines}
    for line in lines:
        kind = line.kind
        if kind is LineKind.VOID and line.refers_to is not None:
            # A void counts against the kind of line that it reverses.
            kind = originals[line.refers_to].kind
            assert line.amount + originals[line.refers_to].amount == eur(0)
        total[kind] += abs(line.amount.minor) * (-1 if line.kind is LineKind.VOID else 1)
    assert folio.balance == sum_money((line.amount for line in lines), "EUR")
    assert folio.balance.minor == (
        total[LineKind.CHARGE]
        - total[LineKind.ALLOWANCE]
        - total[LineKind.PAYMENT]
        + total[LineKind.REFUND]
    )
    voids = [line.refers_to for line in lines if line.kind is LineKind.VOID]
    assert len(voids) == len(set(voids))
    assert folio.status is FolioStatus.OPEN or not folio.balance


# -- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (Money(0, "EUR"), "amount: must be more than zero"),
        (Money(-1, "EUR"), "amount: must be more than zero"),
        (Money(100, "USD"), "EUR and USD do not mix: convert before you compare or add"),
        (12.5, "amount: must be Money"),
        (1250, "amount: must be Money"),
        ("12.50", "amount: must be Money, and not its text"),
        (None, "amount: must be Money"),
    ],
)
def test_an_amount_that_is_not_money_above_zero_of_the_hotel_is_refused(
    hotel: SmallHotel, amount: Any, text: str
) -> None:
    """Charges, payments, allowances and refunds take the same amounts, and name what is wrong."""
    _, folio = hotel.book()
    charge, payment = hotel.charge(folio.id, 5_000), hotel.pay(folio.id, 5_000)
    before, desk = hotel.rows(), hotel.desk()
    attempts: list[Callable[[], object]] = [
        lambda: desk.run(op.post_charge_to_folio, folio_id=folio.id, code="bar", amount=amount),
        lambda: desk.run(op.record_payment, folio_id=folio.id, amount=amount, method="cash"),
        lambda: desk.run(op.grant_allowance, line_id=charge.id, amount=amount, reason="late"),
        lambda: desk.run(op.refund_payment, line_id=payment.id, amount=amount, reason="late"),
    ]
    for attempt in attempts:
        refused = refusal(attempt)
        assert isinstance(refused, InvalidInput | CurrencyMismatch)
        assert str(refused) == text
    assert hotel.rows() == before


@pytest.mark.parametrize("bad", ["", " ", "a\x00b", "\ud800", "x" * 1_048_576])
def test_bad_texts_are_refused_before_anything_is_written(hotel: SmallHotel, bad: str) -> None:
    """Codes, methods and reasons are storable text within their limits."""
    _, folio = hotel.book()
    charge, payment = hotel.charge(folio.id, 5_000), hotel.pay(folio.id, 5_000)
    before, desk, money = hotel.rows(), hotel.desk(), eur(1)
    attempts: list[Callable[[], object]] = [
        lambda: desk.run(op.post_charge_to_folio, folio_id=folio.id, code=bad, amount=money),
        lambda: desk.run(op.record_payment, folio_id=folio.id, amount=money, method=bad),
        lambda: desk.run(op.grant_allowance, line_id=charge.id, amount=money, reason=bad),
        lambda: desk.run(op.refund_payment, line_id=payment.id, amount=money, reason=bad),
        lambda: desk.run(op.void_charge, line_id=charge.id, reason=bad),
    ]
    for attempt in attempts:
        assert type(refusal(attempt)) is InvalidInput
    assert hotel.rows() == before


def test_an_id_of_another_hotel_is_an_unknown_id(
    hotel: SmallHotel, core: HotelCore, clock: FixedClock
) -> None:
    """Every folio command answers alike for an id that nobody has and for one of another hotel."""
    _, folio = hotel.book()
    charge, payment = hotel.charge(folio.id, 5_000), hotel.pay(folio.id, 5_000)
    other = open_hotel(core, clock)
    own_booking, own_folio = other.book()
    own_charge, desk, money = other.charge(own_folio.id, 1), other.desk(), eur(1)

    def attempts(folio_id: FolioId, charge_id: FolioLineId, payment_id: FolioLineId) -> list[str]:
        calls: list[Callable[[], object]] = [
            lambda: desk.run(op.post_charge_to_folio, folio_id=folio_id, code="bar", amount=money),
            lambda: desk.run(op.record_payment, folio_id=folio_id, amount=money, method="cash"),
            lambda: desk.run(op.grant_allowance, line_id=charge_id, amount=money, reason="x"),
            lambda: desk.run(op.refund_payment, line_id=payment_id, amount=money, reason="x"),
            lambda: desk.run(op.void_charge, line_id=charge_id, reason="x"),
            lambda: desk.run(op.move_charge, line_id=charge_id, to_folio_id=own_folio.id),
            lambda: desk.run(op.move_charge, line_id=own_charge.id, to_folio_id=folio_id),
            lambda: desk.run(op.close_folio, folio_id=folio_id),
            lambda: desk.run(op.open_folio, booking_id=own_booking.id, guest_id=hotel.guest_id),
        ]
        errors = [refusal(call) for call in calls]
        assert all(type(error) is NotFound for error in errors)
        ids = (folio_id, charge_id, payment_id)
        return [_without(str(error), *map(str, ids)) for error in errors]

    unknown = FolioId(uuid4()), FolioLineId(uuid4()), FolioLineId(uuid4())
    assert attempts(folio.id, charge.id, payment.id) == attempts(*unknown)
    assert hotel.folio(folio.id).balance == eur(0)


def _without(text: str, *ids: str) -> str:
    for key in ids:
        text = text.replace(key, "it")
    return text


def test_a_closed_folio_accepts_nothing(hotel: SmallHotel) -> None:
    """After it is closed, no command adds a line to a folio or takes one from it."""
    booking, folio = hotel.book()
    other = hotel.desk().run(op.open_folio, booking_id=booking.id)
    charge, payment = hotel.charge(folio.id, 5_000), hotel.pay(folio.id, 5_000)
    elsewhere = hotel.charge(other.id, 100)
    desk, money = hotel.desk(), eur(1)
    closed = desk.run(op.close_folio, folio_id=folio.id)
    assert (closed.status, closed.balance) == (FolioStatus.CLOSED, eur(0))
    before = hotel.rows()
    attempts: list[Callable[[], object]] = [
        lambda: hotel.charge(folio.id, 1),
        lambda: hotel.pay(folio.id, 1),
        lambda: desk.run(op.grant_allowance, line_id=charge.id, amount=money, reason="late"),
        lambda: desk.run(op.refund_payment, line_id=payment.id, amount=money, reason="late"),
        lambda: desk.run(op.void_charge, line_id=charge.id, reason="wrong"),
        lambda: desk.run(op.move_charge, line_id=charge.id, to_folio_id=other.id),
        lambda: desk.run(op.move_charge, line_id=elsewhere.id, to_folio_id=folio.id),
        lambda: desk.run(op.close_folio, folio_id=folio.id),
    ]
    for attempt in attempts:
        assert type(refusal(attempt)) is FolioClosed
    assert hotel.rows() == before


def test_a_folio_closes_only_at_zero(hotel: SmallHotel) -> None:
    """What is owed and what is in credit both keep a folio open."""
    _, folio = hotel.book()
    hotel.charge(folio.id, 100)
    for payment in (50, 100):
        with pytest.raises(AmountRefused):
            hotel.desk().run(op.close_folio, folio_id=folio.id)
        hotel.pay(folio.id, payment)
    with pytest.raises(AmountRefused):
        hotel.desk().run(op.close_folio, folio_id=folio.id)
    assert hotel.folio(folio.id).status is FolioStatus.OPEN


def test_money_that_moved_is_not_voided(hotel: SmallHotel) -> None:
    """Payments and refunds are refused by a void, so the till keeps agreeing with the ledger."""
    _, folio = hotel.book()
    payment = hotel.pay(folio.id, 100)
    refund = hotel.desk().run(op.refund_payment, line_id=payment.id, amount=eur(40), reason="x")
    for line in (payment, refund):
        with pytest.raises(AmountRefused):
            hotel.desk().run(op.void_charge, line_id=line.id, reason="wrong method")


def test_a_charge_does_not_move_to_its_own_folio(hotel: SmallHotel) -> None:
    """Moving a charge to where it is would only make noise in the ledger."""
    _, folio = hotel.book()
    charge = hotel.charge(folio.id, 100)
    with pytest.raises(InvalidInput, match="to_folio_id"):
        hotel.desk().run(op.move_charge, line_id=charge.id, to_folio_id=folio.id)


@pytest.mark.parametrize("role", [Role.GUEST, Role.STAFF, Role.RECEPTION])
def test_corrections_and_refunds_need_a_manager(hotel: SmallHotel, role: Role) -> None:
    """Nobody below a manager lowers what a guest owes or gives money back."""
    booking, folio = hotel.book()
    other = hotel.desk().run(op.open_folio, booking_id=booking.id)
    charge, payment = hotel.charge(folio.id, 5_000), hotel.pay(folio.id, 5_000)
    before, desk, money = hotel.rows_beside_the_audit(), hotel.desk(role), eur(1)
    attempts: list[Callable[[], object]] = [
        lambda: desk.run(op.grant_allowance, line_id=charge.id, amount=money, reason="late"),
        lambda: desk.run(op.refund_payment, line_id=payment.id, amount=money, reason="late"),
        lambda: desk.run(op.void_charge, line_id=charge.id, reason="wrong"),
        lambda: desk.run(op.move_charge, line_id=charge.id, to_folio_id=other.id),
    ]
    for attempt in attempts:
        assert type(refusal(attempt)) is PermissionDenied
    assert hotel.rows_beside_the_audit() == before


# -- dates, moves, events ---------------------------------------------------------------------


@pytest.mark.parametrize("service_date", [None, TODAY - 3 * DAY, TODAY + DAY])
def test_a_line_is_of_the_business_date_whatever_its_service_date(
    hotel: SmallHotel, service_date: date | None
) -> None:
    """Posting a forgotten bill of last week does not write into last week's books."""
    _, folio = hotel.book()
    line = hotel.desk().run(
        op.post_charge_to_folio,
        folio_id=folio.id,
        code="bar",
        amount=eur(700),
        service_date=service_date,
    )
    assert (line.business_date, line.service_date) == (TODAY, service_date or TODAY)
    assert hotel.lines(folio.id) == (line,)


def test_a_line_keeps_its_words_and_its_day(hotel: SmallHotel) -> None:
    """Descriptions and the day of the service go along with what is moved, lowered or voided."""
    booking, folio = hotel.book()
    company = hotel.desk().run(op.open_folio, booking_id=booking.id)
    desk, yesterday = hotel.desk(), TODAY - DAY
    plain = desk.run(op.post_charge_to_folio, folio_id=folio.id, code="bar", amount=eur(1))
    charge = desk.run(
        op.post_charge_to_folio,
        folio_id=folio.id,
        code="bar",
        amount=eur(9),
        description="two coffees",
        service_date=yesterday,
    )
    pay, paid = op.record_payment, eur(1)
    payment = desk.run(pay, folio_id=folio.id, amount=paid, method="cash", description="in coins")
    silent = desk.run(pay, folio_id=folio.id, amount=paid, method="m" * 50)
    assert [it.description for it in (plain, charge, payment, silent)] == [
        "",
        "two coffees",
        "in coins",
        "",
    ]
    why = "w" * 500
    lower = desk.run(op.grant_allowance, line_id=charge.id, amount=eur(2), reason=why)
    assert (lower.description, lower.service_date) == (why, yesterday)
    back = desk.run(op.void_charge, line_id=lower.id, reason="too much")
    assert (back.description, back.service_date) == ("too much", yesterday)
    left, entered = desk.run(op.move_charge, line_id=charge.id, to_folio_id=company.id)
    assert (left.description, left.service_date) == (f"moved to folio {company.id}", yesterday)
    assert (entered.description, entered.service_date) == ("two coffees", yesterday)


def test_a_refusal_of_the_desk_says_why(hotel: SmallHotel) -> None:
    """Each names the argument or the rule, and what to do."""
    booking, folio = hotel.book()
    company = hotel.desk().run(op.open_folio, booking_id=booking.id)
    desk, charge = hotel.desk(), hotel.charge(folio.id, 900)
    payment = desk.run(op.record_payment, folio_id=folio.id, amount=eur(5), method="cash")
    desk.run(op.grant_allowance, line_id=charge.id, amount=eur(1), reason="cold")
    move, void, pay = op.move_charge, op.void_charge, op.record_payment
    lowered = "allowances or refunds refer to the line: void those first"
    refusals: list[tuple[Callable[[], object], str]] = [
        (
            lambda: desk.run(void, line_id=payment.id, reason="x"),
            "money that moved is not voided: refund a payment, pay a refund anew",
        ),
        (lambda: desk.run(void, line_id=charge.id, reason="x"), lowered),
        (lambda: desk.run(move, line_id=charge.id, to_folio_id=company.id), lowered),
        (
            lambda: desk.run(move, line_id=payment.id, to_folio_id=company.id),
            "only a charge moves to another folio, and this line is none",
        ),
        (
            lambda: desk.run(move, line_id=charge.id, to_folio_id=folio.id),
            "to_folio_id: must be another folio than the charge's own",
        ),
        (
            lambda: desk.run(pay, folio_id=folio.id, amount=eur(1), method="m" * 51),
            "method: must have at most 50 characters",
        ),
        (
            lambda: desk.run(void, line_id=charge.id, reason="w" * 501),
            "reason: must have at most 500 characters",
        ),
    ]
    for refused, text in refusals:
        assert str(refusal(refused)) == text


@pytest.mark.parametrize("price", [12_345, 0, -700])
def test_a_room_charge_moves_like_any_other(hotel: SmallHotel, price: int) -> None:
    """Also one of a night sold for nothing or below, to a folio of the booking or of another."""
    booking, folio = hotel.move_in(prices=[price])
    hotel.close_day()
    (charge,) = hotel.lines(folio.id)
    company = hotel.desk().run(op.open_folio, booking_id=booking.id)
    _, friend = hotel.book()
    desk = hotel.desk()
    left, entered = desk.run(op.move_charge, line_id=charge.id, to_folio_id=company.id)
    assert (left.amount, left.kind, left.refers_to) == (-charge.amount, LineKind.VOID, charge.id)
    assert (entered.amount, entered.night) == (charge.amount, TODAY)
    _, again = desk.run(op.move_charge, line_id=entered.id, to_folio_id=friend.id)
    assert again.booking_id == friend.booking_id
    balances = [hotel.folio(key).balance.minor for key in (folio.id, company.id, friend.id)]
    assert balances == [0, 0, price]


def test_every_posting_is_reported_as_what_it_is(hotel: SmallHotel, core: HotelCore) -> None:
    """Each line has its own event with amounts as one speaks of them, above zero."""
    booking, folio = hotel.book()
    heard: list[Event] = []
    for kind in (*EFFECTS, fact.FolioClosed):
        core.events.subscribe(kind, heard.append)
    desk = hotel.desk()
    charge, payment = hotel.charge(folio.id, 900), hotel.pay(folio.id, 900)
    allowance = desk.run(op.grant_allowance, line_id=charge.id, amount=eur(900), reason="late")
    taken_back = desk.run(op.void_charge, line_id=allowance.id, reason="wrong")
    refund = desk.run(op.refund_payment, line_id=payment.id, amount=eur(900), reason="late")
    void = desk.run(op.void_charge, line_id=charge.id, reason="wrong")
    desk.run(op.close_folio, folio_id=folio.id)
    # Any: the fields that all these events share, of several types.
    whose: Any = {"hotel_id": hotel.hotel_id, "booking_id": booking.id, "folio_id": folio.id}
    money = {"amount": eur(900), **whose}
    assert heard == [
        fact.ChargePosted(line_id=charge.id, code="bar", service_date=TODAY, **money),
        fact.PaymentReceived(line_id=payment.id, method="card", **money),
        fact.AllowanceGranted(line_id=allowance.id, charge_line_id=charge.id, **money),
        fact.AllowanceVoided(line_id=taken_back.id, voided_line_id=allowance.id, **money),
        fact.PaymentRefunded(line_id=refund.id, payment_line_id=payment.id, **money),
        fact.ChargeVoided(line_id=void.id, voided_line_id=charge.id, **money),
        fact.FolioClosed(**whose),
    ]


def test_an_audit_entry_says_what_a_posting_did_to_the_folio(hotel: SmallHotel) -> None:
    """The entry is about the folio and shows its balance before and after, and the line."""
    _, folio = hotel.book()
    line = hotel.charge(folio.id, 900)
    with hotel.desk().reading() as uow:
        entry = uow.audit.page(AuditFilter(resource="folio", resource_id=folio.id)).items[0]
    assert entry.operation == "post_charge_to_folio"
    assert [change.resource for change in entry.changes] == ["folio", "folio_line"]
    assert entry.changes[1].resource_id == line.id


def test_an_audit_entry_says_why_a_line_was_corrected(hotel: SmallHotel) -> None:
    """The reason of an allowance, a void and a refund stands in the entry as in the line."""
    _, folio = hotel.book()
    charge, payment, desk = hotel.charge(folio.id, 900), hotel.pay(folio.id, 900), hotel.desk()
    lines = [
        desk.run(op.grant_allowance, line_id=charge.id, amount=eur(1), reason="noise"),
        desk.run(op.refund_payment, line_id=payment.id, amount=eur(1), reason="paid twice"),
    ]
    lines.append(desk.run(op.void_charge, line_id=lines[0].id, reason="no noise"))
    with hotel.desk().reading() as uow:
        entries = uow.audit.page(AuditFilter(resource="folio", resource_id=folio.id)).items
    told = [entry.reason for entry in reversed(entries)][-3:]
    assert told == [line.description for line in lines] == ["noise", "paid twice", "no noise"]


# -- what a cancellation keeps and gives back -------------------------------------------------

PAYMENTS = st.lists(st.tuples(st.integers(0, 1), st.integers(1, 15_000)), max_size=5)


@settings(max_examples=40)
@given(payments=PAYMENTS, charges=PAYMENTS, share=st.integers(0, 10_000))
@example(payments=[(0, 4_000), (0, 8_000)], charges=[], share=5_000)
@example(payments=[(1, 15_000)], charges=[(0, 2_000)], share=2_500)
def test_a_cancellation_gives_back_what_is_in_credit_and_no_more(
    core: HotelCore,
    clock: FixedClock,
    payments: list[tuple[int, int]],
    charges: list[tuple[int, int]],
    share: int,
) -> None:
    """The refund is what was paid beyond charges and fee, and no payment gives more than itself."""
    hotel = open_hotel(core, clock)
    late_fee = Fee(kind=FeeKind.SHARE, basis_points=share)
    booking, folios = _booking_with_two_folios(hotel, late_fee)
    for nth, amount in charges:
        hotel.charge(folios[nth], amount)
    for nth, amount in payments:
        hotel.pay(folios[nth], amount)
    outcome = hotel.desk().run(
        op.cancel_booking_with_refund, booking_id=booking.id, reason="changed plans"
    )
    paid, owed = sum(amount for _, amount in payments), sum(amount for _, amount in charges)
    assert outcome.fee == eur(10_000).percent(share)
    assert outcome.refund.minor == max(0, paid - owed - outcome.fee.minor)
    _assert_no_payment_gives_more_than_itself(hotel, folios)


def test_a_fee_is_kept_from_what_was_paid(hotel: SmallHotel) -> None:
    """It goes to the folio in credit, so that after the refund all folios are closed."""
    booking, folios = _booking_with_two_folios(hotel, Fee(kind=FeeKind.FIRST_NIGHT))
    hotel.pay(folios[1], 15_000)
    outcome = hotel.desk().run(
        op.cancel_booking_with_refund, booking_id=booking.id, reason="changed plans"
    )
    assert (outcome.fee, outcome.refund) == (eur(10_000), eur(5_000))
    assert {hotel.folio(key).status for key in folios} == {FolioStatus.CLOSED}


def _booking_with_two_folios(hotel: SmallHotel, late_fee: Fee) -> tuple[Booking, list[FolioId]]:
    desk = hotel.desk()
    booking, folio = desk.run(
        op.create_booking_with_folio,
        guest_id=hotel.guest_id,
        room_type_id=hotel.type_id,
        stay=Stay(TODAY, TODAY + DAY),
        cancellation=CancellationPolicy(free_days=999, late_fee=late_fee),
    )
    return booking, [folio.id, desk.run(op.open_folio, booking_id=booking.id).id]


def _assert_no_payment_gives_more_than_itself(hotel: SmallHotel, folios: list[FolioId]) -> None:
    for key in folios:
        lines = hotel.lines(key)
        for payment in (line for line in lines if line.kind is LineKind.PAYMENT):
            given = [line.amount for line in lines if line.refers_to == payment.id]
            assert sum_money(given, "EUR") <= -payment.amount
        assert_adds_up(hotel, key)


# -- races ------------------------------------------------------------------------------------


@pytest.mark.race
@pytest.mark.parametrize("operation", ["refund", "void", "move", "close"])
def test_of_many_who_correct_one_line_exactly_one_succeeds(
    hotel: SmallHotel, operation: str
) -> None:
    """Eight at once refund, void or move the same line, or close the same folio: one is taken."""
    booking, folio = hotel.book()
    other = hotel.desk().run(op.open_folio, booking_id=booking.id)
    charge, payment = hotel.charge(folio.id, 100), hotel.pay(folio.id, 100)
    desk = hotel.desk()
    attempts: dict[str, Callable[[], object]] = {
        "refund": lambda: desk.run(
            op.refund_payment, line_id=payment.id, amount=eur(100), reason="late"
        ),
        "void": lambda: desk.run(op.void_charge, line_id=charge.id, reason="wrong"),
        "move": lambda: desk.run(op.move_charge, line_id=charge.id, to_folio_id=other.id),
        "close": lambda: desk.run(op.close_folio, folio_id=folio.id),
    }
    with ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(refusal, attempts[operation]) for _ in range(8)]
        errors = [run.result() for run in runs]
    assert errors.count(None) == 1
    assert {type(error) for error in errors if error} <= {AmountRefused, FolioClosed}
    assert_adds_up(hotel, folio.id)


@pytest.mark.race
def test_moves_in_opposite_directions_all_happen(hotel: SmallHotel) -> None:
    """Folios are locked in one order, so crossing moves wait for each other and end."""
    booking, folio = hotel.book()
    other = hotel.desk().run(op.open_folio, booking_id=booking.id)
    there = [hotel.charge(folio.id, 100).id for _ in range(8)]
    back = [hotel.charge(other.id, 1).id for _ in range(8)]
    desk = hotel.desk()

    def move(line_id: FolioLineId, to_folio_id: FolioId) -> None:
        desk.run(op.move_charge, line_id=line_id, to_folio_id=to_folio_id)

    with ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(move, line, other.id) for line in there]
        runs += [pool.submit(move, line, folio.id) for line in back]
        for run in runs:
            run.result()
    assert hotel.folio(folio.id).balance == eur(8)
    assert hotel.folio(other.id).balance == eur(800)
