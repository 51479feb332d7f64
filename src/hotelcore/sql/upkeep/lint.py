"""Finds what in a schema would let one hotel's rows touch another's: keys without ``hotel_id``.

A tenant table is one with a column ``hotel_id``. The library's own are checked in the real database
by `hotelcore.sql.upkeep.upgrading.check`; a host checks its own tables with `lint`, in a test.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence

from attrs import frozen
from sqlalchemy import (
    Column,
    Connection,
    ForeignKeyConstraint,
    Index,
    MetaData,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.exc import SAWarning

from hotelcore.sql.schema import METADATA, TableNames

__all__ = ["Problem", "lint", "problems_in"]

_HOTEL_ID = "hotel_id"
# It is the hotel that these find: a customer or a subscription of the payment provider belongs to
# one hotel, whichever asks, and nobody can guess such an id.
_OF_ONE_HOTEL = frozenset(
    {
        ("hc_hotel", "uq_hc_hotel_stripe_customer_id"),
        ("hc_hotel", "uq_hc_hotel_stripe_subscription_id"),
    }
)
_INDEX_COLUMNS = text(
    "SELECT i.name AS name, i.tbl_name AS its_table, x.name AS first FROM sqlite_master i, "
    "pragma_index_info(i.name) x WHERE i.type = 'index' AND x.seqno = 0"
)


@frozen
class Problem:
    """A part of a table that does not keep hotels apart, and what to do about it."""

    table: str
    part: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.part} of {self.table}: {self.remedy}"


def lint(tables: MetaData | Iterable[Table]) -> list[Problem]:
    """Return the problems of tables, in the order of their names; none is well.

    Every table with a column ``hotel_id`` has it NOT NULL, first in the primary key, in each unique
    key, at the begin of each index, and in each foreign key to such a table, against its
    ``hotel_id``. No database is asked.
    """
    found = tables.tables.values() if isinstance(tables, MetaData) else tables
    return list(_problems(found, _OF_ONE_HOTEL))


def problems_in(connection: Connection, names: TableNames) -> list[Problem]:
    """Return the problems that the library's own tables have in a database.

    The names must be in force (`hotelcore.sql.upkeep.creation.in_schema`).
    """
    ours = [names.in_statement(name) for name in METADATA.tables]
    exempt = frozenset((names.in_statement(t), names.in_statement(i)) for t, i in _OF_ONE_HOTEL)
    found = MetaData()
    with warnings.catch_warnings():
        # SQLite's indexes over expressions, which are looked at below.
        warnings.simplefilter("ignore", SAWarning)
        found.reflect(connection, only=lambda name, _: name in ours, resolve_fks=False)
    tables = [table for table in found.tables.values() if table.name in ours]
    problems = [
        *(problem for table in tables for problem in _without_column(table)),
        *_problems(tables, exempt),
    ]
    if connection.dialect.name == "sqlite":
        problems += _unreflected(connection, tables)
    return problems


def _without_column(table: Table) -> Iterator[Problem]:
    if _HOTEL_ID not in table.c:
        yield Problem(table.name, "the columns", "there is no hotel_id: restore it from a backup")


def _unreflected(connection: Connection, tables: Sequence[Table]) -> Iterator[Problem]:
    """Judge SQLite's indexes over expressions, which SQLAlchemy passes over."""
    names = {table.name for table in tables}
    known = {str(index.name) for table in tables for index in table.indexes}
    for row in connection.execute(_INDEX_COLUMNS):
        own = row.its_table in names and not row.name.startswith("sqlite_autoindex_")
        if own and row.name not in known and row.first != _HOTEL_ID:
            yield Problem(row.its_table, f"index {row.name}", _BEGIN)


def _problems(tables: Iterable[Table], exempt: Collection[tuple[str, str]]) -> Iterator[Problem]:
    for table in sorted(tables, key=lambda each: each.name):
        column = table.c.get(_HOTEL_ID)
        if column is not None:
            yield from _of_column(table, column)
            yield from _of_unique_keys(table)
            yield from _of_indexes(table, exempt)
        for key in sorted(table.foreign_key_constraints, key=_columns_of):
            yield from _of_foreign_key(table, key)


def _of_indexes(table: Table, exempt: Collection[tuple[str, str]]) -> Iterator[Problem]:
    for index in sorted(table.indexes, key=lambda each: str(each.name)):
        passed = index.unique and (table.name, index.name) in exempt
        if not passed and not _begins_with_hotel(index):
            yield Problem(table.name, f"index {index.name}", _BEGIN)


def _of_column(table: Table, column: Column[object]) -> Iterator[Problem]:
    if column.nullable:
        yield Problem(table.name, _HOTEL_ID, "make it NOT NULL")
    if next(iter(table.primary_key.columns), None) is not column:
        yield Problem(table.name, "the primary key", "let it begin with hotel_id")


def _of_unique_keys(table: Table) -> Iterator[Problem]:
    for key in table.constraints:
        if isinstance(key, UniqueConstraint) and _HOTEL_ID not in key.columns:
            yield Problem(table.name, f"unique key {key.name or _columns_of(key)}", _ADD)


def _of_foreign_key(table: Table, key: ForeignKeyConstraint) -> Iterator[Problem]:
    part = f"foreign key {key.name or _columns_of(key)}"
    pairs = [(each.parent.name, each.target_fullname.split(".")) for each in key.elements]
    if (_HOTEL_ID, _HOTEL_ID) in [(own, other[-1]) for own, other in pairs]:
        return
    if any(_HOTEL_ID in (own, other[-1]) for own, other in pairs):
        yield Problem(table.name, part, "let hotel_id refer to the hotel_id of the other table")
    elif _refers_to_tenant(table, key):
        yield Problem(table.name, part, "add hotel_id on both sides, at the same place")


def _refers_to_tenant(table: Table, key: ForeignKeyConstraint) -> bool:
    """Tell whether a key refers to a tenant table, which one that nobody knows is taken for."""
    name = key.elements[0].target_fullname.rsplit(".", 1)[0]
    other = table.metadata.tables.get(name)
    return other is None or _HOTEL_ID in other.c


def _begins_with_hotel(index: Index) -> bool:
    first = next(iter(index.expressions), None)
    return isinstance(first, Column) and first.name == _HOTEL_ID


def _columns_of(key: UniqueConstraint | ForeignKeyConstraint) -> str:
    return ", ".join(column.name for column in key.columns)


_BEGIN = "let it begin with hotel_id"
_ADD = "add hotel_id to it: what is unique in one hotel may occur in another"
