"""The one seam through which every statement of the library runs.

A repository builds its statements once and hands them here with their parameters. The seam refuses
what is not bound to the acting hotel, gives the hotel, keeps the time limit, refuses writes where
only reading is allowed, translates errors, and turns rows into entities. What lies beneath can
change without touching a repository.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import BindParameter, Connection
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.dml import UpdateBase

from hotelcore.errors import DatabaseFailure, HotelcoreError, InvalidInput, ReadOnly
from hotelcore.ids import HotelId
from hotelcore.sql.schema import TableNames
from hotelcore.sql.seam.binding import for_every_hotel
from hotelcore.sql.seam.calls import Call, Otherwise, takes_long
from hotelcore.sql.seam.forms import AnyRow, Form, Parameters, forms_of
from hotelcore.sql.seam.judge import ACTING_HOTEL, ActingHotel
from hotelcore.sql.seam.limits import Deadline
from hotelcore.sql.seam.queueing import place_in_queue
from hotelcore.sql.seam.running import MakeError
from hotelcore.sql.seam.sending import Sending, row_count
from hotelcore.sql.seam.translation import Failure, UniqueViolation

__all__ = ["AnyRow", "Statements", "acting_hotel", "for_every_hotel"]

T = TypeVar("T")

_NO_HOTEL = HotelId(UUID(int=0))
_MOST_WANTED = 500


def acting_hotel() -> BindParameter[UUID]:
    """Return the parameter for the acting hotel; the seam alone gives it a value."""
    return ActingHotel(ACTING_HOTEL)


class Statements(Sending):
    """Runs statements for one hotel on one connection until one deadline.

    ``may_write`` says whether rows may be changed at the moment: never in a reading unit, and in a
    writing one only by the commands, since what they do is permitted and audited. ``over`` is set
    when the unit has ended, which nothing outlives. A statement must be bound to the hotel, or
    `UnboundStatement` is raised; without a hotel, as in the relay, it must be declared to serve
    every hotel instead.
    """

    def __init__(
        self,
        connection: Connection,
        hotel_id: HotelId | None,
        deadline: Deadline,
        *,
        read_only: bool,
        names: TableNames,
    ) -> None:
        super().__init__(connection, deadline)
        self._forms = forms_of(connection.dialect, names)
        self.hotel_id = hotel_id or _NO_HOTEL
        self._acting: Parameters = {ACTING_HOTEL: hotel_id} if hotel_id else {}
        self.read_only = read_only
        self.may_write = not read_only
        self.over = False
        # Whether the transaction was committed already, with the last statement.
        self.committed = False
        # Whether writes wait that may be refused.
        self._together = False

    # -- reading ------------------------------------------------------------------------------

    def all(
        self, statement: Executable, build: Callable[[AnyRow], T], /, **values: object
    ) -> list[T]:
        """Run a statement that gives rows and build one ``T`` of each."""

        def taking(cursor: Any, form: Form) -> list[T]:
            rows = cursor.fetchall()
            return list(map(form.builder(build, cursor), rows)) if rows else []

        return self._ask_or_send(self._call(statement, [values]), taking)

    def all_of(
        self,
        statement: Executable,
        build: Callable[[AnyRow], T],
        wanted: Sequence[object],
        /,
        **values: object,
    ) -> list[T]:
        """Run a statement for a list ``wanted`` of any length, and build one ``T`` of each row.

        It goes a part at a time, in the order of the list, since SQLite limits the parameters of
        one statement.
        """
        return [
            each
            for begin in range(0, len(wanted), _MOST_WANTED)
            for each in self.all(
                statement, build, wanted=wanted[begin : begin + _MOST_WANTED], **values
            )
        ]

    def some(
        self, statement: Executable, build: Callable[[AnyRow], T], most: int, /, **values: object
    ) -> tuple[list[T], AnyRow | None]:
        """Run a statement and build a ``T`` of each of the first ``most`` rows.

        If there are more rows, the last of those comes beside, with its columns by name.
        """

        def taking(cursor: Any, form: Form) -> tuple[list[T], AnyRow | None]:
            rows = cursor.fetchmany(most + 1)
            if not rows:
                return [], None
            built = list(map(form.builder(build, cursor), rows[:most]))
            if len(rows) <= most:
                return built, None
            return built, form.builder(_as_it_is, cursor)(rows[most - 1])

        return self._ask_or_send(self._call(statement, [values]), taking)

    def first(
        self, statement: Executable, build: Callable[[AnyRow], T], /, **values: object
    ) -> T | None:
        """Run a statement and build a ``T`` of its first row; None if there is no row."""

        def taking(cursor: Any, form: Form) -> T | None:
            row = cursor.fetchone()
            return None if row is None else form.builder(build, cursor)(row)

        return self._ask_or_send(self._call(statement, [values]), taking)

    # -- writing ------------------------------------------------------------------------------

    def write(self, statement: UpdateBase, /, **values: object) -> int:
        """Run a statement that changes rows and return how many it changed."""
        return self._send(self._call(statement, [values]), row_count)

    def write_many(self, statement: UpdateBase, rows: Sequence[Parameters]) -> int:
        """Run one statement with many parameter sets, in their order; return the rows changed.

        The driver sends them together where it can. Nothing is sent for no rows.
        """
        return self._send(self._call(statement, rows), row_count) if rows else 0

    def write_with_next(self, statement: UpdateBase, rows: Sequence[Parameters]) -> None:
        """Run a statement together with the next one, once for each of ``rows``.

        It cannot be refused but by a fault of ours, since its failure is the next one's. Both go to
        PostgreSQL in one exchange, unless somebody else uses the connection, or listens to it.
        """
        if self._exchanges:
            self._write_later(statement, rows)
        else:
            self.write_many(statement, rows)

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
        without it none need be. It is raised here, or while writes go `together` by a later
        statement. ``missed`` may run statements that read, ``taken`` may not.
        """
        if not rows:
            return
        otherwise = Otherwise(len(rows) if wanted is None else wanted, taken, missed)
        if self._together and self._exchanges:
            self._write_later(statement, rows, otherwise)
            return
        call = self._call(statement, rows, otherwise)
        try:
            changed = self._send(call, row_count)
        except UniqueViolation:
            if taken is None:
                raise
            raise taken() from None
        call.refuse_missed(changed)

    def _write_later(
        self,
        statement: UpdateBase,
        rows: Sequence[Parameters],
        otherwise: Otherwise | None = None,
    ) -> None:
        if rows:
            self._let_wait(self._call(statement, rows, otherwise, takes_long=takes_long(rows)))

    def write_last(self, statement: UpdateBase, rows: Sequence[Parameters]) -> None:
        """Write rows as the last of the transaction, and commit in the same exchange if it may be.

        `committed` tells afterwards whether that was so.
        """
        self.flush_if_refusable()  # what is committed is no longer to be refused
        commits = self._may_commit
        self._send(self._call(statement, rows), row_count, commits=commits)
        self.committed = commits

    @contextmanager
    def together(self, *, later: bool = False) -> Generator[None]:
        """Send what the body writes by `must_write` in one exchange, at the end if not before.

        ``later`` leaves it to the next statement, for whoever is sure that one comes. Inside of
        another such body it is part of that.
        """
        if self._together:
            yield
            return
        self._together = True
        try:
            yield
            if not later:
                self.flush_if_refusable()
        finally:
            self._together = False

    # -- the unit -----------------------------------------------------------------------------

    def queue(self, *, alone: bool) -> None:
        """Stand in the hotel's queue with the next statement, and keep the place until the commit.

        Who wants to be ``alone`` waits for those before, and keeps those behind waiting. A lock of
        PostgreSQL's on a row is no queue: those who share it let others join while somebody waits
        to have it alone, who in a busy hotel would wait for ever. SQLite has one writer anyway.
        """
        self._queued.append(place_in_queue(self.hotel_id, alone=alone))

    def leave(self) -> None:
        """End the unit, whatever became of it: from here on nothing runs."""
        self.over = True
        self._stop()

    def refuse_if_read_only(self) -> None:
        """Raise `ReadOnly` in a reading unit, where there is nothing to write or to undo."""
        if self.read_only:
            raise ReadOnly(_WHY_READ_ONLY)

    # -- one statement ------------------------------------------------------------------------

    def _call(
        self,
        statement: Executable,
        rows: Sequence[Parameters],
        otherwise: Otherwise | None = None,
        *,
        takes_long: bool = False,
    ) -> Call:
        """Make a statement ready that may run here and now."""
        form = self._form(statement, rows[0])
        text, ready = self._converted(form, rows)
        return Call(form, text, ready, otherwise, takes_long=takes_long)

    def _form(self, statement: Executable, values: Parameters) -> Form:
        if self.over:
            raise InvalidInput("uow", "is over: its handle was left")
        self._refuse_if_lost()
        form = self._forms.of(statement, acting=bool(self._acting))
        if form.writes:
            self._refuse_unless_writable()
        elif self.read_only and form.locks:
            # SQLite has no such lock and would answer.
            raise ReadOnly(_WHY_NO_LOCK)
        if "hotel_id" in values:
            raise InvalidInput("hotel_id", "is no parameter: the seam alone gives the acting hotel")
        return form

    def _refuse_unless_writable(self) -> None:
        if not self.may_write:
            self.refuse_if_read_only()
            raise ReadOnly(_WHY_NO_COMMAND)
        self._refuse_while_asking()

    def _converted(self, form: Form, rows: Sequence[Parameters]) -> tuple[str, Sequence[Any]]:
        """Return the text and the parameters of each row, as the driver takes them."""
        try:
            if len(rows) == 1:
                text, parameters = form.sent({**rows[0], **self._acting})
                return text, [parameters]
            return form.text, form.parameters_of_many(rows, self._acting)
        except HotelcoreError as refusal:
            error = refusal
        except Exception:  # noqa: BLE001  # a column's type may raise any
            error = DatabaseFailure(Failure.VALUE.value)
        # Out here, and without what it was raised from, since that may show the value.
        error.__cause__ = error.__context__ = None
        raise error


def _as_it_is(row: AnyRow) -> AnyRow:
    return row


_WHY_READ_ONLY = "this handle only reads: write through run() or transaction()"
_WHY_NO_LOCK = "this handle only reads: lock and write through run() or transaction()"
_WHY_NO_COMMAND = "only an operation writes: declare yours with hotelcore.operations.operation"
