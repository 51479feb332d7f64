"""Many new rows of one table: what is sent for them to each database.

To send an INSERT for each row costs PostgreSQL a message a row. So there the rows of a statement go
as one JSON array, of which the server makes them: a thousand take half the time that way, and three
quarters of it as an array for each column (``unnest``). SQLite works in our own process.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from types import NoneType
from typing import Any, TypeAlias
from uuid import UUID

from attrs import frozen
from sqlalchemy import (
    Column,
    ColumnElement,
    Dialect,
    Insert,
    String,
    Table,
    Text,
    TypeDecorator,
    bindparam,
    cast,
    column,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import JSON, TypeEngine

from hotelcore.sql.changing import INSERTS, AnyInsert, Conflict, inserts_into, refused
from hotelcore.sql.seam.forms import Parameters
from hotelcore.sql.seam.running import MakeError, Runner
from hotelcore.sql.seam.statements import acting_hotel

__all__ = ["Calls", "RowsInto", "rows_into"]

Calls: TypeAlias = tuple[Insert, Sequence[Parameters]]
"""A statement, and the parameters of each of its calls."""

# So that no statement grows with the number of rows.
_CHUNK = 1_000
# Up to so many rows a message each is as fast.
_FEW = 8


@frozen(eq=False)
class RowsInto:
    """How rows of one table are inserted: a statement for each, or one for all where it pays."""

    _table: Table
    _each: Mapping[str, Insert]
    _all: Mapping[str, Insert]

    def calls(self, dialect: str, rows: Sequence[Parameters]) -> Iterator[Calls]:
        """Give what to send for ``rows``, which have their values by the names of the columns."""
        return (self._call(dialect, chunk) for chunk in _chunks_of(rows))

    def _call(self, dialect: str, rows: Sequence[Parameters]) -> Calls:
        if len(rows) > _FEW and dialect in self._all and not self._has_defaults:
            return self._all[dialect], [{"rows": rows}]
        return self._each[dialect], rows

    @property
    def _has_defaults(self) -> bool:
        """Whether Python makes a value of the host's, which it does once a call, not once a row."""
        return any(each.default for each in self._table.columns)

    def must_write(
        self,
        run: Runner,
        rows: Sequence[Parameters],
        taken: MakeError | None = None,
        missed: MakeError | None = None,
    ) -> None:
        """Insert the rows; see `Statements.must_write` for the errors of those that are not."""
        for chunk in _chunks_of(rows):
            statement, calls = self._call(run.dialect, chunk)
            run.must_write(statement, calls, taken=taken, missed=missed, wanted=len(chunk))

    def write(self, run: Runner, rows: Sequence[Parameters]) -> int:
        """Insert the rows, and return how many were inserted, or changed where one was there."""
        return sum(run.write_many(*call) for call in self.calls(run.dialect, rows))


def _chunks_of(rows: Sequence[Parameters]) -> Iterator[Sequence[Parameters]]:
    return (rows[begin : begin + _CHUNK] for begin in range(0, len(rows), _CHUNK))


def rows_into(table: Table, on_conflict: Conflict = refused) -> RowsInto:
    """Build the INSERTs of rows with every column, the hotel bound by the seam.

    ``on_conflict`` says what becomes of a row whose key is taken. No two rows of one call may have
    the same key then. Raises `InvalidInput` for what is no table.
    """
    each = inserts_into(table, on_conflict)
    return RowsInto(table, each, {"postgresql": on_conflict(_from_json(table))})


def _from_json(table: Table) -> AnyInsert:
    """Build the INSERT of all rows of a JSON array, in which each is an array of its values."""
    given = _given_columns(table)
    rows = func.jsonb_array_elements(cast(bindparam("rows", type_=_Rows(table)), JSONB))
    row = rows.table_valued(column("value", JSONB), name="new_row").c.value
    values = (_value(row, place, each) for place, each in enumerate(given))
    names = ["hotel_id", *(each.name for each in given)]
    return INSERTS["postgresql"](table).from_select(names, select(acting_hotel(), *values))


def _given_columns(table: Table) -> list[Column[Any]]:
    """Return the columns that each row has a value for."""
    return [each for each in table.columns if each.name != "hotel_id"]


def _value(row: ColumnElement[Any], place: int, of: Column[Any]) -> ColumnElement[Any]:
    kind = _stored(of.type)
    if isinstance(kind, JSON):
        return row[place]
    text = row[place].astext
    # A cast would cut what is too long; that is for the column to refuse.
    return text if isinstance(kind, String) else cast(text, of.type)


def _stored(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    return kind.impl_instance if isinstance(kind, TypeDecorator) else kind


class _Rows(TypeDecorator[Sequence[Parameters]]):
    """Rows as JSON text; each value is checked and converted as its column would have it."""

    impl = Text
    cache_ok = True

    def __init__(self, table: Table) -> None:
        super().__init__()
        self.table = table
        self._given = _given_columns(table)

    def process_bind_param(
        self, value: Sequence[Parameters] | None, dialect: Dialect
    ) -> str | None:
        """Write the values of each row in the order of the columns."""
        if value is None:
            return None
        values = (_converted(value, each, dialect) for each in self._given)
        return _dump(list(zip(*values, strict=True)))


def _converted(rows: Sequence[Parameters], of: Column[Any], dialect: Dialect) -> list[Any]:
    """Return one column's values of all rows, as JSON has them."""
    convert = of.type._cached_bind_processor(dialect)
    values = [row[of.name] for row in rows]
    return _as_json(values if convert is None else [convert(value) for value in values])


def _as_json(values: list[Any]) -> list[Any]:
    """Return what a column made of its values as JSON has it: they are of one class, or None."""
    kinds = {type(value) for value in values} - {NoneType}
    if len(kinds) > 1:
        return [_as_json([value])[0] for value in values]
    write = _writer(*kinds) if kinds else None
    if write is None:
        return values
    return [None if value is None else write(value) for value in values]


def _writer(kind: type) -> Callable[[Any], Any] | None:
    """Return what writes values of a class; None where JSON takes them as they are."""
    if issubclass(kind, _PLAIN):
        return None
    # It may be a class of the host's, or of a clock.
    known = next((known for known in _AS_JSON if issubclass(kind, known)), None)
    return _unboxed if known is None else _AS_JSON[known]


def _unboxed(value: Any) -> Any:
    """Return what stands in one of the boxes that psycopg has for JSON and bytes."""
    plain = getattr(value, "obj", value)
    if isinstance(plain, float):
        return plain  # JSON has no infinity: that is for the server to refuse
    write = _writer(type(plain))
    # A box stands in no other. What is of no known class is for JSON to refuse.
    return plain if write in (None, _unboxed) else write(plain)


_dump = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_PLAIN = (str, int, dict, list, NoneType)
_MICROSECOND = timedelta(microseconds=1)
_AS_JSON: Mapping[type, Callable[[Any], Any]] = {
    UUID: lambda value: f"{value.int:032x}",
    datetime: datetime.isoformat,  # which is a date too
    date: date.isoformat,
    time: time.isoformat,
    timedelta: lambda value: f"{value // _MICROSECOND} microseconds",
    Decimal: str,
    float: lambda value: value if isfinite(value) else str(value),  # JSON has no infinity
    **dict.fromkeys((bytes, bytearray, memoryview), lambda value: "\\x" + value.hex()),
}
