"""The one seam through which every statement of the library runs.

A repository builds its statements once and hands them here with their parameters. The seam refuses
what is not bound to the acting hotel, gives the hotel, keeps the time limit, refuses writes where
only reading is allowed, translates errors, and turns rows into entities. What lies beneath can
change without touching a repository.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import Any, NoReturn, Protocol, TypeAlias, TypeVar
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Insert,
    NestedTransaction,
    Table,
    Transaction,
    Update,
    and_,
    bindparam,
    insert,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.dml import UpdateBase

from hotelcore.errors import (
    DatabaseFailure,
    HotelcoreError,
    InvalidInput,
    ReadOnly,
    StaleVersion,
    UnitAborted,
)
from hotelcore.ids import HotelId
from hotelcore.sql.binding import for_every_hotel
from hotelcore.sql.driver import Message, is_watched, send
from hotelcore.sql.forms import AnyRow, Form, Parameters, forms_of
from hotelcore.sql.judge import ACTING_HOTEL, ActingHotel
from hotelcore.sql.limits import Deadline
from hotelcore.sql.schema import TableNames
from hotelcore.sql.translation import translated
from hotelcore.sql.waiting import Asked, Question, Waiting, messages_of, note_answers

__all__ = [
    "INSERTS",
    "AnyInsert",
    "AnyRow",
    "Conflict",
    "Runner",
    "Statements",
    "acting_hotel",
    "as_known",
    "changed_in",
    "for_every_hotel",
    "insert_into",
    "inserts_into",
    "left_as_it_is",
    "refused",
    "row_of",
    "undo",
    "upsert_into",
    "versioned_update",
    "write_next_version",
]

T = TypeVar("T")

# Takes from a driver's cursor, whose type is the driver's, what a statement gave.
_Taking: TypeAlias = Callable[[Any, Form], T]

_NO_HOTEL = HotelId(UUID(int=0))
_MOST_WANTED = 500
AnyInsert: TypeAlias = sqlite.Insert | postgresql.Insert
"""An INSERT that can say what to do with a row that is there."""
Conflict: TypeAlias = Callable[[AnyInsert], Insert]
"""Says what becomes of a row whose key is taken."""
INSERTS: Mapping[str, Callable[[Table], AnyInsert]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}
"""What builds, by dialect, an INSERT that says what to do with a row that is there."""


def acting_hotel() -> BindParameter[UUID]:
    """Return the parameter for the acting hotel; the seam alone gives it a value."""
    return ActingHotel(ACTING_HOTEL)


def insert_into(table: Table) -> Insert:
    """Build the INSERT of one row with every column, the hotel bound by the seam."""
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

    It sets every column outside the primary key but those of ``leaving``.
    """
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


# Locks of PostgreSQL's on a number, by whether they are had alone; they queue up in one line:
# https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
_QUEUE = {
    False: "SELECT pg_advisory_xact_lock_shared($1)",
    True: "SELECT pg_advisory_xact_lock($1)",
}


_COMMIT: Sequence[Message] = (("COMMIT", ()),)
_MOST_QUESTIONS = 50  # each question is looked for among them


def _place_of(hotel_id: HotelId) -> int:
    """Return the number that a hotel's queue has among all such locks of the database."""
    digest = blake2b(hotel_id.bytes, digest_size=8, person=b"hotelcore").digest()
    return int.from_bytes(digest, signed=True)


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
        self._questions: list[Question] = []
        self._asks_ahead = False
        # Whether some of that was sent, and nobody knows what became of it.
        self._lost = False

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
        if not self._exchanges:
            self.write_many(statement, rows)
        elif rows:
            form = self._form(statement, rows[0])
            with translated(self._deadline.limits):
                text, parameters = _converted(lambda: self._called(form, rows))
            self._waiting.append(Waiting(form, text, parameters, len(rows)))

    def ahead(self, asking: Callable[[], object]) -> None:
        """Send the first statement that ``asking`` runs together with the next one.

        Whoever runs it again before anything is written has the answer already, without another
        round trip. So nothing else changes: not what is locked, nor in which order, if what is
        asked ahead is then asked in the same order. Where statements do not go together, nothing is
        done. What ``asking`` gives or refuses is not told.
        """
        if not self._exchanges:
            return
        self._asks_ahead = True
        try:
            with suppress(Asked, HotelcoreError):
                asking()
        finally:
            self._asks_ahead = False

    def flush(self) -> None:
        """Send what waits for a next statement, where none comes."""
        self._refuse_if_lost()
        self._forget_questions()
        if self._waiting:
            *self._waiting, last = self._waiting
            try:
                self._send(last.form, lambda: last.sent, _row_count, last.calls)
            except BaseException:
                self._lost = True
                raise

    def write_last(self, statement: UpdateBase, rows: Sequence[Parameters]) -> None:
        """Write rows as the last of the transaction, and commit in the same exchange if it may be.

        `committed` tells afterwards whether that was so.
        """
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
        self._queued.append((_QUEUE[alone], (_place_of(self.hotel_id),)))

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
            self._waiting, self._lost = [], False
            self._forget_questions()  # what they locked is open again
            undo(self._connection, savepoint)
            raise

    def _execute(self, statement: Executable, values: Parameters, taking: _Taking[T]) -> T:
        form = self._form(statement, values)
        if self._asks_ahead:
            self._ask(form, statement, values)
        question = self._asked(statement, values) if self._questions else None
        if question is not None:
            return self._answered(question, form, taking)
        # Taken before the deadline is left, since SQLite executes while it is fetched from.
        return self._send(form, lambda: form.sent({**values, **self._acting}), taking)

    def _ask(self, form: Form, statement: Executable, values: Parameters) -> NoReturn:
        """Let a question wait for the next statement."""
        # An exchange has one format, and one that is read as texts would make all be read so.
        if form.binary and not self._asked(statement, values):
            with translated(self._deadline.limits):
                text, parameters = _converted(lambda: form.sent({**values, **self._acting}))
            question, queued = Question(statement, values), tuple(self._queued)
            self._waiting.append(Waiting(form, text, parameters, queued=queued, question=question))
            self._questions = [*self._questions[1 - _MOST_QUESTIONS :], question]
        self._queued.clear()
        raise Asked

    def _asked(self, statement: Executable, values: Parameters) -> Question | None:
        """Return the question that was asked ahead in these words, if it waits or is answered."""
        waiting = {id(each.question) for each in self._waiting}
        for question in self._questions:
            if question.statement is statement and question.values == values:
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
        if self._asks_ahead:
            raise Asked
        self._forget_questions()

    def _forget_questions(self) -> None:
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
            with translated(self._deadline.limits):
                return self._exchanged(form, sent, taking, calls, commits, behind)
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
        text, parameters = _converted(sent)
        news = self._deadline.enforce(self._connection)
        waiting, self._waiting = self._waiting, []
        queued, self._queued = self._queued, []

        def beside(first: Sequence[Any], last: Sequence[Any]) -> None:
            note_answers(waiting, first[len(news) :])
            note_answers(behind, last)

        try:
            taken = send(
                self._connection,
                text,
                parameters,
                lambda cursor: taking(cursor, form),
                many=calls > 1,
                before=[*news, *messages_of(waiting), *queued],
                after=_COMMIT if commits else messages_of(behind),
                binary=form.binary,
                beside=beside if waiting or behind else None,
            )
        except BaseException:
            self._questions.clear()
            self._lost = self._lost or any(not each.question for each in waiting)
            raise
        if news:
            self._deadline.heard(self._connection)
        return taken

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


class Runner(Protocol):
    """What a repository runs statements on: `Statements`, or a host's ``HostStatements``."""

    def all(
        self, statement: Executable, build: Callable[[AnyRow], T], /, **values: object
    ) -> list[T]:
        """Run a statement that gives rows and build one ``T`` of each."""
        ...

    def some(
        self, statement: Executable, build: Callable[[AnyRow], T], most: int, /, **values: object
    ) -> tuple[list[T], AnyRow | None]:
        """Run a statement and build a ``T`` of each of the first rows; see `Statements`."""
        ...

    def first(
        self, statement: Executable, build: Callable[[AnyRow], T], /, **values: object
    ) -> T | None:
        """Run a statement and build a ``T`` of its first row; None if there is no row."""
        ...

    def write(self, statement: UpdateBase, /, **values: object) -> int:
        """Run a statement that changes rows and return how many it changed."""
        ...


def write_next_version(
    run: Runner, statement: Update, kind: str, key: UUID, version: int, values: Parameters
) -> int:
    """Store a record over its ``version``, by a `versioned_update`, and return its next version.

    Raises `StaleVersion`, naming the ``kind`` of record, if another version is stored.
    """
    later = version + 1
    if not run.write(statement, key=key, known_version=version, version=later, **values):
        raise StaleVersion(kind, key)
    return later


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
