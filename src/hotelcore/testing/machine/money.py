"""Commands on bills: charge, allow, take and give back money, correct, move, close."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule

from hotelcore import operations as op
from hotelcore.domain.money import Money
from hotelcore.testing.machine.commands import MANNERS, Command, Manner, against
from hotelcore.testing.machine.driving import HOTELS, PICKS, Driver, Fit, driving, when
from hotelcore.testing.machine.houses import Folio, House, Key, Line

__all__ = ["MoneyRules", "allow", "charge", "close_folio", "open_folio", "pay", "refund", "void"]

_MANNERS = st.sampled_from(MANNERS)
_AMOUNTS = st.sampled_from([100, 1, 9_999, 333, 20_000, 0, -5])
_SHARES = st.sampled_from([1, 2, 3, 0])
_WHY = "a complaint"


def _shows(house: House, told: Any) -> None:  # Any: the library's line, read by name alone
    known = house.lines[told.id.hex]
    seen = (told.folio_id.hex, told.kind, told.amount.minor, told.business_date)
    assert seen == (known.folio, known.kind, known.minor, known.day), (told, known)


def _amount_doubts(house: House, minor: int, currency: str) -> frozenset[str]:
    return against(InvalidInput=minor <= 0, CurrencyMismatch=currency != house.currency)


def _folio_doubts(house: House, folio: Key) -> frozenset[str]:
    known = house.folios.get(folio)
    return against(NotFound=known is None, FolioClosed=known is not None and not known.is_open)


# -- folios ------------------------------------------------------------------------------------


def open_folio(house: House, booking: Key, guest: Key | None) -> Command:
    """Open one more folio of a booking."""
    known = house.bookings.get(booking)

    def learn(told: Any) -> None:
        assert known is not None
        house.open_folio(known, told.id.hex, guest)

    return Command(
        operation=op.open_folio,
        arguments={
            "booking_id": UUID(booking),
            **({} if guest is None else {"guest_id": UUID(guest)}),
        },
        doubts=against(NotFound=known is None or (guest is not None and guest not in house.guests)),
        learn=learn,
    )


def close_folio(house: House, folio: Key) -> Command:
    """Close a folio."""
    known = house.folios.get(folio)

    def learn(_: Any) -> None:
        assert known is not None
        known.is_open = False

    owing = known is not None and known.is_open and known.balance != 0
    return Command(
        operation=op.close_folio,
        arguments={"folio_id": UUID(folio)},
        doubts=_folio_doubts(house, folio) | against(AmountRefused=owing),
        learn=learn,
        event="folio.closed",
    )


# -- lines -------------------------------------------------------------------------------------


def _posting(
    house: House, folio: Key, kind: str, minor: int, *, refers_to: Key | None = None, code: str
) -> Callable[[Any], None]:
    def learn(told: Any) -> None:
        house.post(folio, kind, minor, key=told.id.hex, refers_to=refers_to, code=code)
        _shows(house, told)

    return learn


def charge(
    house: House, folio: Key, minor: int, *, currency: str | None = None, on: date | None = None
) -> Command:
    """Charge an amount to a folio."""
    code = currency or house.currency
    return Command(
        operation=op.post_charge_to_folio,
        arguments={
            "folio_id": UUID(folio),
            "code": "bar",
            "amount": Money(minor, code),
            **({} if on is None else {"service_date": on}),
        },
        doubts=_folio_doubts(house, folio) | _amount_doubts(house, minor, code),
        learn=_posting(house, folio, "charge", minor, code="bar"),
        event="charge.posted",
    )


def pay(house: House, folio: Key, minor: int, *, currency: str | None = None) -> Command:
    """Record a payment."""
    code = currency or house.currency
    return Command(
        operation=op.record_payment,
        arguments={"folio_id": UUID(folio), "amount": Money(minor, code), "method": "card"},
        doubts=_folio_doubts(house, folio) | _amount_doubts(house, minor, code),
        learn=_posting(house, folio, "payment", -minor, code="card"),
        event="payment.received",
    )


def _lowering(
    house: House, key: Key, minor: int, operation: Any, of: str, kind: str, event: str
) -> Command:
    """Lower a charge or a payment by an allowance or a refund."""
    line = house.lines.get(key)
    doubts = _amount_doubts(house, minor, house.currency)
    if line is None:
        doubts |= {"NotFound"}
    else:
        doubts |= _folio_doubts(house, line.folio)
        doubts |= against(AmountRefused=line.kind != of or minor > house.left_of(key))
    sign = -1 if kind == "allowance" else 1
    learn = _posting(
        house,
        "" if line is None else line.folio,
        kind,
        sign * minor,
        refers_to=key,
        code="" if line is None else line.code,
    )
    return Command(
        operation=operation,
        arguments={
            "line_id": UUID(key),
            "amount": Money(minor, house.currency),
            "reason": _WHY,
        },
        doubts=doubts,
        learn=learn,
        event=event,
    )


def allow(house: House, key: Key, minor: int) -> Command:
    """Take an amount off a charge."""
    return _lowering(
        house, key, minor, op.grant_allowance, "charge", "allowance", "allowance.granted"
    )


def refund(house: House, key: Key, minor: int) -> Command:
    """Give an amount of a payment back."""
    return _lowering(house, key, minor, op.refund_payment, "payment", "refund", "payment.refunded")


def _reversal_doubts(house: House, key: Key) -> frozenset[str]:
    """Return what speaks against the void of a charge or an allowance."""
    line = house.lines[key]
    lowered = line.kind == "charge" and house.left_of(key) != line.minor
    return against(AmountRefused=line.kind == "void" or house.is_voided(key) or lowered)


def void(house: House, key: Key) -> Command:
    """Reverse a line."""
    line = house.lines.get(key)
    if line is None:
        doubts = frozenset({"NotFound"})
    else:
        doubts = _folio_doubts(house, line.folio) | _reversal_doubts(house, key)
        doubts |= against(
            AmountRefused=line.kind in ("payment", "refund") or bool(doubts & _AMOUNT)
        )

    return Command(
        operation=op.void_charge,
        arguments={"line_id": UUID(key), "reason": _WHY},
        doubts=doubts,
        learn=_posting(
            house,
            "" if line is None else line.folio,
            "void",
            0 if line is None else -line.minor,
            refers_to=key,
            code="" if line is None else line.code,
        ),
        event="allowance.voided" if line and line.kind == "allowance" else "charge.voided",
    )


_AMOUNT = frozenset({"AmountRefused"})


def move(house: House, key: Key, to: Key) -> Command:
    """Move a charge to another folio."""
    line = house.lines.get(key)
    if line is None:
        doubts = frozenset({"NotFound"})
    elif line.kind != "charge":
        doubts = _AMOUNT
    else:
        doubts = _folio_doubts(house, line.folio) | _folio_doubts(house, to)
        doubts |= against(InvalidInput=line.folio == to) | _reversal_doubts(house, key)

    def learn(result: Any) -> None:
        left, entered = result
        assert line is not None
        house.post(line.folio, "void", -line.minor, key=left.id.hex, refers_to=key, code=line.code)
        house.post(
            to,
            "charge",
            line.minor,
            key=entered.id.hex,
            refers_to=key,
            night=line.night,
            code=line.code,
        )
        _shows(house, left)
        _shows(house, entered)

    return Command(
        operation=op.move_charge,
        arguments={"line_id": UUID(key), "to_folio_id": UUID(to)},
        doubts=doubts,
        learn=learn,
        event="charge.voided",
    )


# -- the rules ---------------------------------------------------------------------------------


def _is_open(_: House, folio: Folio) -> bool:
    return folio.is_open


def _is_owed(_: House, folio: Folio) -> bool:
    return folio.is_open and folio.balance > 0


def _is(*kinds: str) -> Fit:
    return lambda house, line: line.kind in kinds and house.folios[line.folio].is_open


def _is_movable(house: House, line: Line) -> bool:
    others = [folio for folio in house.folios.values() if folio.is_open]
    return line.kind == "charge" and house.folios[line.folio].is_open and len(others) > 1


_SHARERS = st.integers(2, 4) | st.lists(st.integers(1, 3), min_size=2, max_size=3)
_CURRENCIES = st.sampled_from([None, None, None, None, "CHF"])


class MoneyRules(Driver):
    """The rules on bills."""

    @driving(op.open_folio)
    @rule(hotel=HOTELS, booking=PICKS, guest=st.none() | PICKS, manner=_MANNERS)
    def open_folio(self, hotel: int, booking: int, guest: int | None, manner: Manner) -> None:
        """Open one more folio."""
        house = self.houses[hotel]
        who = None if guest is None else self.pick(house, "guests", guest)
        key = self.pick(house, "bookings", booking)
        self.run(house, open_folio(house, key, who), manner)

    @driving(op.close_folio)
    @when("folios", _is_open)
    @rule(hotel=HOTELS, folio=PICKS, manner=_MANNERS)
    def close_folio(self, hotel: int, folio: int, manner: Manner) -> None:
        """Close a folio."""
        house = self.house(hotel, "folios", _is_open)
        self.run(house, close_folio(house, self.pick(house, "folios", folio, _is_open)), manner)

    @driving(op.post_charge_to_folio)
    @when("folios", _is_open)
    @rule(hotel=HOTELS, folio=PICKS, amount=_AMOUNTS, currency=_CURRENCIES, manner=_MANNERS)
    def charge(
        self, hotel: int, folio: int, amount: int, currency: str | None, manner: Manner
    ) -> None:
        """Charge something."""
        house = self.house(hotel, "folios", _is_open)
        key = self.pick(house, "folios", folio, _is_open)
        self.run(house, charge(house, key, amount, currency=currency), manner)

    @driving(op.record_payment)
    @when("folios", _is_open)
    @rule(hotel=HOTELS, folio=PICKS, amount=_AMOUNTS, currency=_CURRENCIES, manner=_MANNERS)
    def pay(
        self, hotel: int, folio: int, amount: int, currency: str | None, manner: Manner
    ) -> None:
        """Pay something."""
        house = self.house(hotel, "folios", _is_open)
        key = self.pick(house, "folios", folio, _is_open)
        self.run(house, pay(house, key, amount, currency=currency), manner)

    @driving(op.record_payment)
    @when("folios", _is_owed)
    @rule(hotel=HOTELS, folio=PICKS, among=_SHARERS)
    def share_the_bill(self, hotel: int, folio: int, among: int | list[int]) -> None:
        """Have several people pay a bill, in equal parts or by weight: then nothing is owed."""
        house = self.house(hotel, "folios", _is_owed)
        key = self.pick(house, "folios", folio % 20, _is_owed)
        known = house.folios.get(key)
        if known is None or not _is_owed(house, known):
            return
        owed = Money(known.balance, house.currency)
        parts = owed.split(among) if isinstance(among, int) else owed.allocate(among)
        for part in parts:
            if part.minor:
                self.run(house, pay(house, key, part.minor))
        assert not known.balance, f"{owed} was shared, and {known.balance} of it is left: {parts}"

    # All rules are equally likely, and half of these cases have no remainder.
    share_another = share_the_bill

    @driving(op.grant_allowance)
    @when("lines", _is("charge"))
    @rule(hotel=HOTELS, line=PICKS, amount=_AMOUNTS, manner=_MANNERS)
    def allow(self, hotel: int, line: int, amount: int, manner: Manner) -> None:
        """Take something off a line."""
        house = self.house(hotel, "lines", _is("charge"))
        self.run(
            house, allow(house, self.pick(house, "lines", line, _is("charge")), amount), manner
        )

    @driving(op.refund_payment)
    @when("lines", _is("payment"))
    @rule(hotel=HOTELS, choice=PICKS, share=_SHARES, manner=_MANNERS)
    def refund_part(self, hotel: int, choice: int, share: int, manner: Manner) -> None:
        """Give a share of what is left of a payment back, or more than that."""
        house = self.house(hotel, "lines", _is("payment"))
        payments = [key for key, line in house.lines.items() if line.kind == "payment"]
        if payments:
            key = payments[choice % len(payments)]
            left = house.left_of(key)
            self.run(house, refund(house, key, left // share if share else left + 1), manner)

    @driving(op.refund_payment)
    @when("lines", _is("payment"))
    @rule(hotel=HOTELS, line=PICKS, amount=_AMOUNTS, manner=_MANNERS)
    def refund(self, hotel: int, line: int, amount: int, manner: Manner) -> None:
        """Give something of a line back."""
        house = self.house(hotel, "lines", _is("payment"))
        self.run(
            house, refund(house, self.pick(house, "lines", line, _is("payment")), amount), manner
        )

    @driving(op.void_charge)
    @when("lines", _is("charge", "allowance"))
    @rule(hotel=HOTELS, line=PICKS, manner=_MANNERS)
    def void(self, hotel: int, line: int, manner: Manner) -> None:
        """Reverse a line."""
        house = self.house(hotel, "lines", _is("charge", "allowance"))
        self.run(
            house, void(house, self.pick(house, "lines", line, _is("charge", "allowance"))), manner
        )

    @driving(op.move_charge)
    @when("lines", _is_movable)
    @rule(hotel=HOTELS, line=PICKS, folio=PICKS, manner=_MANNERS)
    def move_charge(self, hotel: int, line: int, folio: int, manner: Manner) -> None:
        """Move a charge to another folio."""
        house = self.house(hotel, "lines", _is_movable)
        key = self.pick(house, "lines", line, _is_movable)
        own = house.folios[house.lines[key].folio] if key in house.lines else None
        to = self.pick(house, "folios", folio, lambda _, other: other.is_open and other is not own)
        self.run(house, move(house, key, to), manner)
