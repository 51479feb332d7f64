"""What the domain says when it refuses: the field, the rule, and what to do, never the value."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest

from hotelcore.domain import fields
from hotelcore.domain.fields import Attributes
from hotelcore.domain.hotels import HouseRules
from hotelcore.domain.money import MAX_PARTS, Money, exponent, sum_money
from hotelcore.domain.rooms import RoomCondition
from hotelcore.domain.stays import Stay
from hotelcore.errors import HotelcoreError

DAY = date(2026, 6, 1)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
LATER = datetime.fromisoformat("2026-06-01T14:00:00+02:00")
ONE = Money(1, "EUR")


def odd(value: Any) -> Any:  # Any: what the types forbid is given on purpose
    """Return a value of a class that the caller was never to give."""
    return value


class _Later:
    async def __call__(self) -> None:
        await asyncio.sleep(0)


async def _later() -> None:
    await asyncio.sleep(0)


async def _each_later() -> AsyncGenerator[int]:
    yield 1


def _each() -> Generator[int]:
    yield 1


def field_given(field: Any, value: object = attrs.NOTHING) -> Any:  # Any: a field is of any type
    """Return what becomes of a value in a field that was made here and now."""
    kind: Any = attrs.make_class("Probe", {"it": field})  # Any: a class made at run time
    return (kind() if value is attrs.NOTHING else kind(value)).it


REFUSALS: list[tuple[Callable[[], object], str]] = [
    # -- money
    (lambda: exponent("eur"), "currency: must be an ISO 4217 code in upper case, such as EUR"),
    (lambda: exponent("XAU"), "currency: XAU has no minor unit, so nothing is priced in it"),
    (
        lambda: Money(odd(1.5), "EUR"),
        "minor: must be int, not float; minor units are whole; use Money.of for '12.50'",
    ),
    (lambda: Money(2**63, "EUR"), "minor: is beyond what 64 bits hold"),
    (lambda: Money.of(odd(1.5), "EUR"), "amount: must be str, int or Decimal, not float"),
    (
        lambda: Money.of("1e3", "EUR"),
        "amount: must be plain digits, at most 19 before the point",
    ),
    (lambda: Money.of("1.234", "EUR"), "amount: EUR has 2 decimals, not 3"),
    (
        lambda: Money.rounded(odd(1), "EUR"),
        "amount: must be Decimal, not int; use Money.of for what needs no rounding",
    ),
    (
        lambda: Money.rounded(Decimal("NaN"), "EUR"),
        "amount: must be finite and within what 64 bits hold",
    ),
    (
        lambda: Money.rounded(Decimal("1e20"), "JPY"),
        "amount: must be finite and within what 64 bits hold",
    ),
    (lambda: Money.rounded(Decimal("1e19"), "JPY"), "minor: is beyond what 64 bits hold"),
    (
        lambda: ONE.split(odd(2.0)),
        "parts: must be int, not float; a bill has a whole number of parts",
    ),
    (lambda: ONE.split(0), "parts: must be from 1 to 10000"),
    (lambda: ONE.split(MAX_PARTS + 1), "parts: must be from 1 to 10000"),
    (
        lambda: ONE.allocate([1, odd(0.5)]),
        "weights: must be int, not float; scale fractions up to whole weights",
    ),
    (lambda: ONE.allocate([]), "weights: need 1 to 10000 integers >= 0, not all zero"),
    (lambda: ONE.allocate([-1, 2]), "weights: need 1 to 10000 integers >= 0, not all zero"),
    (
        lambda: ONE.allocate([1] * (MAX_PARTS + 1)),
        "weights: need 1 to 10000 integers >= 0, not all zero",
    ),
    (
        lambda: ONE.percent(odd(2.5)),
        "basis_points: must be int, not float; one percent is 100 basis points",
    ),
    (
        lambda: ONE * odd(1.5),
        "factor: must be int, not float; use Money.percent or Money.rounded for fractions",
    ),
    (lambda: ONE + odd(1), "amount: must be Money, not int: it has no currency"),
    (lambda: odd(1) + ONE, "amount: int is not Money: add up with sum_money"),
    (lambda: ONE + Money(1, "USD"), "EUR and USD do not mix: convert before you compare or add"),
    (lambda: sum_money([odd(1)], "EUR"), "values: must be Money, not int"),
    (
        lambda: sum_money([ONE], "USD"),
        "USD and EUR do not mix: convert before you compare or add",
    ),
    # -- stays, rooms, hotels
    (
        lambda: Stay(DAY, date(2026, 5, 31)),
        "departure: must not be before the arrival",
    ),
    (
        lambda: Stay(DAY, date(2029, 2, 25)),
        "departure: must be at most 999 nights after arrival",
    ),
    (
        lambda: HouseRules(ready_condition=RoomCondition.DIRTY),
        "ready_condition: must be clean or inspected",
    ),
    # -- a host's own values
    (lambda: Attributes(odd([1])), "attributes: must be a mapping"),
    (lambda: Attributes({"": 1}), "attributes: must not be empty or blank"),
    (lambda: Attributes({"k" * 101: 1}), "attributes: must have at most 100 characters"),
    (lambda: Attributes({"a": "x" * 8_193}), "attributes: must have at most 8192 characters"),
    (
        lambda: Attributes({"a": "x" * 8_185}),
        "attributes: must fit in 8192 bytes of JSON",
    ),
    (lambda: Attributes({"a": 2**63}), "attributes: must hold integers that fit 64 bits"),
    (lambda: Attributes({"a": -(2**63) - 1}), "attributes: must hold integers that fit 64 bits"),
    (
        lambda: Attributes({"a": odd(0.5)}),
        "attributes: must hold text, integers, booleans, null, lists, objects",
    ),
    (
        lambda: Attributes({"a": [[[[[[[[1]]]]]]]]}),
        "attributes: must not nest deeper than 8",
    ),
    (
        lambda: Attributes({"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": 1}}}}}}}}}),
        "attributes: must not nest deeper than 8",
    ),
    # -- fields
    (lambda: field_given(fields.text(3), None), "it: must be text"),
    (lambda: field_given(fields.text(3), "four"), "it: must have at most 3 characters"),
    (lambda: field_given(fields.text(3), ""), "it: must not be empty or blank"),
    (lambda: field_given(fields.text(3, least=2), "x"), "it: must have at least 2 characters"),
    (
        lambda: field_given(fields.text(3, optional=True), "four"),
        "it: must have at most 3 characters",
    ),
    (lambda: field_given(fields.count(2, 4), 1), "it: must be a whole number from 2 to 4"),
    (lambda: field_given(fields.count(2, 4), 5), "it: must be a whole number from 2 to 4"),
    (lambda: field_given(fields.count(0, 4), True), "it: must be a whole number from 0 to 4"),
    (lambda: field_given(fields.count(0, 4), 1.0), "it: must be a whole number from 0 to 4"),
    (lambda: field_given(fields.count(0, 4), None), "it: must be a whole number from 0 to 4"),
    (
        lambda: field_given(fields.choice(RoomCondition), "spotless"),
        "it: must be one of dirty, pickup, clean, inspected",
    ),
    (
        lambda: field_given(fields.choice(RoomCondition), None),
        "it: must be one of dirty, pickup, clean, inspected",
    ),
    (
        lambda: field_given(fields.choices(RoomCondition), ["spotless"]),
        "it: must be one of dirty, pickup, clean, inspected",
    ),
    (
        lambda: field_given(fields.choices(RoomCondition), "dirty"),
        "it: must be a list, a set or another collection",
    ),
    (lambda: field_given(fields.instance(Stay), 1), "it: must be Stay"),
    (lambda: field_given(fields.instances(Stay), [1]), "it: each must be Stay"),
    (
        lambda: field_given(fields.instances(Stay), {}),
        "it: must be a list, a set or another collection",
    ),
    (lambda: field_given(fields.instance(Stay), None), "it: must be Stay"),
    (lambda: field_given(fields.identifier(), "1"), "it: must be a UUID, and not its text"),
    (lambda: field_given(fields.identifier(), None), "it: must be a UUID"),
    (lambda: field_given(fields.flag(), 1), "it: must be True or False"),
    (lambda: field_given(fields.flag(), None), "it: must be True or False"),
    (lambda: field_given(fields.money(), 1), "it: must be Money"),
    (lambda: field_given(fields.money(), None), "it: must be Money"),
    (lambda: field_given(fields.version(), 0), "it: must be a whole number from 1 to 2147483647"),
    (lambda: field_given(fields.day(), NOON), "it: must be a date without a time"),
    (lambda: field_given(fields.day(), None), "it: must be a date without a time"),
    (
        lambda: field_given(fields.day(optional=True), "2026-06-01"),
        "it: must be a date without a time, and not its text",
    ),
    (
        lambda: field_given(fields.day(), date(1899, 12, 31)),
        "it: must lie between 1900-01-01 and 2199-12-31",
    ),
    (
        lambda: field_given(fields.day(), date(2200, 1, 1)),
        "it: must lie between 1900-01-01 and 2199-12-31",
    ),
    (
        lambda: field_given(fields.instant(), datetime(2026, 6, 1)),
        "it: must be a datetime with a time zone",
    ),
    (
        lambda: field_given(fields.instant(optional=True), datetime(2026, 6, 1)),
        "it: must be a datetime with a time zone",
    ),
    (lambda: field_given(fields.instant(), DAY), "it: must be a datetime with a time zone"),
    (lambda: field_given(fields.instant(), None), "it: must be a datetime with a time zone"),
    # -- functions
    (lambda: fields.check_plain("listener", 1), "listener: must be a function"),
    *(
        (
            lambda function=function: fields.check_plain("listener", function),
            "listener: must be a plain function, neither async nor a generator",
        )
        for function in (_later, _each_later, _each, _Later())
    ),
]


@pytest.mark.parametrize(
    ("refused", "text"), REFUSALS, ids=[f"{n} {text}" for n, (_, text) in enumerate(REFUSALS)]
)
def test_a_refusal_says_what_is_wrong(refused: Callable[[], object], text: str) -> None:
    """Each refusal names the field, the rule that was broken, and nothing of the value."""
    with pytest.raises(HotelcoreError) as told:
        refused()
    assert str(told.value) == text


ACCEPTED: list[tuple[Callable[[], object], object]] = [
    (lambda: field_given(fields.text(3), "a"), "a"),
    (lambda: field_given(fields.text(3), "abc"), "abc"),
    (lambda: field_given(fields.text(3, least=2), "ab"), "ab"),
    (lambda: field_given(fields.text(3, least=0), ""), ""),
    (lambda: field_given(fields.text(3, optional=True)), None),
    (lambda: field_given(fields.text(3, optional=True), None), None),
    (lambda: field_given(fields.count(2, 4), 2), 2),
    (lambda: field_given(fields.count(2, 4), 4), 4),
    (lambda: field_given(fields.count(2, 4, default=3)), 3),
    (lambda: field_given(fields.count(0, 4, default=0)), 0),
    (lambda: field_given(fields.count(2, 4, optional=True)), None),
    (lambda: field_given(fields.choice(RoomCondition), "clean"), RoomCondition.CLEAN),
    (lambda: field_given(fields.choice(RoomCondition, optional=True)), None),
    (lambda: field_given(fields.choice(RoomCondition, optional=True), None), None),
    (
        lambda: field_given(fields.choice(RoomCondition, default=RoomCondition.PICKUP)),
        RoomCondition.PICKUP,
    ),
    (lambda: field_given(fields.choices(RoomCondition)), None),
    (lambda: field_given(fields.choices(RoomCondition), None), None),
    (lambda: field_given(fields.choices(RoomCondition), []), frozenset()),
    (
        lambda: field_given(fields.choices(RoomCondition), ["clean"]),
        frozenset({RoomCondition.CLEAN}),
    ),
    (lambda: field_given(fields.instance(HouseRules, default=True)), HouseRules()),
    (lambda: field_given(fields.instance(Stay, optional=True)), None),
    (lambda: field_given(fields.instance(Stay, optional=True), None), None),
    (lambda: field_given(fields.instances(Stay), [Stay(DAY, DAY)]), (Stay(DAY, DAY),)),
    (lambda: field_given(fields.identifier(optional=True)), None),
    (lambda: field_given(fields.flag()), False),
    (lambda: field_given(fields.flag(), True), True),
    (lambda: field_given(fields.flag(optional=True)), None),
    (lambda: field_given(fields.money(), ONE), ONE),
    (lambda: field_given(fields.money(optional=True)), None),
    (lambda: field_given(fields.version()), 1),
    (lambda: field_given(fields.version(), 2**31 - 1), 2**31 - 1),
    (lambda: field_given(fields.day(), date(1900, 1, 1)), date(1900, 1, 1)),
    (lambda: field_given(fields.day(), date(2199, 12, 31)), date(2199, 12, 31)),
    (lambda: field_given(fields.day(optional=True)), None),
    (lambda: field_given(fields.day(optional=True), None), None),
    (lambda: str(field_given(fields.instant(), NOON)), "2026-06-01 12:00:00+00:00"),
    (
        lambda: str(field_given(fields.instant(), LATER)),
        "2026-06-01 12:00:00+00:00",
    ),
    (
        lambda: [
            field_given(fields.instant(optional=o), LATER).tzinfo is UTC for o in (True, False)
        ],
        [True, True],
    ),
    (lambda: field_given(fields.instant(optional=True)), None),
    (lambda: field_given(fields.instant(optional=True), None), None),
    (lambda: field_given(fields.attributes()), Attributes()),
    (lambda: field_given(fields.attributes(), {"a": 1}).to_json(), '{"a":1}'),
    (lambda: field_given(fields.attributes(), Attributes({"a": 1})).to_json(), '{"a":1}'),
    (lambda: len(ONE.split(MAX_PARTS)), MAX_PARTS),
    (lambda: len(ONE.allocate([1] * MAX_PARTS)), MAX_PARTS),
    (lambda: len(Stay(DAY, date(2029, 2, 24))), 999),
    (lambda: Attributes({"a": 2**63 - 1, "b": -(2**63)})["b"], -(2**63)),
    (lambda: len(Attributes({"a": "x" * 8_184}).to_json()), 8_192),
    (lambda: Attributes({"k" * 100: ""})["k" * 100], ""),
    (
        lambda: Attributes({"a": [[[[[[[1]]]]]]]}).to_json(),
        '{"a":[[[[[[[1]]]]]]]}',
    ),
    (
        lambda: len(Attributes({"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": 1}}}}}}}})),
        1,
    ),
]


@pytest.mark.parametrize(("made", "value"), ACCEPTED)
def test_the_last_value_within_a_limit_is_taken(made: Callable[[], object], value: object) -> None:
    """What lies just inside each limit is taken, and what is not given gets its default."""
    assert made() == value


def test_nothing_is_personal_unless_it_is_said() -> None:
    """A field is a guest's own where it is marked so, optional or not, and nowhere else."""
    for plain in (fields.text(3), fields.text(3, optional=True), fields.attributes()):
        assert plain.metadata == {}
    for marked in (
        fields.text(3, personal=True),
        fields.text(3, optional=True, personal=True),
        fields.attributes(personal=True),
    ):
        assert marked.metadata == {"personal": True}


@pytest.mark.parametrize(
    "made",
    [
        lambda: fields.text(3),
        lambda: fields.count(0, 4),
        lambda: fields.choice(RoomCondition),
        lambda: fields.instance(HouseRules),
        lambda: fields.instances(Stay),
        lambda: fields.identifier(),
        lambda: fields.money(),
        lambda: fields.day(),
        lambda: fields.instant(),
    ],
)
def test_what_has_no_default_must_be_given(made: Callable[[], object]) -> None:
    """A field that is neither optional nor has a default cannot be left out."""
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'it'"):
        field_given(made())


def test_attributes_have_one_text_and_show_only_their_names() -> None:
    """The JSON is sorted, dense and in plain letters; equal values hash alike; a repr is bare."""
    given = Attributes({"b": [1, None, {"z": "ä", "y": True}], "a": "é"})
    assert given.to_json() == '{"a":"é","b":[1,null,{"y":true,"z":"ä"}]}'
    same = Attributes({"a": "é", "b": (1, None, Attributes({"y": True, "z": "ä"}))})
    assert (given, hash(given)) == (same, hash(same))
    assert hash(given) == hash(given.to_json())
    assert repr(given) == "Attributes(a, b)"
    assert list(given) == ["b", "a"]
