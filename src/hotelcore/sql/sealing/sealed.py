"""Sealed columns: what is sealed in a table, under which key, and how it is sealed anew.

A column of the type `Sealed` is one of them, whatever its table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeAlias
from uuid import UUID

from attrs import frozen
from sqlalchemy import Column, LargeBinary, Select, Update, bindparam, func, select, update

from hotelcore.access import Permission
from hotelcore.domain.sealed import Resealed
from hotelcore.errors import NoKeys, SealBroken
from hotelcore.ids import HotelId
from hotelcore.sql.schema import METADATA, Sealed
from hotelcore.sql.seam.statements import Statements, acting_hotel
from hotelcore.vault import KeyProvider, Place, Secret, header, key_number, resealed, seal, unseal

__all__ = ["Sealing", "SqlSealedValues", "sealed_by_key"]

# A table's columns have types of their own, and a sealed one may be nullable or not.
AnyColumn: TypeAlias = Column[Any]

_FIRST = UUID(int=0)
_PAGE = 200
_HEADER_BYTES = len(header(1))
# The least that tells the number of the key: a header, and a nonce that does not matter.
_NO_NONCE = bytes(12)


@frozen
class Sealing:
    """How one unit of work seals and opens: its hotel, its core's keys, what its actor may do."""

    hotel_id: HotelId
    keys: KeyProvider | None
    require: Callable[[Permission, str], None]

    def keys_at_hand(self) -> KeyProvider:
        """Return the keys; `NoKeys` if the core was given none."""
        if self.keys is None:
            raise NoKeys
        return self.keys

    def place(self, column: AnyColumn, row: UUID) -> Place:
        """Return where the value of a column stands."""
        return Place(self.hotel_id, column.table.name, column.name, row)

    def seal(self, column: AnyColumn, row: UUID, secret: Secret) -> bytes:
        """Return the envelope of a secret for its column and row."""
        return seal(self.keys_at_hand(), self.place(column, row), secret)

    def unseal(self, column: AnyColumn, row: UUID, envelope: bytes) -> Secret:
        """Return the secret that stands sealed in a column and row."""
        return unseal(self.keys_at_hand(), self.place(column, row), envelope)


@frozen
class _SealedColumn:
    """A sealed column with its statements."""

    column: AnyColumn
    waiting: Select[UUID, bytes]
    replace: Update
    count: Select[bytes, int]


@cache
def _sealed_columns() -> tuple[_SealedColumn, ...]:
    return tuple(
        _with_statements(column)
        for table in METADATA.sorted_tables
        for column in table.columns
        if isinstance(column.type, Sealed)
    )


def _with_statements(column: AnyColumn) -> _SealedColumn:
    table = column.table
    hotel, row = table.primary_key
    begin = func.substr(column, 1, _HEADER_BYTES, type_=LargeBinary())
    return _SealedColumn(
        column=column,
        waiting=select(row.label("row"), column.label("envelope"))
        .where(
            hotel == acting_hotel(),
            row > bindparam("after"),
            begin != bindparam("current", type_=LargeBinary()),
        )
        .order_by(row)
        .limit(_PAGE),
        # Whoever changed the value meanwhile is not overwritten.
        replace=update(table)
        .where(hotel == acting_hotel(), row == bindparam("key"), column == bindparam("known"))
        .values({column.name: bindparam("envelope")}),
        count=select(begin.label("begin"), func.count().label("number"))
        .where(hotel == acting_hotel(), column.is_not(None))
        .group_by(begin),
    )


def sealed_by_key(run: Statements) -> Counter[int | None]:
    """Count the acting hotel's sealed values by key number; None stands for what is no envelope."""
    found = Counter[int | None]()
    for sealed in _sealed_columns():
        for begin, number in run.all(sealed.count, lambda row: (row.begin, row.number)):
            found[key_number(begin + _NO_NONCE)] += number
    return found


class SqlSealedValues:
    """The `hotelcore.repositories.SealedValues` of one unit of work."""

    def __init__(self, run: Statements, sealing: Sealing) -> None:
        self._run = run
        self._sealing = sealing

    def reseal(self, *, limit: int) -> Resealed:
        """Seal up to ``limit`` values anew that are not under the current key."""
        keys = self._sealing.keys_at_hand()
        done, broken = 0, 0
        for sealed, row, envelope in self._waiting(header(keys.current().number)):
            if done == limit:
                return Resealed(resealed=done, broken=broken, more=True)
            try:
                renewed = resealed(keys, self._sealing.place(sealed.column, row), envelope)
            except SealBroken:
                broken += 1
                continue
            done += self._run.write(sealed.replace, key=row, known=envelope, envelope=renewed)
        return Resealed(resealed=done, broken=broken)

    def _waiting(self, current: bytes) -> Iterator[tuple[_SealedColumn, UUID, bytes]]:
        """Give the values under other keys, each column's in the order of their rows.

        Everybody changes them in this order, so two rotations wait for each other at most.
        """
        for sealed in _sealed_columns():
            after: UUID | None = _FIRST
            while after is not None:
                page = self._run.all(
                    sealed.waiting,
                    lambda row: (row.row, row.envelope),
                    after=after,
                    current=current,
                )
                yield from ((sealed, row, envelope) for row, envelope in page)
                after = page[-1][0] if len(page) == _PAGE else None
