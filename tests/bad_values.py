"""Values that can never be right for an argument, by the type that it is declared with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from inspect import isclass
from types import NoneType
from typing import NewType, get_args, get_origin
from uuid import UUID

from hotelcore import Money, Secret, Stay
from hotelcore.domain.cancellation import CancellationPolicy
from hotelcore.domain.hotels import HouseRules
from hotelcore.pms import PmsSnapshot
from tests.small_hotel import PRICE, TODAY

UNKNOWN = UUID(int=0x1234)
MEBIBYTE = 1 << 20

WRONG_KINDS: tuple[object, ...] = (12.5, b"bytes", object())
TEXTS: Sequence[object] = (
    *WRONG_KINDS,
    7,
    True,
    ["text"],
    "NUL \x00",
    "\x00",
    "lone \ud800 surrogate",
    "\udfff",
    "x" * MEBIBYTE,
)
NEEDED_TEXTS: Sequence[object] = ("", " ", "\t\n\u2003")
IDS: Sequence[object] = (
    *WRONG_KINDS,
    UNKNOWN,
    str(UNKNOWN),
    "1' OR '1'='1",
    7,
    True,
    [],
)
DAYS: Sequence[object] = (
    *WRONG_KINDS,
    "2020-01-01",
    20200101,
    datetime(2020, 1, 1),
    datetime(2020, 1, 1, tzinfo=UTC),
    date.min,
    date.max,
    date(1899, 12, 31),
    date(2200, 1, 1),
)
INSTANTS: Sequence[object] = (
    *WRONG_KINDS,
    TODAY,
    "2099-01-01T00:00:00Z",
    datetime(2099, 1, 1),
    datetime(9999, 12, 31, 23, 59, 59),
    datetime(1970, 1, 1, tzinfo=UTC),
    timedelta(days=1),
)
NUMBERS: Sequence[object] = (*WRONG_KINDS, True, False, "1", Decimal(1), -1, 10**6, 2**63, 1.0)
AMOUNTS: Sequence[object] = (
    *WRONG_KINDS,
    100,
    "100.00",
    Decimal("100.00"),
    Money(-1, "EUR"),
    Money(100, "USD"),
)
STAYS: Sequence[object] = (*WRONG_KINDS, (TODAY, TODAY), TODAY, "2020-01-01/2020-01-02", [TODAY])
PRICES: Sequence[object] = (
    *WRONG_KINDS,
    PRICE,
    [],
    [PRICE] * 9,
    [100.0] * 9,
    [100.0],
    [100.0, 100.0],
    [Money(100, "USD")],
    [PRICE, Money(100, "USD")],
    ["100.00"],
    ["100.00", "100.00"],
)
MAPPINGS: Sequence[object] = (
    *WRONG_KINDS,
    "text",
    [("a", 1)],
    {"": 1},
    {7: 1},
    {"a": 1.5},
    {"a": object()},
    {"a": {"b": {1.5}}},
    {"a": "\x00"},
    {"\x00": 1},
    {"a": "\ud800"},
    {"a": "x" * MEBIBYTE},
    {"k" * 101: 1},
    {f"key {number}": "x" * 1_000 for number in range(9)},
    {"a": 2**63},
    {"a": float("nan")},
    {"a": [[[[[[[[[[[["deep"]]]]]]]]]]]]},
)
COLLECTIONS: Sequence[object] = (*WRONG_KINDS, 7, "text", [], [7], ["\x00"], [""], [None])
FLAGS: Sequence[object] = (*WRONG_KINDS, 0, 1, "yes", "")
MEMBERS: Sequence[object] = (*WRONG_KINDS, "bogus", "", 7, True, [])
RECORDS: Sequence[object] = (*WRONG_KINDS, {}, "text", 7, [])

_BY_CLASS: Mapping[object, Sequence[object]] = {
    str: TEXTS,
    date: DAYS,
    datetime: INSTANTS,
    bool: FLAGS,
    int: NUMBERS,
    Money: AMOUNTS,
    Stay: STAYS,
    CancellationPolicy: RECORDS,
    HouseRules: RECORDS,
    PmsSnapshot: RECORDS,
    Secret: RECORDS,
}
_MAY_BE_EMPTY = frozenset({"description", "first_name"})


def bad_values(name: str, hint: object) -> Sequence[object]:
    """Return what an argument of that name and declared type must refuse."""
    options = [option for option in get_args(hint) if option is not NoneType]
    if NoneType in get_args(hint) and len(options) == 1:
        return _of_kind(name, options[0])
    return (*_of_kind(name, hint), None)


def _of_kind(name: str, hint: object) -> Sequence[object]:
    if isinstance(hint, NewType):
        return IDS
    if hint is str:
        return TEXTS if name in _MAY_BE_EMPTY else (*TEXTS, *NEEDED_TEXTS)
    if isclass(hint) and issubclass(hint, Enum):
        return MEMBERS
    if get_origin(hint) is Mapping:
        return MAPPINGS
    if get_origin(hint) in (Sequence, Collection):
        return PRICES if get_args(hint) == (Money,) else COLLECTIONS
    return _BY_CLASS[hint]
