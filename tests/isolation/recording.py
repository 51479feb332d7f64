"""What comes out of a call: its value or error, statements, rows, events and log records."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from attrs import define, field
from sqlalchemy import Engine, event

from hotelcore.core import HotelCore
from hotelcore.errors import SecretWithheld
from hotelcore.events.catalogue import CATALOGUE, Event
from hotelcore.sql.seam.statements import Statements
from hotelcore.sql.unit_of_work import SqlUnitOfWork
from tests.isolation.canaries import Mark, marks, shape
from tests.isolation.world import FOREIGN_ROW

__all__ = ["Outcome", "Recorder"]

_KEPT = ("INSERT INTO hc_audit_log ", "INSERT INTO hc_outbox ")
# How often the limits are told depends on the time that is left; savepoints are numbered.
_SAVEPOINT = "probe"
_READS = ("SELECT ", "WITH ")
_SILENT = ("set_config(", "SAVEPOINT ")


@define
class Outcome:
    """Everything that one call gave, by every way out."""

    value: object = None
    error: BaseException | None = None
    statements: list[str] = field(factory=list)
    written: list[object] = field(factory=list)
    told: list[Event] = field(factory=list)
    logged: list[object] = field(factory=list)
    touched_foreign_rows: bool = False
    saved: bool = False

    @property
    def kind(self) -> str:
        """The class of the error; empty for a success."""
        return "" if self.error is None else type(self.error).__name__

    def marks(self, *, thorough: bool) -> set[Mark]:
        """Return every word and id in it; ``thorough`` formats the traceback too."""
        shown: list[object] = [self.value, self.written, self.told, self.logged]
        if self.error is None:
            shown += [repr(self.value), _pickled(self.value)]
            if type(self.value).__str__ is not object.__str__:
                shown.append(str(self.value))
        for error in _chain(self.error):
            shown += [str(error), repr(error), error.args, vars(error), _pickled(error)]
            shown += [getattr(error, "__notes__", None)]
        if thorough and self.error is not None:
            shown += traceback.format_exception(self.error)
        return marks(*shown)

    def shape(self, places: Mapping[Mark, str], known: Callable[[Mark], bool]) -> list[object]:
        """Return what must be the same for a foreign id and a missing one."""
        errors = [[type(e), str(e), e.args, vars(e)] for e in _chain(self.error, shown=True)]
        seen = [errors, self.value, self.written, self.told]
        return [*(shape(part, places, known) for part in seen), [*self.statements]]


def _chain(error: BaseException | None, *, shown: bool = False) -> Iterator[BaseException]:
    """Give an error and what it came from; ``shown`` is what a traceback shows of that."""
    while error is not None:
        yield error
        hidden = shown and error.__suppress_context__
        error = error.__cause__ or (None if hidden else error.__context__)


def _pickled(value: object) -> str:
    try:
        return pickle.dumps(value).decode("latin-1")
    except (TypeError, AttributeError, pickle.PicklingError, SecretWithheld):
        return ""  # nobody can send it anywhere then


@define
class Recorder(logging.Handler):
    """Notes what happens beside a call's own value or error."""

    outcome: Outcome = field(factory=Outcome)
    _saving: object = None

    def __attrs_pre_init__(self) -> None:
        """Make the handler that this is."""
        logging.Handler.__init__(self, logging.DEBUG)

    def __hash__(self) -> int:
        return id(self)

    def begin(self) -> Outcome:
        """Start a new outcome."""
        self.outcome = Outcome()
        return self.outcome

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what a formatter may show of a record."""
        self.outcome.logged += [record.getMessage(), record.args]
        if record.exc_info:
            self.outcome.logged += traceback.format_exception(record.exc_info[1])

    def note_statement(
        self, connection: object, cursor: Any, statement: str, parameters: Any, *_: object
    ) -> None:
        """Keep a statement, and the values of those that write audit entries and events."""
        begins = self._saving is cursor.connection and not self.outcome.saved
        if begins and not statement.startswith(_READS):
            cursor.connection.execute(f"SAVEPOINT {_SAVEPOINT}")
            self.outcome.saved = True
        if not any(word in statement for word in _SILENT):
            self.outcome.statements.append(statement)
        if statement.startswith(_KEPT):
            self.outcome.written.append(parameters)

    def note_error(self, context: Any) -> None:
        """Look whether the guard of foreign rows has refused something."""
        if FOREIGN_ROW in str(context.original_exception):
            self.outcome.touched_foreign_rows = True

    def note_event(self, told: Event) -> None:
        """Keep an event that a listener in this process hears."""
        self.outcome.told.append(told)

    @contextmanager
    def undoing(self, uow: SqlUnitOfWork) -> Generator[None]:
        """Run the body in a savepoint of the unit, which the database is told of when it matters.

        Most probes write nothing, and to tell of a savepoint and its end costs more than they do.
        """
        run = uow._run
        always = run.savepoint
        late = partial(self._late_savepoint, run, always)
        run.savepoint = late  # type: ignore[method-assign]
        try:
            with uow.savepoint():
                yield
        finally:
            run.savepoint = always  # type: ignore[method-assign]

    @contextmanager
    def _late_savepoint(
        self, run: Statements, always: Callable[[], AbstractContextManager[None]]
    ) -> Generator[None]:
        run.savepoint = always  # type: ignore[assignment,method-assign]  # for those within
        self._saving = run._connection.connection.dbapi_connection
        try:
            yield
        finally:
            self._saving = None
            if self.outcome.saved:
                run._connection.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")

    @contextmanager
    def over(self, core: HotelCore) -> Generator[None]:
        """Listen to everything while the body runs; nobody else keeps the log meanwhile."""
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        root.handlers[:] = [self]
        root.setLevel(logging.DEBUG)
        for kind in CATALOGUE.values():
            core.events.subscribe(kind, self.note_event)
        try:
            with (
                _listening(core.engine, "before_cursor_execute", self.note_statement),
                _listening(core.engine, "handle_error", self.note_error),
            ):
                yield
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)


@contextmanager
def _listening(engine: Engine, name: str, function: Callable[..., None]) -> Generator[None]:
    event.listen(engine, name, function)
    try:
        yield
    finally:
        event.remove(engine, name, function)
