"""How a unit of work begins and ends: written, read only, or inside a transaction of the host's.

Everything here is synchronous and works on a connection that somebody else opened, so the sync and
the async handles share all of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from inspect import iscoroutinefunction, isgeneratorfunction
from typing import Any, TypeAlias, TypeVar, get_type_hints

from attrs import Factory, define, field, frozen
from sqlalchemy import Connection, Transaction

from hotelcore import wire
from hotelcore.access import Permission
from hotelcore.errors import DatabaseBusy, InvalidInput, NotFound
from hotelcore.events.catalogue import Event
from hotelcore.ids import HotelId
from hotelcore.operations.declaring import permission_of
from hotelcore.sql.audit.chain import add_entries, lock_head
from hotelcore.sql.repositories.idempotency import claim, settle
from hotelcore.sql.schema import TableNames
from hotelcore.sql.seam.engine import DEADLINE
from hotelcore.sql.seam.joining import kept_open
from hotelcore.sql.seam.limits import Deadline, read_told, tell_again
from hotelcore.sql.seam.sending import undo
from hotelcore.sql.seam.statements import Statements
from hotelcore.sql.seam.translation import translated
from hotelcore.sql.seam.watched import statements_under
from hotelcore.sql.unit_of_work import Commission, Refusals, SqlUnitOfWork
from hotelcore.watching import Watch

__all__ = [
    "Once",
    "Receipt",
    "Unit",
    "Written",
    "joined",
    "perform",
    "read",
    "refuse_unless_plain",
    "serve",
    "write",
]

R = TypeVar("R")
# What a host runs in a unit differs in arguments; the handles' own signatures are exact.
Work = Callable[..., R]
Receipt: TypeAlias = Callable[[Statements], None]
"""What a unit of work stores beside its commands to say that something was handled."""
_Opening: TypeAlias = Callable[[Connection, Deadline], AbstractContextManager[None]]

_log = logging.getLogger("hotelcore.audit")

_READ_COMMITTED = "ISOLATION LEVEL READ COMMITTED"


@frozen
class Unit:
    """What a unit of work is opened with: for whom, under which table names, until when.

    A writing unit leaves its ``receipt``, if it has one, as the last of its work. ``refusals`` are
    what its actor was denied, until that is in the audit log.
    """

    commission: Commission
    names: TableNames
    deadline: Deadline
    receipt: Receipt | None = None
    refusals: Refusals = field(
        init=False, default=Factory(lambda unit: Refusals(unit.commission), takes_self=True)
    )

    def over(self, connection: Connection, *, read_only: bool) -> _Over:
        """Put a unit of work on ``connection``, which ends with the body."""
        return _Over(self, connection, read_only)

    def _statements(
        self, connection: Connection, deadline: Deadline, *, read_only: bool
    ) -> Statements:
        return statements_under(
            self.commission.watch,
            connection,
            self.commission.actor.hotel_id,
            deadline,
            read_only=read_only,
            names=self.names,
        )

    def finish(self, uow: SqlUnitOfWork) -> tuple[Event, ...]:
        """Do what belongs to the unit's end, and return the events for their listeners."""
        events = uow.tell_inline()
        if self.receipt is not None:
            with uow.own_writing() as run:
                self.receipt(run)
        return events

    def audited(self, connection: Connection, opening: _Opening) -> _Audited:
        """Put into the audit log what the body refused, once the body's own work is undone.

        ``opening`` gives the transaction for it. After `DatabaseBusy` nothing is recorded: the
        unit runs again and refuses again.
        """
        return _Audited(self, connection, opening)

    def _record(self, connection: Connection, opening: _Opening) -> None:
        entries = self.refusals.entries
        if not entries:
            return
        # The time of the unit may be over, but not that of its refusal.
        deadline = Deadline.start(
            self.commission.clock, self.deadline.limits, self.commission.actor.hotel_id
        )
        try:
            with opening(connection, deadline):
                run = self._statements(connection, deadline, read_only=False)
                add_entries(run, self.commission.keys, lock_head(run), entries)
        except NotFound:
            pass  # a hotel that is not registered has no log
        except Exception as failure:  # noqa: BLE001  # the caller is told of the refusal itself
            _log.error(
                "%d refusals are missing in the audit log: %s", len(entries), type(failure).__name__
            )


# Classes, since each stands around every unit, and a generator takes three times as long.


@define
class _Over:
    """What `Unit.over` puts around a body."""

    _unit: Unit
    _connection: Connection
    _read_only: bool
    _run: Statements = field(init=False)

    def __enter__(self) -> SqlUnitOfWork:
        unit = self._unit
        # To be in a hotel at all is to see its bookings; without that there is nothing to do.
        unit.refusals.require(Permission.BOOKINGS_VIEW, "unit of work")
        self._run = unit._statements(self._connection, unit.deadline, read_only=self._read_only)
        return SqlUnitOfWork(self._run, unit.refusals)

    def __exit__(self, *_: object) -> None:
        self._run.leave()


@define
class _Audited:
    """What `Unit.audited` puts around a body."""

    _unit: Unit
    _connection: Connection
    _opening: _Opening

    def __enter__(self) -> None:
        self._unit.refusals.entries.clear()

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None or (isinstance(error, Exception) and not isinstance(error, DatabaseBusy)):
            self._unit._record(self._connection, self._opening)


@define
class _Watched:
    """Lets SQLite's progress handler know the deadline for the time of a body."""

    _connection: Connection
    _deadline: Deadline
    _info: dict[str, Any] = field(init=False)
    _before: Deadline | None = field(init=False)

    def __enter__(self) -> None:
        # Asked for once: a connection that was lost meanwhile would open another to answer.
        self._info = self._connection.info
        self._before = self._info.get(DEADLINE)
        self._info[DEADLINE] = self._deadline

    def __exit__(self, *_: object) -> None:
        self._info[DEADLINE] = self._before


@contextmanager
def serve(
    watch: Watch,
    connection: Connection,
    names: TableNames,
    deadline: Deadline,
    hotel_id: HotelId | None,
) -> Generator[Statements]:
    """Open a transaction for the relay's own rows: those of one hotel, or of all of them."""
    with _begun(connection, deadline, _READ_COMMITTED) as transaction:
        run = statements_under(watch, connection, hotel_id, deadline, read_only=False, names=names)
        yield run
        run.flush()
        with translated(deadline.limits):
            transaction.commit()


class Written:
    """Tells after a writing unit which events it committed."""

    def __init__(self) -> None:
        self.events: tuple[Event, ...] = ()


@contextmanager
def write(
    connection: Connection, unit: Unit, written: Written
) -> Generator[SqlUnitOfWork, None, None]:
    """Open a transaction on ``connection``; commit it after the body, or roll it back.

    What the body raises reaches the caller as it is, a host's own database errors too.
    """
    limits = unit.deadline.limits
    with (
        unit.audited(connection, _transaction),
        _begun(connection, unit.deadline, f"ISOLATION LEVEL {limits.isolation}") as transaction,
        unit.over(connection, read_only=False) as uow,
    ):
        uow.owns_its_transaction()
        yield uow
        written.events = unit.finish(uow)
        if not uow.store():
            unit.deadline.check()
        with translated(limits):
            transaction.commit()  # asks nothing of a server that has committed


@contextmanager
def read(connection: Connection, unit: Unit) -> Generator[SqlUnitOfWork, None, None]:
    """Read on ``connection``, each statement for itself, where the server too refuses writes."""
    unit.deadline.read()
    with (
        unit.audited(connection, _transaction),
        _Watched(connection, unit.deadline),
        unit.over(connection, read_only=True) as uow,
    ):
        yield uow


@contextmanager
def _transaction(connection: Connection, deadline: Deadline) -> Generator[None, None, None]:
    """Put a short writing transaction around the body."""
    with _begun(connection, deadline, _READ_COMMITTED) as transaction:
        yield
        with translated(deadline.limits):
            transaction.commit()


@contextmanager
def _begun(
    connection: Connection, deadline: Deadline, mode: str
) -> Generator[Transaction, None, None]:
    """Begin a transaction in PostgreSQL's ``mode`` under the limits; undo what did not end."""
    deadline.check()
    deadline.begin(mode)
    with _Watched(connection, deadline):
        with translated(deadline.limits):
            transaction = connection.begin()
        deadline.within(transaction)
        try:
            yield transaction
        except BaseException:
            undo(connection, transaction)
            raise


@contextmanager
def joined(
    connection: Connection, unit: Unit, written: Written
) -> Generator[SqlUnitOfWork, None, None]:
    """Work inside the host's open transaction; a failure undoes our part, the end is the host's."""
    with (
        unit.audited(connection, _savepoint),
        _savepoint(connection, unit.deadline),
        unit.over(connection, read_only=False) as uow,
    ):
        yield uow
        written.events = unit.finish(uow)
        uow.store()


@contextmanager
def _savepoint(connection: Connection, deadline: Deadline) -> Generator[None, None, None]:
    """Put a savepoint of the host's transaction around the body, and give it back its limits."""
    limits = deadline.limits
    with _Watched(connection, deadline):
        with translated(limits):
            savepoint = connection.begin_nested()
            deadline.within(savepoint)
            told_by_host = read_told(connection)
        try:
            with translated(limits):
                # The first statement would do it too, but the host's own might come before.
                deadline.tell(connection)
            with kept_open(connection):
                yield
            with translated(limits):
                # A rollback to the savepoint would do this by itself.
                tell_again(connection, told_by_host)
                savepoint.commit()
        except BaseException:
            undo(connection, savepoint)
            raise


@frozen
class Once:
    """An idempotency key for the one call that a unit makes."""

    key: str


def perform(
    uow: SqlUnitOfWork,
    once: Once | None,
    work: Work[R],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> R:
    """Do ``work`` in the unit, under its idempotency key if it has one."""
    refuse_unless_plain(work)
    permission = permission_of(work)
    uow.is_one_operation = permission is not None
    if once is None:
        return work(uow, *args, **kwargs)
    name, kind = _name_of(work), _result_type(work)
    if permission:
        uow.require(permission, name)
    fingerprint = wire.fingerprint((args, dict(kwargs)))
    with uow.own_writing() as run:
        stored = claim(run, operation=name, key=once.key, fingerprint=fingerprint, at=uow.now())
    if stored is not None:
        # The stored result was encoded from this very type.
        return wire.decode(stored[0], kind)  # type: ignore[return-value]  # typed by annotation
    result = work(uow, *args, **kwargs)
    with uow.own_writing() as run:
        settle(run, operation=name, key=once.key, result=result, kind=kind)
    return result


def _name_of(work: Work[Any]) -> str:
    """Return the name under which a key is kept: an operation's own, else where the function is."""
    if permission_of(work) is not None:
        return work.__name__
    qualified = getattr(work, "__qualname__", "<lambda>")
    if "<lambda>" in qualified:
        raise InvalidInput("operation", "needs a name of its own to be run under a key")
    return f"{work.__module__}.{qualified}"[-100:]


def refuse_unless_plain(work: Work[Any]) -> None:
    """Raise `InvalidInput` for what a unit of work cannot run to its end.

    A coroutine or a generator would be handed back unstarted, as if it had succeeded.
    """
    if not callable(work) or iscoroutinefunction(work) or isgeneratorfunction(work):
        raise InvalidInput("operation", "must be a plain function of a unit of work, not async")


def _result_type(work: Work[R]) -> object:
    """Return the annotated result type, by which a stored result is built again."""
    try:
        hints = get_type_hints(work)
    except (NameError, AttributeError, TypeError, SyntaxError):
        raise InvalidInput(
            "operation",
            "has annotations that cannot be read at run time, by which a result under a key is "
            "built again: import what they name outside of TYPE_CHECKING",
        ) from None
    if "return" not in hints:
        raise InvalidInput("operation", "needs an annotated result to be run under a key")
    kind = hints["return"]
    try:
        wire.must_travel(kind)
    except InvalidInput:
        raise InvalidInput(
            "operation",
            f"returns {kind}, which cannot be stored under a key: return an id, text, a number, an "
            "attrs class, or a tuple[X, ...] or Mapping[str, X] of these",
        ) from None
    return kind
