"""The one seam through which every statement of the library runs.

A repository builds its statements once and hands them here with their parameters. The seam binds
the acting hotel, keeps the time limit, refuses writes where only reading is allowed, translates
errors, and turns rows into entities. What lies beneath can change without touching a repository.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from sqlalchemy import BindParameter, Connection, Insert, Row, Table, bindparam, insert
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.dml import UpdateBase

from hotelcore.errors import ReadOnly
from hotelcore.ids import HotelId
from hotelcore.sql.limits import Deadline
from hotelcore.sql.translation import translated

__all__ = ["Statements", "acting_hotel", "insert_into"]

T = TypeVar("T")

# A row's column types are known to its builder alone; a parameter's to its column.
AnyRow: TypeAlias = Row[Any]
Parameters: TypeAlias = Mapping[str, Any]

_ACTING_HOTEL = "acting_hotel"


def acting_hotel() -> BindParameter[UUID]:
    """Return the parameter for the acting hotel; the seam alone gives it a value."""
    return bindparam(_ACTING_HOTEL)


def insert_into(table: Table) -> Insert:
    """Build the INSERT of one row with every column, the hotel bound by the seam."""
    return insert(table).values(
        {
            column.name: acting_hotel() if column.name == "hotel_id" else bindparam(column.name)
            for column in table.columns
        }
    )


class Statements:
    """Runs statements for one hotel on one connection until one deadline."""

    def __init__(
        self, connection: Connection, hotel_id: HotelId, deadline: Deadline, *, read_only: bool
    ) -> None:
        self._connection = connection
        self._acting = {_ACTING_HOTEL: hotel_id}
        self._deadline = deadline
        self.read_only = read_only

    def all(
        self, statement: Executable, build: Callable[[AnyRow], T], /, **values: object
    ) -> list[T]:
        """Run a statement that gives rows and build one ``T`` of each."""
        self._check(statement)
        with translated(self._deadline.limits):
            rows = self._connection.execute(statement, {**values, **self._acting}).all()
        return [build(row) for row in rows]

    def first(
        self, statement: Executable, build: Callable[[AnyRow], T], /, **values: object
    ) -> T | None:
        """Run a statement and build a ``T`` of its first row; None if there is no row."""
        self._check(statement)
        with translated(self._deadline.limits):
            row = self._connection.execute(statement, {**values, **self._acting}).first()
        return None if row is None else build(row)

    def write(self, statement: UpdateBase, /, **values: object) -> int:
        """Run a statement that changes rows and return how many it changed."""
        self._check(statement)
        with translated(self._deadline.limits):
            return self._connection.execute(statement, {**values, **self._acting}).rowcount

    def write_many(self, statement: UpdateBase, rows: Sequence[Parameters]) -> int:
        """Run one statement with many parameter sets, in their order; return the rows changed.

        The driver sends them together where it can. Nothing is sent for no rows.
        """
        if not rows:
            return 0
        self._check(statement)
        with translated(self._deadline.limits):
            result = self._connection.execute(statement, [{**row, **self._acting} for row in rows])
        return result.rowcount

    def _check(self, statement: Executable) -> None:
        if self.read_only and isinstance(statement, UpdateBase):
            raise ReadOnly("this call")
        self._deadline.enforce(self._connection)
