"""How the statements of one unit of work go to the database: at once, or with the next one.

A round trip to PostgreSQL is what a command waits for most, so what need not be answered by itself
goes with what comes next: writes that wait, and questions that are asked ahead. On SQLite nothing
waits. Records 22, 23, 26 and 27 in ``docs/decisions`` say what may.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from threading import RLock, get_ident
from typing import Any, NoReturn, TypeAlias, TypeVar

from sqlalchemy import Connection, NestedTransaction, Transaction
from sqlalchemy.exc import DBAPIError

from hotelcore.errors import DatabaseFailure, HotelcoreError, UnitAborted
from hotelcore.sql.seam.calls import Call, call_at, messages_of, note_answers
from hotelcore.sql.seam.driver import begin, can_begin, can_send, end, is_begun, is_watched, send
from hotelcore.sql.seam.forms import Form
from hotelcore.sql.seam.limits import Deadline
from hotelcore.sql.seam.messages import Message, noted_place
from hotelcore.sql.seam.translation import Translation, UniqueViolation, translated

__all__ = ["Sending", "Taking", "row_count", "undo"]

T = TypeVar("T")
Taking: TypeAlias = Callable[[Any, Form], T]
"""Takes from a driver's cursor, whose type is the driver's, what a statement gave."""

_COMMIT: Sequence[Message] = (("COMMIT", ()),)
_MOST_QUESTIONS = 50  # each question is looked for among them


class Asked(BaseException):  # no error, which a question might catch
    """Ends what asks ahead: its statement is noted, and the answer is not there yet."""


class Sending:
    """Sends the statements of a unit over its connection until its deadline.

    ``alone`` says that the transaction is the unit's own, so that nobody looks into it and the unit
    ends it.
    """

    def __init__(self, connection: Connection, deadline: Deadline) -> None:
        self.alone = False
        self._connection = connection
        self._deadline = deadline
        # What PostgreSQL is told before the next statement: whose queue to stand in, and more.
        self._queued: list[Message] = []
        # What goes with the next statement, and what of that the server works on already.
        self._waiting: list[Call] = []
        self._begun: list[Call] = []
        # What was asked ahead, until it is asked or something is written.
        self._questions: list[Call] = []
        # The threads that ask ahead at the moment: what others ask is meant in earnest.
        self._asking: set[int] = set()
        # Whether something that waited was sent, and nobody knows what became of it.
        self._lost = False
        # What had waited and was where the last exchange failed, if it was there.
        self._failed_at: Call | None = None
        # Threads may share a unit: what waits is one's to add to or to send at a time.
        self._lock = RLock()

    @property
    def dialect(self) -> str:
        """The database's name, ``sqlite`` or ``postgresql``, where a statement differs."""
        return self._connection.dialect.name

    @property
    def _exchanges(self) -> bool:
        """Whether several statements may go together: a listener is told of each in its turn."""
        connection = self._connection
        seen = is_watched(connection) or connection._echo
        return self.alone and self.dialect == "postgresql" and not seen

    @property
    def _may_commit(self) -> bool:
        """Whether the commit may go with the last statement: a host may prevent it."""
        return self._exchanges and not self._connection.dispatch.commit

    def _translated(self) -> Translation:
        return translated(self._deadline.limits)

    # -- what waits ---------------------------------------------------------------------------

    def _let_wait(self, call: Call) -> None:
        """Let a statement go with the next one."""
        with self._lock, self._translated():
            self._forget_what_changes(call)
            if any(each.takes_long for each in self._waiting) and can_begin(self._connection):
                self._begin()
            self._waiting.append(call)

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

    def flush(self) -> None:
        """Send what waits for a next statement, where none comes."""
        self._refuse_if_lost()
        self._forget_questions()
        with self._lock:
            if self._waiting:
                *self._waiting, last = self._waiting
                self._send_last(last)

    def _send_last(self, last: Call) -> None:
        """Send the last that waits, with all before it."""
        try:
            last.refuse_missed(self._send(last, row_count))
        except BaseException as error:
            self._lost = True
            if isinstance(error, UniqueViolation):
                raise last.error_when_taken() from None
            raise

    def flush_if_refusable(self) -> None:
        """Send what waits if a part of it may be refused."""
        if any(each.otherwise for each in (*self._begun, *self._waiting)):
            self.flush()

    def _stop(self) -> None:
        """Wait for what the server has begun with, which is to be undone."""
        with self._lock:
            if self._begun:
                self._begun = []
                with suppress(DBAPIError):
                    end(self._connection)

    def _refuse_if_lost(self) -> None:
        if self._lost:
            raise UnitAborted

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """Run the body so that its failure undoes what it wrote, and that alone."""
        self.flush()
        with self._translated():
            self._deadline.tell(self._connection)
            savepoint = self._connection.begin_nested()
        try:
            yield
            self.flush()
            with self._translated():
                savepoint.commit()
        except BaseException:
            self._stop()
            self._waiting, self._lost = [], False
            self._forget_questions()  # what they locked is open again
            undo(self._connection, savepoint)
            raise

    # -- questions that are asked ahead -------------------------------------------------------

    def ahead(self, asking: Callable[[], object]) -> None:
        """Send the first statement that ``asking`` runs together with the next one.

        Whoever runs it again before anything is written has the answer already, without another
        round trip. So nothing else changes: not what is locked, nor in which order, if what is
        asked ahead is then asked in the same order. Nothing is done where statements do not go
        together, nor inside of what asks ahead. What ``asking`` gives or refuses is not told.
        """
        me = get_ident()
        if not self._exchanges or me in self._asking:
            return
        self._asking.add(me)
        try:
            with suppress(Asked, HotelcoreError):
                asking()
        finally:
            self._asking.discard(me)

    def _ask(self, call: Call) -> NoReturn:
        """Let a question wait for the next statement, if nothing but the server can refuse it."""
        # An exchange has one format, and one that is read as texts would make all be read so.
        with self._translated():
            waits = call.form.binary and can_send(self._connection, call.text, call.rows[0])
        if waits and not self._known(call):
            call.is_question, call.queued = True, tuple(self._queued)
            self._waiting.append(call)
            self._questions = [*self._questions[1 - _MOST_QUESTIONS :], call]
        self._queued.clear()
        raise Asked

    def _known(self, call: Call) -> Call | None:
        """Return the question that was asked ahead in these words, if it waits or is answered."""
        for question in self._questions:
            if question.text == call.text and question.rows == call.rows:
                # Else another task that shares the unit has just sent it.
                return question if question.answers or question in self._waiting else None
        return None

    def _answer(self, question: Call, call: Call, taking: Taking[T]) -> T:
        """Take the answer to a question, which is sent now if it still waits."""
        self._questions.remove(question)
        self._queued.clear()  # it stood in the queue when it was asked ahead
        if question.answers:
            return taking(question.answers[0], call.form)
        place = self._waiting.index(question)
        behind = self._waiting[place + 1 :]
        self._waiting, self._queued = self._waiting[:place], [*question.queued]
        return self._send(call, taking, behind=behind)

    def _refuse_while_asking(self) -> None:
        """End what asks ahead where it would write."""
        if get_ident() in self._asking:
            raise Asked

    def _forget_what_changes(self, call: Call) -> None:
        """Forget the answers that a write may make untrue, and those that still wait."""
        if call.form.writes:
            self._forget_questions()

    def _forget_questions(self) -> None:
        with self._lock:
            if self._questions:
                self._questions.clear()
                self._waiting = [each for each in self._waiting if not each.is_question]

    # -- what is sent now ---------------------------------------------------------------------

    def _ask_or_send(self, call: Call, taking: Taking[T]) -> T:
        """Send a statement, unless it was asked ahead or is to be."""
        with self._lock:
            if self._asking and get_ident() in self._asking:
                self._ask(call)
            question = self._known(call) if self._questions else None
            if question is not None:
                return self._answer(question, call, taking)
            return self._send(call, taking)

    def _send(
        self,
        call: Call,
        taking: Taking[T],
        *,
        commits: bool = False,
        behind: Sequence[Call] = (),
    ) -> T:
        """Send a statement with all that waits; ``commits`` ends the transaction with it.

        What stands ``behind`` waited too, and goes after it.
        """
        try:
            # Taken before the deadline is left, since SQLite executes while it is fetched from.
            with self._lock, self._translated():
                self._forget_what_changes(call)
                return self._exchanged(call, taking, commits, behind)
        except UniqueViolation:
            if self._failed_at is None:
                raise
            raise self._failed_at.error_when_taken() from None
        except DatabaseFailure:
            if not commits:  # else nobody knows whether it was committed, however late it is
                self._deadline.check()  # the server ends the session of a unit that is overdue
            raise

    def _exchanged(self, call: Call, taking: Taking[T], commits: bool, behind: Sequence[Call]) -> T:
        self._failed_at = None
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
                call.text,
                call.rows,
                lambda cursor: taking(cursor, call.form),
                before=[*messages_of(waiting), *queued] if waiting else queued,
                after=_COMMIT if commits else messages_of(behind),
                binary=call.form.binary,
                beside=beside if ahead or behind else None,
            )
        except BaseException as error:
            self._questions.clear()
            self._lost = self._lost or any(not each.is_question for each in ahead)
            self._failed_at = call_at(noted_place(error), ahead)
            if begun and is_begun(self._connection):
                self._begun = begun  # nothing was sent
            raise
        if is_news:
            self._deadline.heard(self._connection)
        if ahead:
            self._refuse_missed(ahead)
        return taken

    def _refuse_missed(self, sent: Sequence[Call]) -> None:
        try:
            for each in sent:
                each.refuse_missed(each.changed)
        except HotelcoreError:
            self._lost = True
            raise


def row_count(cursor: Any, _: Form) -> int:
    """Take how many rows were changed."""
    return int(cursor.rowcount)


def undo(connection: Connection, transaction: Transaction) -> None:
    """Roll back; a connection that cannot is thrown away, and its server rolls back itself."""
    if isinstance(transaction, NestedTransaction) and not transaction.is_active:
        return  # it went with what is around it
    try:
        transaction.rollback()
    except DBAPIError:
        connection.invalidate()
