"""Pages by key: the cursor is the sort key of the last record, so no row is counted or skipped.

A cursor travels in URLs, and those end up in logs. So where the sort key is personal the cursor is
the record's id alone, and the key is looked up again.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import chain
from typing import Any, Generic, TypeVar

from sqlalchemy import BindParameter, ColumnElement, Select, bindparam, tuple_
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.visitors import iterate

from hotelcore import wire
from hotelcore.errors import InvalidInput
from hotelcore.lists import Page
from hotelcore.sql.seam.judge import ACTING_HOTEL
from hotelcore.sql.seam.running import Runner
from hotelcore.sql.seam.statements import AnyRow

__all__ = ["Listing", "check_filter", "check_limit"]

T = TypeVar("T")
# The columns of a sort key differ in type, so each is a column of anything.
Keys = Sequence[ColumnElement[Any]]

_LARGEST_PAGE = 1_000
_NO_CURSOR = "must be a cursor that this list gave"


class Listing(Generic[T]):
    """A list of records that is read in pages: its order, and what may be asked of it.

    ``keys`` order the records and end in one that no two records of a hotel share, or pages would
    leave some out; ``statement`` must select them, since the cursor is read from the last row.
    ``keys_of_one`` selects them for the record with the id ``key``: with it the cursor holds no
    other key than the last, which is for keys that are personal. Each of the ``conditions`` holds
    where a value of its name is given; it may take others beside. A statement is built once for
    the conditions that are asked together. Raises `InvalidInput` for keys that are missing or that
    nobody selects, and for what is no SELECT.
    """

    def __init__(
        self,
        statement: Select[Any],
        build: Callable[[AnyRow], T],
        *,
        keys: Keys,
        conditions: Mapping[str, ColumnElement[bool]],
        descending: bool = False,
        keys_of_one: Executable | None = None,
    ) -> None:
        if not isinstance(statement, Select):
            raise InvalidInput("statement", "must be a SELECT, built with select()")
        if not callable(build):
            raise InvalidInput("build", "must be a function that makes a record of a row")
        if not isinstance(conditions, Mapping):
            raise InvalidInput("conditions", "must be a mapping of names to conditions")
        self._build = build
        self._keys = keys
        self._shown = keys if keys_of_one is None else keys[-1:]
        # A cursor of another list could look like one of this.
        self._mark = sha256(" ".join(map(str, keys)).encode()).hexdigest()[:4]
        _check_keys(statement, self._shown)
        self._keys_of_one = keys_of_one
        self._conditions = conditions
        place = tuple_(*(bindparam(_place(n), type_=key.type) for n, key in enumerate(keys)))
        self._behind = tuple_(*keys) < place if descending else tuple_(*keys) > place
        order = (key.desc() if descending else key for key in keys)
        self._names = {*conditions, *_parameters(statement, *conditions.values())}
        self._whole = statement.order_by(*order).limit(bindparam("rows_to_read"))
        self._asked: dict[tuple[str, ...], Select[Any]] = {}

    def page(self, run: Runner, *, after: str | None, limit: int, **values: object) -> Page[T]:
        """Return up to ``limit`` (1 to 1,000) records behind the cursor ``after``.

        Raises `InvalidInput` for a limit out of range, a cursor that was not given by this list,
        and a value of a name that nothing here has.
        """
        check_limit(limit)
        for unknown in values.keys() - self._names:
            known = ", ".join(sorted(self._names - {ACTING_HOTEL})) or "nothing"
            raise InvalidInput(unknown, f"is not what this list may be asked for, which is {known}")
        given = {name: value for name, value in values.items() if value is not None}
        if after is not None:
            given.update(self._found(run, after))
        statement = self._statement(tuple(given))
        items, last = run.some(statement, self._build, limit, rows_to_read=limit + 1, **given)
        return Page(tuple(items), None if last is None else self._sealed(last))

    def empty(self, *, after: str | None, limit: int) -> Page[T]:
        """Return the page of what nothing matches; it raises as `page` does."""
        check_limit(limit)
        if after is not None:
            self._opened(after)
        return Page((), None)

    def statements(self) -> Iterator[Select[Any]]:
        """Give what it runs: with no condition and with each, at first and behind a cursor."""
        for asked in ((), *((name,) for name in self._conditions)):
            yield self._statement(asked)
            yield self._statement((*asked, _place(0)))

    def _statement(self, given: tuple[str, ...]) -> Select[Any]:
        known = self._asked.get(given)
        if known is None:
            asked = [self._conditions[name] for name in given if name in self._conditions]
            if _place(0) in given:
                asked.append(self._behind)
            known = self._asked[given] = self._whole.where(*asked)
        return known

    def _found(self, run: Runner, cursor: str) -> dict[str, object]:
        """Return the keys of the record that a cursor names."""
        place = self._opened(cursor)
        if self._keys_of_one is not None:
            found = run.first(self._keys_of_one, list, key=place[0])
            if found is None:
                raise InvalidInput("after", _NO_CURSOR)
            place = found
        return {_place(number): value for number, value in enumerate(place)}

    def _sealed(self, row: AnyRow) -> str:
        values = [wire.encode(getattr(row, str(key.key))) for key in self._shown]
        return urlsafe_b64encode(wire.canonical([self._mark, *values])).decode().rstrip("=")

    def _opened(self, cursor: str) -> list[object]:
        try:
            if not isinstance(cursor, str):
                raise TypeError
            padded = cursor + "=" * (-len(cursor) % 4)
            mark, *values = json.loads(urlsafe_b64decode(padded.encode()))
            if mark != self._mark:
                raise ValueError
            kinds = (key.type.python_type for key in self._shown)
            return [wire.decode(v, kind) for kind, v in zip(kinds, values, strict=True)]
        except (ValueError, TypeError, Base64Error, RecursionError):
            raise InvalidInput("after", _NO_CURSOR) from None


def _check_keys(statement: Select[Any], shown: Keys) -> None:
    selected = statement.selected_columns.keys()
    if not shown:
        raise InvalidInput("keys", "must be at least one, which no two records of a hotel share")
    for key in shown:
        if str(key.key) not in selected:
            raise InvalidInput("keys", f"must be selected by the statement, and {key.key} is not")


def _parameters(*clauses: ClauseElement) -> Iterator[str]:
    """Name the parameters in some parts of a statement."""
    parts = chain.from_iterable(map(iterate, clauses))
    return (part.key for part in parts if isinstance(part, BindParameter))


def _place(number: int) -> str:
    return f"place_{number}"


def check_filter(which: object, kind: type) -> None:
    """Raise `InvalidInput` unless ``which`` is the filter of the list that is asked."""
    if not isinstance(which, kind):
        raise InvalidInput("which", f"must be a {kind.__name__}, which is this list's filter")


def check_limit(limit: object) -> None:
    """Raise `InvalidInput` unless ``limit`` is how many records one page may have."""
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= _LARGEST_PAGE:
        raise InvalidInput("limit", f"must be a whole number from 1 to {_LARGEST_PAGE}")
