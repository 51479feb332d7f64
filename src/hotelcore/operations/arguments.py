"""What an operation takes: values of the types that it declares, or `InvalidInput`.

The entities refuse what is out of range; this refuses what they could not even read, before
anything is asked of the database.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from functools import cache, wraps
from inspect import isclass
from types import NoneType, UnionType
from typing import (
    NewType,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)
from uuid import UUID

import attrs
from attrs import frozen

from hotelcore.domain.fields import not_text
from hotelcore.errors import InvalidInput
from hotelcore.vault import Secret

__all__ = ["checked"]

P = ParamSpec("P")
R = TypeVar("R")

_NAMES: Mapping[type, str] = {
    Secret: "a Secret",
    UUID: "a UUID",
    bool: "true or false",
    date: "a date without a time",
    datetime: "a datetime",
    int: "a whole number",
    str: "text",
}
# In Python these are also what stands behind them, and nobody means that.
_NEVER: Mapping[type, type] = {int: bool, date: datetime}


@frozen
class _Kind:
    """What a declared type accepts, and what a refusal calls it."""

    name: str
    accepts: Callable[[object], bool]
    # Whether its text looks like a value, so that a refusal has to say that it is none.
    looks_alike: bool = False

    def refusal(self, value: object) -> str:
        """Say what a value must be."""
        return f"must be {self.name}{not_text(value) if self.looks_alike else ''}"


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Have the function refuse a keyword argument that is not of the type it declares.

    Known are ids, text, numbers, dates, instants, booleans, the library's own values, collections
    of these, and mappings. Members of an enumeration may be given by their values. Other types are
    the function's own to check.
    """

    @wraps(function)
    def perform(*args: P.args, **kwargs: P.kwargs) -> R:
        kinds = _kinds(function)
        for name, value in kwargs.items():
            kind = kinds.get(name)
            if kind is not None and not kind.accepts(value):
                raise InvalidInput(name, kind.refusal(value))
        return function(*args, **kwargs)

    return perform


@cache
def _kinds(function: Callable[..., object]) -> Mapping[str, _Kind]:
    try:
        hints = get_type_hints(function)
    except NameError:
        # A host's annotations may be there for its type checker alone.
        return {}
    kinds = {name: _kind(hint) for name, hint in hints.items()}
    return {name: kind for name, kind in kinds.items() if kind is not None}


def _kind(hint: object) -> _Kind | None:
    if get_origin(hint) not in (Union, UnionType):
        return _plain(hint)
    match [option for option in get_args(hint) if option is not NoneType]:
        case [option] if (kind := _plain(option)) is not None:
            accepts = kind.accepts
            return attrs.evolve(kind, accepts=lambda value: value is None or accepts(value))
        case _:
            return None


def _plain(hint: object) -> _Kind | None:
    if isinstance(hint, NewType):
        return _plain(hint.__supertype__)
    if isclass(hint) and (hint in _NAMES or attrs.has(hint)):
        return _instances(hint)
    origin, items = get_origin(hint), get_args(hint)
    if origin is Mapping:
        return _Kind("a mapping", lambda value: isinstance(value, Mapping))
    if origin in (Collection, Sequence) and (item := _plain(items[0])) is not None:
        return _collections(origin, item)
    return None


def _instances(kind: type) -> _Kind:
    never = _NEVER.get(kind, ())
    return _Kind(
        _NAMES.get(kind, kind.__name__),
        lambda value: isinstance(value, kind) and not isinstance(value, never),
        looks_alike=True,
    )


def _collections(kind: type, item: _Kind) -> _Kind:
    def accepts(value: object) -> bool:
        if not isinstance(value, Collection) or isinstance(value, str | bytes):
            return False
        return isinstance(value, kind) and all(map(item.accepts, value))

    return _Kind(f"a {kind.__name__.lower()}, each {item.name}", accepts)
