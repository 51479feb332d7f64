"""Statements that are told of: see `hotelcore.watching`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection

from hotelcore.ids import HotelId
from hotelcore.sql.schema import TableNames
from hotelcore.sql.seam.calls import Call
from hotelcore.sql.seam.judge import ACTING_HOTEL
from hotelcore.sql.seam.limits import Deadline
from hotelcore.sql.seam.sending import Taking
from hotelcore.sql.seam.statements import Statements
from hotelcore.watching import StatementRan, Watch

__all__ = ["statements_under"]

T = TypeVar("T")


def statements_under(
    watch: Watch,
    connection: Connection,
    hotel_id: HotelId | None,
    deadline: Deadline,
    *,
    read_only: bool,
    names: TableNames,
) -> Statements:
    """Return what runs the statements of a unit, which tells of each if somebody watches.

    Asked once a unit, so that a statement costs nothing more where nobody does.
    """
    if not watch.statement_ran.receivers:
        return Statements(connection, hotel_id, deadline, read_only=read_only, names=names)
    run = WatchedStatements(connection, hotel_id, deadline, read_only=read_only, names=names)
    run.watch = watch
    return run


class WatchedStatements(Statements):
    """`Statements` that tell of each that was sent, also of one that failed."""

    watch: Watch

    def _send(
        self,
        call: Call,
        taking: Taking[T],
        *,
        commits: bool = False,
        behind: Sequence[Call] = (),
    ) -> T:
        with self._lock:  # what goes along is told as it went
            return self._told(call, taking, commits, behind)

    def _told(self, call: Call, taking: Taking[T], commits: bool, behind: Sequence[Call]) -> T:
        cursor, error, clock = _Counting(), None, self.watch.clock
        ahead = [*self._begun, *self._waiting]
        at, began = clock.now(), clock.monotonic()
        try:
            return super()._send(
                call,
                lambda real, form: taking(cursor.over(real), form),
                commits=commits,
                behind=behind,
            )
        except BaseException as failure:
            error = type(failure).__name__
            raise
        finally:
            seconds = clock.monotonic() - began
            self._tell_beside(ahead, at, seconds, error)
            self._tell(call, at, seconds, cursor.rows, error)
            self._tell_beside(behind, at, seconds, error)

    def _tell_beside(
        self, beside: Sequence[Call], at: datetime, seconds: float, error: str | None
    ) -> None:
        for each in beside:
            self._tell(each, at, seconds, 0 if error else each.changed, error)

    def _tell(self, call: Call, at: datetime, seconds: float, rows: int, error: str | None) -> None:
        ran = StatementRan(
            verb=call.form.verb,
            tables=call.form.tables,
            at=at,
            seconds=seconds,
            rows=rows,
            calls=len(call.rows),
            error=error,
            hotel_id=self._acting.get(ACTING_HOTEL),
        )
        self.watch.statement_ran.announce(self.watch, statement=ran)


class _Counting:
    """Is read like a driver's cursor, and counts the rows that come of it.

    What the driver itself counts says nothing of a SELECT in SQLite, and in PostgreSQL it counts
    rows that nobody reads.
    """

    _cursor: Any  # the driver's, or what an exchange with PostgreSQL gave
    rows = 0

    def over(self, cursor: Any) -> _Counting:
        """Read from ``cursor``."""
        self._cursor = cursor
        return self

    @property
    def description(self) -> Sequence[Sequence[Any]]:
        return self._cursor.description  # type: ignore[no-any-return]  # as drivers have it

    @property
    def rowcount(self) -> int:
        self.rows = int(self._cursor.rowcount)
        return self.rows

    def fetchall(self) -> Sequence[Any]:
        return self._counted(self._cursor.fetchall())

    def fetchmany(self, most: int) -> Sequence[Any]:
        return self._counted(self._cursor.fetchmany(most))

    def fetchone(self) -> Any:
        row = self._cursor.fetchone()
        self.rows += row is not None
        return row

    def _counted(self, rows: Sequence[Any]) -> Sequence[Any]:
        self.rows += len(rows)
        return rows
