"""What an entity's field accepts: attrs fields that refuse bad input with its name.

Every entity validates itself when it is built, so no layer above or below needs to ask again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from enum import StrEnum
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import NoneType
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from attrs import NOTHING, Attribute, Converter, Factory, field

from hotelcore.domain.money import Money
from hotelcore.errors import InvalidInput
from hotelcore.text import clean_text

__all__ = [
    "Attributes",
    "JsonValue",
    "attributes",
    "check_day",
    "check_id",
    "check_plain",
    "choice",
    "choices",
    "count",
    "day",
    "flag",
    "identifier",
    "instance",
    "instances",
    "instant",
    "member",
    "money",
    "not_text",
    "text",
    "version",
]

E = TypeVar("E", bound=StrEnum)

EARLIEST, LATEST = date(1900, 1, 1), date(2199, 12, 31)
MOST = 2**31 - 1
"""The most that a stored counter holds."""

_MOST_ATTRIBUTE_BYTES = 8_192
_MOST_ATTRIBUTE_DEPTH = 8

JsonValue: TypeAlias = (
    "str | int | bool | tuple[JsonValue, ...] | list[JsonValue] | Mapping[str, JsonValue] | None"
)
"""What may stand in a host's own fields: JSON without floats."""


# Made once: to make one takes as long as to write a few fields.
_dump = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=dict
).encode


class Attributes(Mapping[str, JsonValue]):
    """A host's own fields on an entity: a small, frozen JSON object.

    At most 8 KiB as JSON. Numbers are integers: a float would come back different from some
    databases, so write a decimal as text. Lists come back as tuples. Two are equal when their JSON
    is, in which 1 is not true; a plain mapping equals the attributes that it would make.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, JsonValue] | None = None) -> None:
        self._values: dict[str, JsonValue] = {
            clean_text("attributes", key, most=100): _frozen(value, 1)
            for key, value in _items(values)
        }
        if self._values and len(self.to_json().encode()) > _MOST_ATTRIBUTE_BYTES:
            raise InvalidInput("attributes", f"must fit in {_MOST_ATTRIBUTE_BYTES} bytes of JSON")

    def __getitem__(self, key: str) -> JsonValue:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Attributes):
            return _equals_plain(self, other) if isinstance(other, Mapping) else NotImplemented
        # Most that differ do so for Python too, which takes less time to see.
        return self._values == other._values and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def __repr__(self) -> str:
        """Show the keys only: the values are the host's, and may be personal."""
        return f"Attributes({', '.join(sorted(self._values))})"

    def to_json(self) -> str:
        """Return the canonical JSON text: sorted keys, no spaces."""
        return _dump(self._values)


def _equals_plain(attributes: Attributes, other: Mapping[str, JsonValue]) -> bool:
    with suppress(InvalidInput):
        return attributes == Attributes(other)
    return False  # what no attributes could hold equals none


def _items(values: object) -> Iterable[tuple[str, JsonValue]]:
    if values is None:
        return ()
    if not isinstance(values, Mapping):
        raise InvalidInput("attributes", "must be a mapping")
    return values.items()


def _frozen(value: JsonValue, depth: int) -> JsonValue:
    """Copy ``value`` into immutable containers, refusing what JSON or a database would change."""
    if depth > _MOST_ATTRIBUTE_DEPTH:
        raise InvalidInput("attributes", f"must not nest deeper than {_MOST_ATTRIBUTE_DEPTH}")
    if isinstance(value, str):
        return clean_text("attributes", value, most=_MOST_ATTRIBUTE_BYTES, least=0)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise InvalidInput("attributes", "must hold integers that fit 64 bits")
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, list | tuple):
        return tuple(_frozen(item, depth + 1) for item in value)
    if isinstance(value, Mapping):
        return Attributes({key: _frozen(item, depth + 1) for key, item in value.items()})
    raise InvalidInput("attributes", "must hold text, integers, booleans, null, lists, objects")


# attrs calls a validator with (instance, attribute, value); the attribute's value type is open,
# because checking it is the validator's very work: hence `Any` in the signatures below.
Checked: TypeAlias = Any


def text(most: int, *, least: int = 1, optional: bool = False, personal: bool = False) -> Checked:
    """Give a field for storable text of ``least`` to ``most`` characters.

    ``personal`` marks a guest's own data: its value never reaches an event, and an audit entry only
    sealed under the guest's own key.
    """

    def check(_: object, attribute: Attribute[Checked], value: object) -> None:
        if not (optional and value is None):
            clean_text(attribute.name, value, most=most, least=least)

    metadata = {"personal": True} if personal else {}
    if optional:
        return field(default=None, validator=check, metadata=metadata)
    return field(validator=check, metadata=metadata)


def count(low: int, high: int, *, default: int | None = None, optional: bool = False) -> Checked:
    """Give a field for a whole number from ``low`` to ``high``, both included."""

    def check(_: object, attribute: Attribute[Checked], value: object) -> None:
        if optional and value is None:
            return
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InvalidInput(attribute.name, f"must be a whole number from {low} to {high}")

    if default is None and not optional:
        return field(validator=check)
    return field(default=default, validator=check)


def member(name: str, kind: type[E], value: Checked) -> E:
    """Return the member of ``kind`` that ``value`` is, or whose value it is."""
    with suppress(ValueError):
        return kind(value)
    raise InvalidInput(name, f"must be one of {', '.join(kind)}")


def choice(kind: type[E], *, default: E | None = None, optional: bool = False) -> Checked:
    """Give a field for a member of ``kind``, which may be given as its value."""

    def convert(value: object, attribute: Attribute[Checked]) -> E | None:
        if isinstance(value, kind) or (optional and value is None):
            return value
        return member(attribute.name, kind, value)

    unless_given = default if optional or default is not None else NOTHING
    return field(default=unless_given, converter=Converter(convert, takes_field=True))


def choices(kind: type[StrEnum]) -> Checked:
    """Give an optional field for a set of members of ``kind``, which may be given as values."""

    def convert(values: object, attribute: Attribute[Checked]) -> frozenset[StrEnum] | None:
        if values is None:
            return None
        items = _collected(attribute.name, values)
        return frozenset(member(attribute.name, kind, item) for item in items)

    return field(default=None, converter=Converter(convert, takes_field=True))


def _collected(name: str, values: object) -> Collection[object]:
    """Return ``values`` if they are several; nobody means a text's letters or a mapping's keys."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Collection):
        raise InvalidInput(name, "must be a list, a set or another collection")
    return values


def instance(kind: type, *, default: bool = False, optional: bool = False) -> Checked:
    """Give a field for a value of the class ``kind``; ``default`` makes one where none is given."""
    return _instance(
        kind, kind.__name__, optional=optional, default=Factory(kind) if default else NOTHING
    )


def instances(kind: type, *, default: bool = False) -> Checked:
    """Give a field for a tuple of values of the class ``kind``; other collections become one.

    ``default`` makes an empty one where none is given.
    """

    def convert(values: object, attribute: Attribute[Checked]) -> tuple[object, ...]:
        items = tuple(_collected(attribute.name, values))
        if not all(isinstance(item, kind) for item in items):
            raise InvalidInput(attribute.name, f"each must be {kind.__name__}")
        return items

    unless_given: object = () if default else NOTHING
    return field(default=unless_given, converter=Converter(convert, takes_field=True))


def identifier(*, optional: bool = False) -> Checked:
    """Give a field for a record's id; the text of a UUID is none."""

    def check(_: object, attribute: Attribute[Checked], value: object) -> None:
        if not (optional and value is None):
            check_id(attribute.name, value)

    return field(default=None, validator=check) if optional else field(validator=check)


def flag(*, optional: bool = False) -> Checked:
    """Give a field for True or False; False, or None if it is optional, where it is not given."""
    return _instance(bool, "True or False", optional=optional, default=False)


def version() -> Checked:
    """Give the field that counts how often a record was stored, from 1."""
    return count(1, MOST, default=1)


def _instance(kind: type, name: str, *, optional: bool, default: object = NOTHING) -> Checked:
    accepted = (kind, NoneType) if optional else kind

    def check(_: object, attribute: Attribute[Checked], value: object) -> None:
        if not isinstance(value, accepted):
            raise InvalidInput(attribute.name, f"must be {name}")

    return field(default=None if optional else default, validator=check)


def check_day(name: str, value: object) -> date:
    """Return ``value`` if it is a plain date between 1900 and 2199."""
    if not isinstance(value, date) or isinstance(value, datetime):
        raise InvalidInput(name, f"must be a date without a time{not_text(value)}")
    if not EARLIEST <= value <= LATEST:
        raise InvalidInput(name, f"must lie between {EARLIEST} and {LATEST}")
    return value


def not_text(value: object) -> str:
    """Say that a value is a text, which looks like what is wanted; nothing of any other."""
    return ", and not its text" if isinstance(value, str) else ""


def check_id(name: str, value: object) -> UUID:
    """Return ``value`` if it is a record's id; the text of a UUID is none."""
    if not isinstance(value, UUID):
        raise InvalidInput(name, f"must be a UUID{not_text(value)}")
    return value


_UNSTARTED = (iscoroutinefunction, isasyncgenfunction, isgeneratorfunction)


def check_plain(name: str, function: object) -> None:
    """Refuse what does not run to its end when it is called: ``async def``, a generator."""
    if not callable(function):
        raise InvalidInput(name, "must be a function")
    forms = (function, type(function).__call__)
    if any(is_unstarted(form) for is_unstarted in _UNSTARTED for form in forms):
        raise InvalidInput(name, "must be a plain function, neither async nor a generator")


def day(*, optional: bool = False) -> Checked:
    """Give a field for a local calendar date."""

    def check(_: object, attribute: Attribute[Checked], value: object) -> None:
        if not (optional and value is None):
            check_day(attribute.name, value)

    return field(default=None, validator=check) if optional else field(validator=check)


def instant(*, optional: bool = False) -> Checked:
    """Give a field for a moment in time, stored in UTC; naive datetimes are refused."""

    def check(_: object, attribute: Attribute[Checked], value: object) -> None:
        if optional and value is None:
            return
        if not isinstance(value, datetime) or value.utcoffset() is None:
            raise InvalidInput(attribute.name, "must be a datetime with a time zone")
        if value.tzinfo is not UTC:
            raise InvalidInput(attribute.name, "must be in a year from 1 to 9999 in UTC")

    def to_utc(value: object) -> object:
        # The validator runs after the converter and refuses whatever is left unconverted here.
        if not isinstance(value, datetime) or value.utcoffset() is None:
            return value
        try:
            return value.astimezone(UTC)
        except OverflowError:
            return value

    if optional:
        return field(default=None, validator=check, converter=to_utc)
    return field(validator=check, converter=to_utc)


def money(*, optional: bool = False) -> Checked:
    """Give a field for an amount; floats and bare numbers are refused."""
    return instance(Money, optional=optional)


def attributes(*, personal: bool = False) -> Checked:
    """Give the field for a host's own values; ``personal`` as for `text`."""
    metadata = {"personal": True} if personal else {}
    return field(factory=Attributes, converter=_attributes, metadata=metadata)


def _attributes(value: Mapping[str, JsonValue]) -> Attributes:
    return value if isinstance(value, Attributes) else Attributes(value)
