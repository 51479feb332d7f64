"""All that a repository of the host's own is made with: bound, timed and audited like ours.

Record 18 in ``docs/decisions`` says why it gets this and no connection. What stands here stays
here, wherever in the library it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.dml import UpdateBase

from hotelcore.errors import InvalidInput, ReadOnly
from hotelcore.sql.changing import insert_into, upsert_into, versioned_update, write_next_version
from hotelcore.sql.inserting import rows_into
from hotelcore.sql.pages import Listing
from hotelcore.sql.schema import METADATA
from hotelcore.sql.seam.binding import must_be_bound
from hotelcore.sql.seam.forms import AnyRow, Parameters, written_by
from hotelcore.sql.seam.running import MakeError
from hotelcore.sql.seam.statements import Statements, acting_hotel
from hotelcore.sql.seam.translation import UniqueViolation
from hotelcore.sql.unit_of_work import SqlUnitOfWork
from hotelcore.unit_of_work import UnitOfWork

__all__ = [
    "AnyRow",
    "HostStatements",
    "Listing",
    "UniqueViolation",
    "acting_hotel",
    "insert_into",
    "must_be_bound",
    "rows_into",
    "statements_of",
    "upsert_into",
    "versioned_update",
    "write_next_version",
]

T = TypeVar("T")


def statements_of(uow: UnitOfWork) -> HostStatements:
    """Return what runs the host's own statements in a unit of work, and ends with it.

    Raises `InvalidInput` for a unit that is not over a database, such as a test's own.
    """
    if not isinstance(uow, SqlUnitOfWork):
        raise InvalidInput("uow", "must be a unit of work of a HotelCore or an AsyncHotelCore")
    return HostStatements(uow._run)


class HostStatements:
    """Runs a host's statements in one unit of work, in its transaction and its time.

    Every statement must be bound to the acting hotel by `acting_hotel`, or `UnboundStatement` is
    raised. It may read the library's tables and change those of the host alone. It changes rows
    only while an operation runs, which is permitted and audited, and never in a reading unit:
    `ReadOnly` says which of these was tried. A unique key that is taken raises `UniqueViolation`:
    say there which one, with `AlreadyExists`, or have it said by `must_write`. The other errors are
    those of the library's own statements.
    """

    def __init__(self, run: Statements) -> None:
        self._run = run

    @property
    def dialect(self) -> str:
        """The database's name, ``sqlite`` or ``postgresql``, where a statement differs."""
        return self._run.dialect

    def all(
        self, statement: Executable, build: Callable[[AnyRow], T], /, **values: object
    ) -> list[T]:
        """Run a statement that gives rows and build one ``T`` of each."""
        return self._permitted(statement).all(statement, build, **values)

    def some(
        self, statement: Executable, build: Callable[[AnyRow], T], most: int, /, **values: object
    ) -> tuple[list[T], AnyRow | None]:
        """Run a statement and build a ``T`` of each of the first ``most`` rows.

        If there are more rows, the last of those comes beside, with its columns by name.
        """
        return self._permitted(statement).some(statement, build, most, **values)

    def first(
        self, statement: Executable, build: Callable[[AnyRow], T], /, **values: object
    ) -> T | None:
        """Run a statement and build a ``T`` of its first row; None if there is no row."""
        return self._permitted(statement).first(statement, build, **values)

    def write(self, statement: UpdateBase, /, **values: object) -> int:
        """Run a statement that changes rows and return how many it changed."""
        return self._permitted(statement).write(statement, **values)

    def write_many(self, statement: UpdateBase, rows: Sequence[Parameters]) -> int:
        """Run one statement with many parameter sets, in their order; return the rows changed."""
        return self._permitted(statement).write_many(statement, rows)

    def must_write(
        self,
        statement: UpdateBase,
        rows: Sequence[Parameters],
        *,
        taken: MakeError | None = None,
        missed: MakeError | None = None,
        wanted: int | None = None,
    ) -> None:
        """Run a statement, without RETURNING, once for each of ``rows``.

        ``taken`` gives the error for a unique key that is taken. ``missed`` gives the error if
        fewer rows were changed than are ``wanted``, one for each of ``rows`` if that is not said;
        without it none need be. It is raised here, or inside of ``uow.together()`` at the latest by
        the end of that, and with ``later`` by the end of the unit. ``missed`` may ask the database
        why; ``taken`` may not, as the transaction has failed by then. A taken key without ``taken``
        is a `UniqueViolation` if it is raised here, and a `DatabaseFailure` if it comes later.
        """
        for name, make in (("taken", taken), ("missed", missed)):
            if make is not None and not callable(make):
                raise InvalidInput(name, "must be a function that gives the error: lambda: …")
        run = self._permitted(statement)
        run.must_write(statement, rows, taken=taken, missed=missed, wanted=wanted)

    def _permitted(self, statement: Executable) -> Statements:
        """Return the unit's statements, if this one changes no table of the library."""
        if ours := sorted(written_by(statement) & METADATA.tables.keys()):
            raise ReadOnly(f"{ours[0]} is the library's: change it through uow and its operations")
        return self._run
