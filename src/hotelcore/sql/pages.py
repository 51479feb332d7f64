"""Pages by key: the cursor is the sort key of the last record, so no row is counted or skipped.

A cursor travels in URLs, and those end up in logs. So where the sort key is personal the cursor is
the record's id alone, and the key is looked up again.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, literal, tuple_
from sqlalchemy.sql.base import Executable

from hotelcore import wire
from hotelcore.errors import InvalidInput
from hotelcore.lists import Page
from hotelcore.sql.statements import AnyRow, Runner

__all__ = ["check_limit", "read_page"]

T = TypeVar("T")
# The columns of a sort key differ in type, so each is a column of anything.
Keys = Sequence[ColumnElement[Any]]

_LARGEST_PAGE = 1_000
_NO_CURSOR = "must be a cursor that this list gave"


def read_page(
    run: Runner,
    statement: Select[Any],
    build: Callable[[AnyRow], T],
    *,
    keys: Keys,
    after: str | None,
    limit: int,
    descending: bool = False,
    keys_of_one: Executable | None = None,
) -> Page[T]:
    """Return up to ``limit`` (1 to 1,000) records behind the cursor ``after``.

    ``keys`` order the records and end in a unique one. ``statement`` must select them: the cursor
    is read from the last row. ``keys_of_one`` selects them for the record with the id ``key``: with
    it the cursor holds no other key than the last. Raises `InvalidInput` for a limit out of range
    or a cursor that was not given by this list.
    """
    check_limit(limit)
    shown = keys if keys_of_one is None else keys[-1:]
    if after is not None:
        place = _opened(after, shown)
        if keys_of_one is not None:
            place = _found_again(run, keys_of_one, place[0])
        bound = tuple_(*(literal(v, k.type) for k, v in zip(keys, place, strict=True)))
        statement = statement.where(tuple_(*keys) < bound if descending else tuple_(*keys) > bound)
    statement = statement.order_by(*(key.desc() if descending else key for key in keys))
    rows = run.all(statement.limit(limit + 1), lambda row: row)
    more = len(rows) > limit
    cursor = _sealed(rows[limit - 1], shown) if more else None
    return Page(tuple(build(row) for row in rows[:limit]), cursor)


def check_limit(limit: object) -> None:
    """Raise `InvalidInput` unless ``limit`` is how many records one page may have."""
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= _LARGEST_PAGE:
        raise InvalidInput("limit", f"must be a whole number from 1 to {_LARGEST_PAGE}")


def _sealed(row: AnyRow, keys: Keys) -> str:
    values = [wire.encode(row._mapping[key]) for key in keys]
    return urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode()


def _found_again(run: Runner, keys_of_one: Executable, key: object) -> list[object]:
    place = run.first(keys_of_one, list, key=key)
    if place is None:
        raise InvalidInput("after", _NO_CURSOR)
    return place


def _opened(cursor: str, keys: Keys) -> list[object]:
    try:
        if not isinstance(cursor, str):
            raise TypeError
        values = json.loads(urlsafe_b64decode(cursor.encode()))
        return [wire.decode(v, k.type.python_type) for k, v in zip(keys, values, strict=True)]
    except (ValueError, TypeError, Base64Error, RecursionError):
        raise InvalidInput("after", _NO_CURSOR) from None
