"""The one seam through which every statement of the library runs.

A repository builds its statements once and hands them here with their parameters. The seam refuses
what is not bound to the acting hotel, gives the hotel, keeps the time limit, refuses writes where
only reading is allowed, translates errors, and turns rows into entities. What lies beneath can
change without touching a repository.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from threading import RLock, get_ident
from typing import Any, NoReturn, TypeAlias, TypeVar
from uuid import UUID

from sqlalchemy import BindParameter, Connection, NestedTransaction, Transaction
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.dml import UpdateBase

from hotelcore.errors import (
    DatabaseFailure,
    HotelcoreError,
    InvalidInput,
    ReadOnly,
    UnitAborted,
)
from hotelcore.ids import HotelId
from hotelcore.sql.schema import TableNames
from hotelcore.sql.seam.binding import for_every_hotel
from hotelcore.sql.seam.driver import begin, can_begin, can_send, end, is_begun, is_watched, send
from hotelcore.sql.seam.forms import AnyRow, Form, Parameters, forms_of
from hotelcore.sql.seam.judge import ACTING_HOTEL, ActingHotel
from hotelcore.sql.seam.limits import Deadline
from hotelcore.sql.seam.messages import Message, noted_place
from hotelcore.sql.seam.queueing import place_in_queue
from hotelcore.sql.seam.running import MakeError
from hotelcore.sql.seam.translation import UniqueViolation, translated
from hotelcore.sql.seam.waiting import (
    Asked,
    Otherwise,
    Question,
    Waiting,
    messages_of,
    note_answers,
    takes_long,
    waiting_at,
)

__all__ = [
    "AnyRow",
    "Statements",
    "acting_hotel",
    "for_every_hotel",
    "undo",
]

T = TypeVar("T")

# Takes from a driver's cursor, whose type is the driver's, what a statement gave.
_Taking: TypeAlias = Callable[[Any, Form], T]

_NO_HOTEL = HotelId(UUID(int=0))
_MOST_WANTED = 500


def acting_hotel() -> BindParameter[UUID]:
    """Return the parameter for the acting hotel; the seam alone gives it a value."""
    return ActingHotel(ACTING_HOTEL)


_COMMIT: Sequence[Message] = (("COMMIT", ()),)
_MOST_QUESTIONS = 50  # each question is looked for among them


class Statements:
    """Runs statements for one hotel on one connection until one deadline.

    ``may_write`` says whether rows may be changed at the moment: never in a reading unit, and in a
    writing one only by the commands, since what they do is permitted and audited. ``alone`` says
    that the transaction is the unit's own, so that nobody looks into it and the unit ends it.
    ``over`` is set when the unit has ended, which nothing outlives. A statement must be bound to
    the hotel, or `UnboundStatement` is raised; without a hotel, as in the relay, it must be
    declared to serve every hotel instead.
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
        self._connection = connection
        self._forms = forms_of(connection.dialect, names)
        self.hotel_id = hotel_id or _NO_HOTEL
        self._acting: Parameters = {ACTING_HOTEL: hotel_id} if hotel_id else {}
        self._deadline = deadline
        self.read_only = read_only
        self.may_write = not read_only
        self.alone = False
        self.over = False
        # Whether the transaction was committed already, with the last statement.
        self.committed = False
        self._queued: list[Message] = []
        self._waiting: list[Waiting] = []
        # What had waited and the server works on.
        self._begun: list[Waiting] = []
        self._questions: list[Question] = []
        # Threads may share a unit: what waits is one's to add to or to send at a time.
        self._lock = RLock()
        # The thread that asks ahead at the moment: what others ask is meant in earnest.
        self._asking = 0
        # Whether writes wait that may be refused.
        self._together = False
        # Whether some of that was sent, and nobody knows what became of it.
        self._lost = False
        # What had waited and was where the last exchange failed, if it was there.
        self._failed_at: Waiting | None = None

    @property
    def dialect(self) -> str:
        """The database's name, ``sqlite`` or ``postgresql``, where a statement differs."""
        return self._connection.dialect.name

    def all(
        self, statement: Executable, build: Callable[[AnyRow], T], /, **values: object
    ) -> list[T]:
        """Run a statement that gives rows and build one ``T`` of each."""

        def taking(cursor: Any, form: Form) -> list[T]:
            rows = cursor.fetchall()
            return list(map(form.builder(build, cursor), rows)) if rows else []

        return self._execute(statement, values, taking)

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

        return self._execute(statement, values, taking)

    def first(
        self, statement: Executable, build: Callable[[AnyRow], T], /, **values: object
    ) -> T | None:
        """Run a statement and build a ``T`` of its first row; None if there is no row."""

        def taking(cursor: Any, form: Form) -> T | None:
            row = cursor.fetchone()
            return None if row is None else form.builder(build, cursor)(row)

        return self._execute(statement, values, taking)

    def write(self, statement: UpdateBase, /, **values: object) -> int:
        """Run a statement that changes rows and return how many it changed."""
        return self._execute(statement, values, _row_count)

    def write_many(self, statement: UpdateBase, rows: Sequence[Parameters]) -> int:
        """Run one statement with many parameter sets, in their order; return the rows changed.

        The driver sends them together where it can. Nothing is sent for no rows.
        """
        if not rows:
            return 0
        form = self._form(statement, rows[0])
        return self._send(form, lambda: self._called(form, rows), _row_count, len(rows))

    def write_with_next(self, statement: UpdateBase, rows: Sequence[Parameters]) -> None:
        """Run a statement together with the next one, once for each of ``rows``.

        It cannot be refused but by a fault of ours, since its failure is the next one's. Both go to
        PostgreSQL in one exchange, unless somebody else uses the connection, or listens to it.
        """
        if self._exchanges:
            self._let_wait(statement, rows)
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
            self._let_wait(statement, rows, otherwise)
            return
        try:
            changed = self.write_many(statement, rows)
        except UniqueViolation:
            if taken is None:
                raise
            raise taken() from None
        otherwise.refuse_missed(changed)

    def _let_wait(
        self,
        statement: UpdateBase,
        rows: Sequence[Parameters],
        otherwise: Otherwise | None = None,
    ) -> None:
        if not rows:
            return
        form = self._form(statement, rows[0])
        with self._lock, translated(self._deadline.limits):
            text, parameters = _converted(lambda: self._called(form, rows))
            if any(each.takes_long for each in self._waiting) and can_begin(self._connection):
                self._begin()
            long, calls = takes_long(rows), len(rows)
            more = Waiting(form, text, parameters, calls, takes_long=long, otherwise=otherwise)
            self._waiting.append(more)

    def _begin(self) -> None:
        """Let the server begin with what waits, since more comes, which takes us time too."""
        try:
            self._tell_first()
            waiting, self._waiting = self._waiting, []
            begin(self._connection, messages_of(waiting))
        except BaseException:
            self._lost = True
            raise
        self._begun += waiting

    def _tell_first(self) -> bool:
        """Put what PostgreSQL is to be told before all that goes to it, and say if that is news."""
        news = self._deadline.enforce(self._connection)
        if self._waiting:
            first = self._waiting[0]
            first.queued = [*news, *first.queued]
        else:
            self._queued = [*news, *self._queued]
        return bool(news)

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

    def ahead(self, asking: Callable[[], object]) -> None:
        """Send the first statement that ``asking`` runs together with the next one.

        Whoever runs it again before anything is written has the answer already, without another
        round trip. So nothing else changes: not what is locked, nor in which order, if what is
        asked ahead is then asked in the same order. Where statements do not go together, nothing is
        done. What ``asking`` gives or refuses is not told.
        """
        if not self._exchanges:
            return
        self._asking = get_ident()
        try:
            with suppress(Asked, HotelcoreError):
                asking()
        finally:
            self._asking = 0

    def flush(self) -> None:
        """Send what waits for a next statement, where none comes."""
        self._refuse_if_lost()
        self._forget_questions()
        with self._lock:
            if self._waiting:
                *self._waiting, last = self._waiting
                self._send_last(last)

    def _send_last(self, last: Waiting) -> None:
        """Send the last that waits, with all before it."""
        try:
            last.rows = self._send(last.form, lambda: last.sent, _row_count, last.calls)
            last.refuse_missed()
        except BaseException as error:
            self._lost = True
            if isinstance(error, UniqueViolation):
                raise last.error_when_taken() from None
            raise

    def flush_if_refusable(self) -> None:
        """Send what waits if a part of it may be refused."""
        if any(each.otherwise for each in (*self._begun, *self._waiting)):
            self.flush()

    def write_last(self, statement: UpdateBase, rows: Sequence[Parameters]) -> None:
        """Write rows as the last of the transaction, and commit in the same exchange if it may be.

        `committed` tells afterwards whether that was so.
        """
        self.flush_if_refusable()  # what is committed is no longer to be refused
        form = self._form(statement, rows[0])
        commits = self._exchanges and not self._connection.dispatch.commit
        self._send(form, lambda: self._called(form, rows), _row_count, len(rows), commits)
        self.committed = commits

    @property
    def _exchanges(self) -> bool:
        """Whether several statements may go together: a listener is told of each in its turn."""
        connection = self._connection
        seen = is_watched(connection) or connection._echo
        return self.alone and self.dialect == "postgresql" and not seen

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

    def _stop(self) -> None:
        """Wait for what the server has begun with, which is to be undone."""
        with self._lock:
            if self._begun:
                self._begun = []
                with suppress(DBAPIError):
                    end(self._connection)

    def refuse_if_read_only(self) -> None:
        """Raise `ReadOnly` in a reading unit, where there is nothing to write or to undo."""
        if self.read_only:
            raise ReadOnly(_WHY_READ_ONLY)

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """Run the body so that its failure undoes what it wrote, and that alone."""
        self.flush()
        with translated(self._deadline.limits):
            self._deadline.tell(self._connection)
            savepoint = self._connection.begin_nested()
        try:
            yield
            self.flush()
            with translated(self._deadline.limits):
                savepoint.commit()
        except BaseException:
            self._stop()
            self._waiting, self._lost = [], False
            self._forget_questions()  # what they locked is open again
            undo(self._connection, savepoint)
            raise

    def _execute(self, statement: Executable, values: Parameters, taking: _Taking[T]) -> T:
        form = self._form(statement, values)

        def sent() -> tuple[str, Any]:
            return form.sent({**values, **self._acting})

        with self._lock:
            if self._asking == get_ident():
                self._ask(form, *self._ready(sent))
            if self._questions:
                ready = self._ready(sent)
                question = self._asked(*ready)
                if question is not None:
                    return self._answered(question, form, taking)
                return self._send(form, lambda: ready, taking)
            # Taken before the deadline is left, since SQLite executes while it is fetched from.
            return self._send(form, sent, taking)

    def _ready(self, sent: Callable[[], tuple[str, Any]]) -> tuple[str, Any]:
        with translated(self._deadline.limits):
            return _converted(sent)

    def _ask(self, form: Form, text: str, parameters: Any) -> NoReturn:
        """Let a question wait for the next statement, if nothing but the server can refuse it."""
        # An exchange has one format, and one that is read as texts would make all be read so.
        with translated(self._deadline.limits):
            waits = form.binary and can_send(self._connection, text, parameters)
        if waits and not self._asked(text, parameters):
            question, queued = Question(text, parameters), tuple(self._queued)
            self._waiting.append(Waiting(form, text, parameters, queued=queued, question=question))
            self._questions = [*self._questions[1 - _MOST_QUESTIONS :], question]
        self._queued.clear()
        raise Asked

    def _asked(self, text: str, parameters: Any) -> Question | None:
        """Return the question that was asked ahead in these words, if it waits or is answered."""
        waiting = {id(each.question) for each in self._waiting}
        for question in self._questions:
            if question.text == text and question.parameters == parameters:
                # Else another task that shares the unit has just sent it.
                return question if question.answer or id(question) in waiting else None
        return None

    def _answered(self, question: Question, form: Form, taking: _Taking[T]) -> T:
        """Take the answer to a question, which is sent now if it still waits."""
        self._questions.remove(question)
        self._queued.clear()  # it stood in the queue when it was asked ahead
        if question.answer:
            return taking(question.answer, form)
        place = [each.question for each in self._waiting].index(question)
        own, behind = self._waiting[place], self._waiting[place + 1 :]
        self._waiting, self._queued = self._waiting[:place], [*own.queued]
        return self._send(form, lambda: own.sent, taking, behind=behind)

    def _form(self, statement: Executable, values: Parameters) -> Form:
        """Return the form of a statement that may run here and now."""
        if self.over:
            raise InvalidInput("uow", "is over: its handle was left")
        self._refuse_if_lost()
        form = self._forms.of(statement, acting=bool(self._acting))
        if form.writes:
            self._prepare_write()
        if "hotel_id" in values:
            raise InvalidInput("hotel_id", "is no parameter: the seam alone gives the acting hotel")
        return form

    def _prepare_write(self) -> None:
        """Refuse what may not be written, and forget the answers that it may make untrue."""
        if not self.may_write:
            self.refuse_if_read_only()
            raise ReadOnly(_WHY_NO_COMMAND)
        if self._asking == get_ident():
            raise Asked
        self._forget_questions()

    def _forget_questions(self) -> None:
        with self._lock:
            if self._questions:
                self._questions.clear()
                self._waiting = [each for each in self._waiting if not each.question]

    def _refuse_if_lost(self) -> None:
        if self._lost:
            raise UnitAborted

    def _send(
        self,
        form: Form,
        sent: Callable[[], tuple[str, Any]],
        taking: _Taking[T],
        calls: int = 1,
        commits: bool = False,
        behind: Sequence[Waiting] = (),
    ) -> T:
        try:
            with self._lock, translated(self._deadline.limits):
                return self._exchanged(form, sent, taking, calls, commits, behind)
        except UniqueViolation:
            if self._failed_at is None:
                raise
            raise self._failed_at.error_when_taken() from None
        except DatabaseFailure:
            if not commits:  # else nobody knows whether it was committed, however late it is
                self._deadline.check()  # the server ends the session of a unit that is overdue
            raise

    def _exchanged(
        self,
        form: Form,
        sent: Callable[[], tuple[str, Any]],
        taking: _Taking[T],
        calls: int,
        commits: bool,
        behind: Sequence[Waiting],
    ) -> T:
        self._failed_at = None
        text, parameters = _converted(sent)
        is_news = self._tell_first()
        begun, waiting, queued = self._begun, self._waiting, self._queued
        self._begun, self._waiting, self._queued = [], [], []
        ahead = [*begun, *waiting]

        def beside(first: Sequence[Any], last: Sequence[Any]) -> None:
            note_answers(ahead, first)
            note_answers(behind, last)

        try:
            taken = send(
                self._connection,
                text,
                parameters,
                lambda cursor: taking(cursor, form),
                many=calls > 1,
                before=[*messages_of(waiting), *queued],
                after=_COMMIT if commits else messages_of(behind),
                binary=form.binary,
                beside=beside if ahead or behind else None,
            )
        except BaseException as error:
            self._questions.clear()
            self._lost = self._lost or any(not each.question for each in ahead)
            self._failed_at = waiting_at(noted_place(error), ahead)
            if begun and is_begun(self._connection):
                self._begun = begun  # nothing was sent
            raise
        if is_news:
            self._deadline.heard(self._connection)
        self._refuse_missed(ahead)
        return taken

    def _refuse_missed(self, sent: Sequence[Waiting]) -> None:
        try:
            for each in sent:
                each.refuse_missed()
        except HotelcoreError:
            self._lost = True
            raise

    def _called(self, form: Form, rows: Sequence[Parameters]) -> tuple[str, Any]:
        """Return the text and the parameters of one call or of many, as the driver takes them."""
        if len(rows) == 1:
            return form.sent({**rows[0], **self._acting})
        return form.text, form.parameters_of_many(rows, self._acting)


def _converted(sent: Callable[[], T]) -> T:
    """Return what a driver is given; raise SQLAlchemy's error for what a column does not take."""
    try:
        return sent()
    except Exception as error:  # noqa: BLE001  # a column's type may raise any
        raise StatementError("no parameter", None, None, error) from None


def _as_it_is(row: AnyRow) -> AnyRow:
    return row


def _row_count(cursor: Any, _: Form) -> int:
    return int(cursor.rowcount)


def undo(connection: Connection, transaction: Transaction) -> None:
    """Roll back; a connection that cannot is thrown away, and its server rolls back itself."""
    if isinstance(transaction, NestedTransaction) and not transaction.is_active:
        return  # it went with what is around it
    try:
        transaction.rollback()
    except DBAPIError:
        connection.invalidate()


_WHY_READ_ONLY = "this handle only reads: write through run() or transaction()"
_WHY_NO_COMMAND = "only an operation writes: declare yours with hotelcore.operations.operation"
