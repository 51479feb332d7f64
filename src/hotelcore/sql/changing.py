"""The INSERTs and UPDATEs that repositories are made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Insert,
    Table,
    Update,
    and_,
    bindparam,
    insert,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from hotelcore.errors import InvalidInput, StaleVersion
from hotelcore.sql.seam.forms import Parameters
from hotelcore.sql.seam.running import MakeError, Runner
from hotelcore.sql.seam.statements import acting_hotel

__all__ = [
    "INSERTS",
    "AnyInsert",
    "Conflict",
    "as_known",
    "changed_in",
    "insert_into",
    "inserts_into",
    "left_as_it_is",
    "must_be_table",
    "refused",
    "row_of",
    "upsert_into",
    "versioned_update",
    "write_next_version",
]


AnyInsert: TypeAlias = sqlite.Insert | postgresql.Insert
"""An INSERT that can say what to do with a row that is there."""
Conflict: TypeAlias = Callable[[AnyInsert], Insert]
"""Says what becomes of a row whose key is taken."""
INSERTS: Mapping[str, Callable[[Table], AnyInsert]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}
"""What builds, by dialect, an INSERT that says what to do with a row that is there."""


def insert_into(table: Table) -> Insert:
    """Build the INSERT of one row with every column, the hotel bound by the seam.

    Raises `InvalidInput` for what is no table.
    """
    must_be_table(table)
    return insert(table).values(row_of(table))


def refused(statement: AnyInsert) -> Insert:
    """Leave it to the database to refuse a row whose key is taken."""
    return statement


def left_as_it_is(statement: AnyInsert) -> Insert:
    """Leave a stored row with the key of a new one as it is."""
    return statement.on_conflict_do_nothing()


def changed_in(
    table: Table, *, changing: Collection[str], keeping: Collection[str] = ()
) -> Conflict:
    """Change the stored row of a taken primary key.

    Only the columns ``changing`` take the new values. A stored row that differs in a column of
    ``keeping`` is left as it is and not counted among the rows changed.
    """

    def change(statement: AnyInsert) -> Insert:
        new = statement.excluded
        return statement.on_conflict_do_update(
            index_elements=list(table.primary_key),
            set_={name: new[name] for name in changing},
            where=and_(true(), *(table.c[name] == new[name] for name in keeping)),
        )

    return change


def inserts_into(table: Table, on_conflict: Conflict) -> Mapping[str, Insert]:
    """Build, by dialect, the INSERT of one row with every column, the hotel bound by the seam.

    ``on_conflict`` says what becomes of a row whose key is taken.
    """
    must_be_table(table)
    return {
        name: on_conflict(build(table).values(row_of(table))) for name, build in INSERTS.items()
    }


def upsert_into(
    table: Table, *, changing: Collection[str], keeping: Collection[str] = ()
) -> Mapping[str, Insert]:
    """Build, by dialect, the INSERT of one row that on a taken primary key changes the stored row.

    Which of its columns, and when, is told as to `changed_in`.
    """
    return inserts_into(table, changed_in(table, changing=changing, keeping=keeping))


def as_known(table: Table) -> tuple[ColumnElement[bool], ...]:
    """Build the conditions that a row is the record ``key``, still in its ``known_version``."""
    *_, own_key = table.primary_key
    return (
        table.c.hotel_id == acting_hotel(),
        own_key == bindparam("key"),
        table.c.version == bindparam("known_version"),
    )


def versioned_update(table: Table, *, leaving: Collection[str] = ()) -> Update:
    """Build the UPDATE of one row that nobody changed; `write_next_version` runs it.

    It sets every column outside the primary key but those of ``leaving``. Raises `InvalidInput` for
    a table without the columns hotel_id and version, or whose rows no single id tells apart.
    """
    _must_be_versioned(table)
    changing = (c.name for c in table.c if not c.primary_key and c.name not in leaving)
    return (
        update(table).where(*as_known(table)).values({name: bindparam(name) for name in changing})
    )


def row_of(table: Table) -> dict[str, BindParameter[Any]]:
    """Name a parameter for every column; the parameters' types are those of the columns."""
    return {
        column.name: acting_hotel() if column.name == "hotel_id" else bindparam(column.name)
        for column in table.columns
    }


def must_be_table(table: object) -> None:
    """Raise `InvalidInput` for what is no table."""
    if not isinstance(table, Table):
        raise InvalidInput("table", "must be a Table of SQLAlchemy")


def _must_be_versioned(table: Table) -> None:
    must_be_table(table)
    for name in ("hotel_id", "version"):
        if name not in table.c:
            raise InvalidInput("table", f"must have the column {name} for a versioned update")
    key = [column.name for column in table.primary_key]
    if not key or key[:-1] not in ([], ["hotel_id"]):
        raise InvalidInput("table", "must have a primary key of hotel_id and one column, its id")


def write_next_version(
    run: Runner,
    statement: Update,
    kind: str,
    key: UUID,
    version: int,
    values: Parameters,
    *,
    taken: MakeError | None = None,
) -> int:
    """Store a record over its ``version``, by a `versioned_update` or alike; return its next.

    Raises `StaleVersion`, naming the ``kind`` of record, if another version is stored, and what
    ``taken`` gives if the record would have a key of another's; see `Statements.must_write`.
    """
    later = version + 1
    row = {"key": key, "known_version": version, "version": later, **values}
    run.must_write(statement, [row], taken=taken, missed=lambda: StaleVersion(kind, key))
    return later
