"""Money is exact: nothing is lost, nothing is invented, nothing is mixed."""

from __future__ import annotations

import operator
import pickle
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from hotelcore.domain.money import (
    EXPONENTS,
    MAX_PARTS,
    MINOR_LIMIT,
    Money,
    currency,
    exponent,
    sum_money,
)
from hotelcore.errors import CurrencyMismatch, HotelcoreError, InvalidInput

NO_MINOR_UNIT = ["XAG", "XAU", "XBA", "XBB", "XBC", "XBD", "XDR", "XPD", "XPT"]
NO_MINOR_UNIT += ["XSU", "XTS", "XUA", "XXX"]
PRICED = sorted(set(EXPONENTS) - set(NO_MINOR_UNIT))

# The currencies whose decimals common locale data gives as 0, against ISO 4217.
OFTEN_WRONG = ["AFN", "ALL", "IRR", "IQD", "KPW", "LAK", "LBP", "MGA", "MMK", "RSD", "SOS"]
OFTEN_WRONG += ["SYP", "YER"]

currencies = st.sampled_from(PRICED)
small_minors = st.integers(-(10**9), 10**9)
minors = st.integers(1 - MINOR_LIMIT, MINOR_LIMIT - 1)
amounts = st.builds(Money, minors, currencies)
small_amounts = st.builds(Money, small_minors, currencies)
not_ints = st.one_of(
    st.floats(), st.booleans(), st.text(), st.none(), st.decimals(), st.just(Fraction(1))
)


def test_the_table_has_every_code_of_iso_4217() -> None:
    """All 178 codes are known, with as many of each exponent as ISO 4217 list one has."""
    exponents = list(EXPONENTS.values())
    counts = {found: exponents.count(found) for found in set(exponents)}
    assert counts == {0: 17, 2: 139, 3: 7, 4: 2, None: 13}
    assert all(len(code) == 3 and code.isupper() for code in EXPONENTS)


@pytest.mark.parametrize(
    ("code", "decimals"),
    [("EUR", 2), ("JPY", 0), ("ISK", 0), ("KWD", 3), ("TND", 3), ("CLF", 4), ("UYW", 4)],
)
def test_exponents_are_those_of_iso_4217(code: str, decimals: int) -> None:
    """A currency has as many decimals as ISO 4217 says, not always two."""
    assert exponent(code) == decimals
    assert currency(code) == code
    assert str(Money(1, code)) == f"{Decimal(1).scaleb(-decimals)} {code}"


@pytest.mark.parametrize("code", OFTEN_WRONG)
def test_currencies_that_locale_data_gets_wrong(code: str) -> None:
    """The 13 currencies shops round to whole units keep the decimals of ISO 4217."""
    assert exponent(code) == (3 if code == "IQD" else 2)


@pytest.mark.parametrize("code", [*NO_MINOR_UNIT, "eur", "EU", "EURO", "", "€", "ABC", "E\0R"])
def test_unusable_currencies_are_refused(code: str) -> None:
    """Metals, test codes and unknown or misspelt codes are no currency for a hotel."""
    for refuse in (exponent, currency, Money.zero):
        with pytest.raises(InvalidInput) as refused:
            refuse(code)
        assert refused.value.field == "currency"


@pytest.mark.parametrize("code", [None, 978, b"EUR", ["EUR"], {}])
def test_a_currency_is_text(code: str) -> None:
    """A currency of another type is refused with our error, also when it cannot be hashed."""
    with pytest.raises(InvalidInput):
        Money(1, code)


@given(not_ints)
def test_minor_units_are_integers(minor: int) -> None:
    """A float, a bool and whatever else is not an int is never an amount."""
    with pytest.raises(InvalidInput) as refused:
        Money(minor, "EUR")
    assert isinstance(refused.value, HotelcoreError)
    assert isinstance(refused.value, ValueError)
    assert type(minor).__name__ in str(refused.value)


@pytest.mark.parametrize(
    "minor", [MINOR_LIMIT, -MINOR_LIMIT, pytest.param(10**5000, id="5000 digits")]
)
def test_amounts_fit_a_column(minor: int) -> None:
    """An amount beyond 64 bits is refused, whichever way it comes about."""
    largest = Money(MINOR_LIMIT - 1, "JPY")
    with pytest.raises(InvalidInput):
        Money(minor, "JPY")
    with pytest.raises(InvalidInput):
        Money.of(minor, "JPY")
    with pytest.raises(InvalidInput):
        _ = largest + largest
    with pytest.raises(InvalidInput):
        _ = largest * 2
    with pytest.raises(InvalidInput):
        sum_money([largest, largest], "JPY")


@given(amounts)
def test_an_amount_reads_back_from_its_text(amount: Money) -> None:
    """The written, the decimal and the pickled form give the same amount in every currency."""
    written, code = str(amount).split()
    assert Money.of(written, code) == amount
    assert Money.of(amount.amount, code) == amount
    assert pickle.loads(pickle.dumps(amount)) == amount
    assert -amount.amount.as_tuple().exponent == exponent(code)  # type: ignore[operator]  # finite


@given(amounts)
def test_the_callers_decimal_context_changes_nothing(amount: Money) -> None:
    """A host that computes with two digits does not round our amounts."""
    exact = amount.amount
    with localcontext(prec=2):
        assert amount.amount == exact
        assert Money.rounded(exact, amount.currency) == amount


@given(st.integers(-(10**6), 10**6), currencies)
def test_whole_units_scale_by_the_exponent(units: int, code: str) -> None:
    """An int is major units."""
    assert Money.of(units, code) == Money(units * 10 ** exponent(code), code)


@pytest.mark.parametrize(
    "amount",
    [
        "1E2",
        "1e-2",
        "NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
        "",
        " 1",
        "1 ",
        "1\n",
        "+1",
        "1.",
        ".5",
        "1,50",
        "1_000",
        "٣",
        "0x10",
        "--1",
        "9" * 20,
        "1\0",
        pytest.param("9" * 100_000, id="long whole"),
        pytest.param("0." + "0" * 100_000, id="long fraction"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("1E+2"),
        Decimal("1E+999999"),
        1.5,
        float("nan"),
        True,
        None,
        b"1",
        Fraction(1, 2),
    ],
)
def test_only_plain_numbers_are_amounts(amount: str) -> None:
    """Exponents, non-numbers, floats, other scripts' digits and absurd lengths are refused."""
    with pytest.raises(InvalidInput) as refused:
        Money.of(amount, "EUR")
    assert refused.value.field == "amount"
    assert len(str(refused.value)) < 100


@given(currencies, st.integers(1, 5), st.booleans())
def test_more_decimals_than_the_currency_has_are_refused(
    code: str, beyond: int, zeros: bool
) -> None:
    """Nothing is rounded away in silence, not even zeros."""
    text = "1." + ("0" if zeros else "5") * (exponent(code) + beyond)
    for amount in (text, Decimal(text)):
        with pytest.raises(InvalidInput):
            Money.of(amount, code)


@given(currencies, st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False))
@example("EUR", Decimal("0.005"))
@example("EUR", Decimal("0.015"))
@example("EUR", Decimal("-0.025"))
@example("JPY", Decimal("1E-999999"))
def test_rounded_is_half_even(code: str, amount: Decimal) -> None:
    """A derived figure goes to the nearest minor unit, and to the even one from the middle."""
    assume(amount.adjusted() > -40 or amount.adjusted() < -1000)
    got = Money.rounded(amount, code)
    exact = Fraction(amount if amount.adjusted() > -40 else 0) * 10 ** exponent(code)
    assert got.minor == round(exact)


@pytest.mark.parametrize(
    "amount", [Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("1E+99999"), 1.5, 1]
)
def test_rounded_takes_finite_decimals_only(amount: Decimal) -> None:
    """What is not a finite decimal within the limit is refused, not rounded."""
    with pytest.raises(InvalidInput):
        Money.rounded(amount, "EUR")


@given(amounts, st.integers(1, 60))
@example(Money(-10, "EUR"), 3)
def test_split_loses_nothing(amount: Money, parts: int) -> None:
    """The parts sum to the whole, differ by one unit at most and put the larger ones first."""
    shares = amount.split(parts)
    assert len(shares) == parts
    assert sum_money(shares, amount.currency) == amount
    sizes = [abs(share.minor) for share in shares]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] <= 1
    assert all(share.minor * amount.minor >= 0 for share in shares)


@given(st.integers(0, 10**6), st.text("0123456789", max_size=3))
def test_missing_decimals_are_zeros(whole: int, decimals: str) -> None:
    """An amount with fewer decimals than its currency has is the same with zeros behind it."""
    text = f"{whole}.{decimals}" if decimals else str(whole)
    assert Money.of(text, "KWD").minor == whole * 1_000 + int(f"{decimals:0<3}")


@given(amounts, st.integers(1, 60))
def test_the_split_of_a_reversal_reverses_the_split(amount: Money, parts: int) -> None:
    """A voided amount is taken back from the same parts that bore it."""
    assert (-amount).split(parts) == tuple(-share for share in amount.split(parts))


@given(amounts, st.lists(st.integers(0, 10**12), min_size=1, max_size=30))
@example(Money(5, "JPY"), [1, 1, 1])
@example(Money(-7, "EUR"), [0, 3, 3])
def test_allocate_loses_nothing(amount: Money, weights: list[int]) -> None:
    """Shares sum to the whole, lie less than a unit from their quota, and follow the weights."""
    assume(any(weights))
    shares = amount.allocate(weights)
    assert len(shares) == len(weights)
    assert sum_money(shares, amount.currency) == amount
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share.minor - Fraction(amount.minor * weight, sum(weights))) < 1
        assert weight or not share
    assert (-amount).allocate(weights) == tuple(-share for share in shares)


@given(amounts, st.lists(st.integers(0, 10**6), min_size=1, max_size=30))
def test_allocate_favours_the_largest_remainder(amount: Money, weights: list[int]) -> None:
    """No share that got an extra unit had a smaller remainder than one that did not."""
    assume(any(weights))
    quotas = [divmod(abs(amount.minor) * weight, sum(weights)) for weight in weights]
    ranks = [
        (abs(share.minor) > whole, remainder, -index)
        for index, (share, (whole, remainder)) in enumerate(
            zip(amount.allocate(weights), quotas, strict=True)
        )
    ]
    with_extra = [rank[1:] for rank in ranks if rank[0]]
    without = [rank[1:] for rank in ranks if not rank[0]]
    assert not with_extra or not without or min(with_extra) > max(without)


@given(amounts, st.integers(1, 60))
def test_equal_weights_are_a_split(amount: Money, parts: int) -> None:
    """Allocating by equal weights and splitting are the same."""
    assert amount.allocate([7] * parts) == amount.split(parts)


@pytest.mark.parametrize("parts", [0, -1, MAX_PARTS + 1, 2.0, True, "2", None])
def test_bad_parts_are_refused(parts: int) -> None:
    """A split needs a sensible whole number of parts."""
    with pytest.raises(InvalidInput):
        Money(100, "EUR").split(parts)


@pytest.mark.parametrize("weights", [[], [0], [1, -1], [0.5], [True], [1] * (MAX_PARTS + 1)])
def test_bad_weights_are_refused(weights: list[int]) -> None:
    """Weights are whole, not negative, and somebody bears the amount."""
    with pytest.raises(InvalidInput):
        Money(100, "EUR").allocate(weights)


@given(small_amounts, st.integers(-20_000, 20_000))
@example(Money(5, "EUR"), 1_000)
@example(Money(15, "EUR"), 1_000)
@example(Money(-5, "EUR"), 1_000)
@example(Money(-15, "EUR"), 1_000)
def test_percent_is_half_even(amount: Money, basis_points: int) -> None:
    """A percentage goes to the nearest minor unit, and to the even one from the middle."""
    exact = amount.amount * basis_points / 10_000
    step = Decimal(1).scaleb(-exponent(amount.currency))
    got = amount.percent(basis_points)
    assert got.amount == exact.quantize(step, ROUND_HALF_EVEN)
    assert got.currency == amount.currency


@given(small_minors, small_minors, currencies)
def test_arithmetic_is_that_of_the_minor_units(left: int, right: int, code: str) -> None:
    """Sums, differences, signs, order and truth are those of integers."""
    a, b = Money(left, code), Money(right, code)
    assert (a + b, a - b, -a, abs(a)) == tuple(
        Money(minor, code) for minor in (left + right, left - right, -left, abs(left))
    )
    assert (a < b, a <= b, a > b, a >= b) == (left < right, left <= right, left > right, a >= b)
    assert (a >= b) is (left >= right)
    assert (a == b) is (left == right)
    assert bool(a) is (left != 0)
    assert not Money.zero(code)


@given(small_amounts, st.integers(-1_000, 1_000))
def test_amounts_multiply_by_integers(amount: Money, factor: int) -> None:
    """So many nights at one rate, whichever way round it is written."""
    expected = Money(amount.minor * factor, amount.currency)
    assert amount * factor == factor * amount == expected


@given(not_ints)
def test_other_factors_are_refused(factor: int) -> None:
    """A float, a bool or a decimal is no factor and no percentage."""
    with pytest.raises(InvalidInput):
        _ = Money(100, "EUR") * factor
    with pytest.raises(InvalidInput):
        _ = factor * Money(100, "EUR")
    with pytest.raises(InvalidInput):
        Money(100, "EUR").percent(factor)


@pytest.mark.parametrize(
    "mix",
    [operator.add, operator.sub, operator.lt, operator.le, operator.gt, operator.ge],
)
@given(left=small_amounts, right=small_amounts)
@example(left=Money(0, "EUR"), right=Money(1, "USD"))
@example(left=Money(1, "EUR"), right=Money(0, "USD"))
def test_currencies_do_not_mix(
    mix: Callable[[Money, Money], object], left: Money, right: Money
) -> None:
    """Two currencies never meet in a sum or an order, zero included, and are never equal."""
    assume(left.currency != right.currency)
    with pytest.raises(CurrencyMismatch) as refused:
        mix(left, right)
    assert (refused.value.left, refused.value.right) == (left.currency, right.currency)
    assert left != right


@pytest.mark.parametrize("other", [1, 1.0, Decimal(1), "1.00 EUR", None])
@pytest.mark.parametrize(
    "mix",
    [operator.add, operator.sub, operator.lt, operator.le, operator.gt, operator.ge],
)
def test_money_meets_money_only(mix: Callable[[object, object], object], other: object) -> None:
    """A bare number has no currency, so it cannot be added to an amount or compared with it."""
    with pytest.raises(InvalidInput):
        mix(Money(100, "EUR"), other)
    assert Money(100, "EUR") != other


@given(st.lists(small_minors), currencies)
def test_sum_money_adds_up(parts: list[int], code: str) -> None:
    """A sum is that of the minor units, and zero of nothing."""
    assert sum_money((Money(minor, code) for minor in parts), code) == Money(sum(parts), code)


def test_sum_money_refuses_another_currency() -> None:
    """One amount in another currency spoils the sum."""
    with pytest.raises(CurrencyMismatch):
        sum_money([Money(1, "EUR"), Money(1, "USD")], "EUR")
    with pytest.raises(InvalidInput):
        sum_money([], "XXX")


def test_money_is_frozen_and_hashable() -> None:
    """An amount never changes and serves as a key."""
    amount = Money(1250, "EUR")
    with pytest.raises(AttributeError):
        amount.minor = 1  # type: ignore[misc]  # the very mistake under test
    assert {amount: 1}[Money.of("12.50", "EUR")] == 1
    assert repr(amount) == "Money(minor=1250, currency='EUR')"


@given(amount=amounts, width=st.integers(0, 30))
def test_an_amount_is_aligned_as_its_text(amount: Money, width: int) -> None:
    """In a column it stands where its text would."""
    assert f"{amount:>{width}}" == str(amount).rjust(width)
    assert f"{amount}" == str(amount)
