"""Money in whole minor units, with the exponents of ISO 4217.

An amount is an integer count of the currency's smallest unit: cents for EUR, yen for JPY, fils for
KWD. Nothing here can lose or invent a unit: what divides (`Money.split`, `Money.allocate`) sums to
what it divided, and what rounds (`Money.rounded`, `Money.percent`) says so and rounds half to even.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)
from types import MappingProxyType
from typing import Never

from attrs import frozen

from hotelcore.errors import CurrencyMismatch, InvalidInput

__all__ = [
    "EXACT",
    "EXPONENTS",
    "MAX_PARTS",
    "MINOR_LIMIT",
    "Money",
    "currency",
    "exponent",
    "sum_money",
]

MINOR_LIMIT = 2**63
"""`abs(minor)` stays below this: what a signed 64-bit column holds, both signs alike."""

MAX_PARTS = 10_000
"""The most parts `Money.split` and `Money.allocate` return; more is a mistake, not a bill."""

# ISO 4217 list one (amendments to January 2026), by minor units. Our own table, because the locale
# data of other libraries gives the decimals customary in shops: wrong for 13 currencies. The codes
# under None are metals, funds and test codes, which have no minor unit.
_CODES_BY_EXPONENT: dict[int | None, str] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
       AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD
       CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS
       GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD
       LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB
       PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP
       SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW
       ZWG
       """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
    None: "XAG XAU XBA XBB XBC XBD XDR XPD XPT XSU XTS XUA XXX",
}
EXPONENTS: Mapping[str, int | None] = MappingProxyType(
    {code: decimals for decimals, codes in _CODES_BY_EXPONENT.items() for code in codes.split()}
)
"""Every ISO 4217 code with its number of decimals; None where no money can be kept in it."""

_PLAIN_NUMBER = re.compile(r"(-?)([0-9]{1,19})(?:\.([0-9]{1,19}))?")

EXACT = Context(
    prec=40, rounding=ROUND_HALF_EVEN, traps=[DivisionByZero, InvalidOperation, Overflow]
)
"""For every figure made of money: the caller's own decimal context may round to few digits, or
refuse to round, and this one holds every amount that is accepted, and its part a room."""


def exponent(currency: str) -> int:
    """Return how many decimals `currency` has: 2 for EUR, 0 for JPY, 3 for KWD (ISO 4217).

    Raises `InvalidInput` for anything but an upper-case ISO 4217 code that has minor units.
    """
    try:
        decimals = EXPONENTS[currency]
    except (KeyError, TypeError):  # Unknown, or not even hashable.
        reason = "must be an ISO 4217 code in upper case, such as EUR"
        raise InvalidInput("currency", reason) from None
    if decimals is None:
        raise InvalidInput("currency", f"{currency} has no minor unit, so nothing is priced in it")
    return decimals


def currency(code: str) -> str:
    """Return `code` when money can be kept in it; raise `InvalidInput` as `exponent` does."""
    exponent(code)
    return code


@frozen(order=False)
class Money:
    """An exact amount: `minor` units (integer, may be negative) of an ISO 4217 `currency`.

    `abs(minor)` is below 2**63. Raises `InvalidInput` beyond that, for a `minor` that is not an
    `int` (a `float` or `bool` never is) and for a currency that `exponent` refuses.
    Amounts of two currencies are unequal; adding or ordering them raises `CurrencyMismatch`, and
    adding or ordering what is not `Money` raises `InvalidInput`. Only an `int` multiplies.
    """

    minor: int
    currency: str

    def __attrs_post_init__(self) -> None:
        exponent(self.currency)
        _require(int, self.minor, "minor", "minor units are whole; use Money.of for '12.50'")
        if not -MINOR_LIMIT < self.minor < MINOR_LIMIT:
            raise InvalidInput("minor", "is beyond what 64 bits hold")

    @classmethod
    def of(cls, amount: str | int | Decimal, currency: str) -> Money:
        """Return exactly `amount` major units (`"12.50"`, `12`, `Decimal("12.50")`).

        Raises `InvalidInput` for more decimals than the currency has, for anything but plain
        digits with an optional minus and point (exponents, NaN and Infinity), and for a float.
        """
        decimals = exponent(currency)
        if type(amount) is int:
            return cls(amount * 10**decimals, currency)
        if not isinstance(amount, (str, Decimal)):
            raise InvalidInput("amount", f"must be str, int or Decimal, not {_kind(amount)}")
        parsed = _PLAIN_NUMBER.fullmatch(str(amount))
        if parsed is None:
            raise InvalidInput("amount", "must be plain digits, at most 19 before the point")
        sign, whole, fraction = parsed.group(1), parsed.group(2), parsed.group(3) or ""
        if len(fraction) > decimals:
            raise InvalidInput("amount", f"{currency} has {decimals} decimals, not {len(fraction)}")
        return cls(int(sign + whole + fraction.ljust(decimals, "0")), currency)

    @classmethod
    def rounded(cls, amount: Decimal, currency: str) -> Money:
        """Return `amount` major units rounded half to even; for derived figures such as averages.

        Raises `InvalidInput` for anything but a finite `Decimal` within the limit of `Money`.
        """
        decimals = exponent(currency)
        _require(Decimal, amount, "amount", "use Money.of for what needs no rounding")
        if not amount.is_finite() or amount.adjusted() > 19:
            raise InvalidInput("amount", "must be finite and within what 64 bits hold")
        nearest = amount.quantize(Decimal((0, (1,), -decimals)), context=EXACT)
        return cls(int(nearest.scaleb(decimals, EXACT)), currency)

    @classmethod
    def zero(cls, currency: str) -> Money:
        """Return no money, in `currency`."""
        return cls(0, currency)

    @property
    def amount(self) -> Decimal:
        """The amount in major units, with as many decimals as the currency has."""
        return Decimal(self.minor).scaleb(-exponent(self.currency), EXACT)

    def split(self, parts: int) -> tuple[Money, ...]:
        """Return `parts` amounts, at most one minor unit apart, that sum to this one.

        The first parts carry the remainder, also of a negative amount: the split of a reversal
        reverses the split. Raises `InvalidInput` unless `parts` is from 1 to `MAX_PARTS`.
        """
        _require(int, parts, "parts", "a bill has a whole number of parts")
        if not 1 <= parts <= MAX_PARTS:
            raise InvalidInput("parts", f"must be from 1 to {MAX_PARTS}")
        share, remainder = divmod(abs(self.minor), parts)
        return self._shares(share + (index < remainder) for index in range(parts))

    def allocate(self, weights: Sequence[int]) -> tuple[Money, ...]:
        """Return one amount a weight, in proportion, that sum to this one (largest remainder).

        Equal remainders favour the earlier weight; a weight of zero gets nothing. Raises
        `InvalidInput` unless the weights are integers >= 0, not all zero, at most `MAX_PARTS`.
        """
        for weight in weights:
            _require(int, weight, "weights", "scale fractions up to whole weights")
        if len(weights) > MAX_PARTS or min(weights, default=0) < 0 or not (total := sum(weights)):
            raise InvalidInput("weights", f"need 1 to {MAX_PARTS} integers >= 0, not all zero")
        quotas = [divmod(abs(self.minor) * weight, total) for weight in weights]
        left_over = abs(self.minor) - sum(share for share, _ in quotas)
        # sorted() is stable, so equal remainders keep the order of the weights.
        favoured = sorted(range(len(quotas)), key=lambda index: -quotas[index][1])[:left_over]
        extra = frozenset(favoured)
        return self._shares(share + (index in extra) for index, (share, _) in enumerate(quotas))

    def percent(self, basis_points: int) -> Money:
        """Return `basis_points` hundredths of a percent of this amount, rounded half to even."""
        _require(int, basis_points, "basis_points", "one percent is 100 basis points")
        quotient, remainder = divmod(self.minor * basis_points, 10_000)
        above_half = 2 * remainder > 10_000 or (2 * remainder == 10_000 and quotient % 2 == 1)
        return Money(quotient + above_half, self.currency)

    def _shares(self, magnitudes: Iterable[int]) -> tuple[Money, ...]:
        sign = -1 if self.minor < 0 else 1
        return tuple(Money(sign * magnitude, self.currency) for magnitude in magnitudes)

    def _minor_of(self, other: object) -> int:
        if not isinstance(other, Money):
            raise InvalidInput("amount", f"must be Money, not {_kind(other)}: it has no currency")
        if self.currency != other.currency:
            raise CurrencyMismatch(self.currency, other.currency)
        return other.minor

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._minor_of(other), self.currency)

    def __radd__(self, other: Never) -> Never:
        # `sum` begins with the number 0, which has no currency.
        raise InvalidInput("amount", f"{_kind(other)} is not Money: add up with sum_money")

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._minor_of(other), self.currency)

    def __mul__(self, factor: int) -> Money:
        _require(int, factor, "factor", "use Money.percent or Money.rounded for fractions")
        return Money(self.minor * factor, self.currency)

    __rmul__ = __mul__

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __abs__(self) -> Money:
        return Money(abs(self.minor), self.currency)

    def __bool__(self) -> bool:
        return self.minor != 0

    def __lt__(self, other: Money) -> bool:
        return self.minor < self._minor_of(other)

    def __le__(self, other: Money) -> bool:
        return self.minor <= self._minor_of(other)

    def __gt__(self, other: Money) -> bool:
        return self.minor > self._minor_of(other)

    def __ge__(self, other: Money) -> bool:
        return self.minor >= self._minor_of(other)

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"

    def __format__(self, spec: str) -> str:
        """Format the text, so that a column of amounts can be aligned: ``f"{total:>14}"``."""
        return format(str(self), spec)


def sum_money(values: Iterable[Money], currency: str) -> Money:
    """Return the sum of `values` in `currency`; zero when there are none.

    Raises `CurrencyMismatch` at the first value of another currency, and `InvalidInput` at the
    first that is not `Money`.
    """
    total = 0
    for value in values:
        if not isinstance(value, Money):
            raise InvalidInput("values", f"must be Money, not {_kind(value)}")
        if value.currency != currency:
            raise CurrencyMismatch(currency, value.currency)
        total += value.minor
    return Money(total, currency)


def _require(kind: type[object], value: object, field: str, advice: str) -> None:
    # Exactly this type: bool is a subclass of int, and True is not one cent.
    if type(value) is not kind:
        raise InvalidInput(field, f"must be {kind.__name__}, not {_kind(value)}; {advice}")


def _kind(value: object) -> str:
    return type(value).__name__
