"""What a host constructs: `HotelCore`, or `AsyncHotelCore` for asyncio, and their handles.

Both are thin shells over the same units of work: they find a connection, run the unit, run it
again when the database asks for that, and tell the listeners what was committed.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import (
    AbstractContextManager,
    ExitStack,
    aclosing,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import attrs
from attrs import frozen
from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL
from sqlalchemy.util import await_only

from hotelcore.access import POLICY, Policy
from hotelcore.backoff import Backoff
from hotelcore.clock import Clock, SystemClock
from hotelcore.domain.audit import AuditHead, AuditReport
from hotelcore.errors import DatabaseBusy, InvalidInput, TransactionTimeout, WaitTimeout
from hotelcore.events.bus import AsyncEventBus, EventBus
from hotelcore.events.trace import Trace
from hotelcore.ids import HotelId, IdSource
from hotelcore.sql.audit_verifying import verify
from hotelcore.sql.creation import create_schema
from hotelcore.sql.engine import Gate, new_engine, prepare
from hotelcore.sql.joining import after_commit
from hotelcore.sql.limits import EVERY_HOTEL, Deadline, Limits
from hotelcore.sql.proofs import Proofs, prove, snapshot
from hotelcore.sql.role_check import check_row_security
from hotelcore.sql.schema import TableNames
from hotelcore.sql.statements import Statements
from hotelcore.sql.transactions import (
    Once,
    Receipt,
    Unit,
    Written,
    joined,
    perform,
    read,
    refuse_unless_plain,
    serve,
    write,
)
from hotelcore.sql.translation import translated
from hotelcore.sql.unit_of_work import Commission
from hotelcore.subscriptions import Subscriptions
from hotelcore.tenancy import Actor
from hotelcore.text import clean_text
from hotelcore.unit_of_work import UnitOfWork
from hotelcore.vault import KeyProvider

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
    from sqlalchemy.orm import Session

__all__ = ["AsyncDesk", "AsyncHotelCore", "AsyncUnit", "Desk", "HotelCore"]

P = ParamSpec("P")
R = TypeVar("R")

_BACKOFF = Backoff(first=0.01, cap=0.5, chance=random.random)


@frozen(kw_only=True)
class _Terms:
    """What a handle was asked for; `once` and `within` give a handle with other terms."""

    commission: Commission
    names: TableNames
    limits: Limits
    once: Once | None = None
    receipt: Receipt | None = None

    def longer_unit(self) -> Unit:
        """Start the time of a unit of several steps, for which no single result could be stored."""
        if self.once is not None:
            raise InvalidInput("idempotency_key", "stands for one run(): use no other with it")
        return self.unit()

    def unit(self) -> Unit:
        """Start the time of a unit of work."""
        hotel_id = self.commission.actor.hotel_id
        deadline = Deadline.start(self.commission.clock, self.limits, hotel_id)
        return Unit(self.commission, self.names, deadline, self.receipt)

    def under_key(self, key: str) -> _Terms:
        """Give the same terms under an idempotency key."""
        return attrs.evolve(self, once=Once(clean_text("idempotency_key", key, most=200)))

    def limited(
        self, wait_limit: timedelta | None, time_limit: timedelta | None, isolation: str | None
    ) -> _Terms:
        """Give the same terms with other limits; None leaves one as it is."""
        known = self.limits
        limits = Limits(
            wait_limit=known.wait_limit if wait_limit is None else wait_limit,
            time_limit=known.time_limit if time_limit is None else time_limit,
            isolation=known.isolation if isolation is None else isolation,
        )
        return attrs.evolve(self, limits=limits)


def _pause_before_next(attempt: int, deadline: Deadline) -> float:
    """Return the seconds until the next attempt; `TransactionTimeout` when there is no time."""
    pause = _BACKOFF.pause(attempt, deadline.left)
    if pause is None:
        raise TransactionTimeout(deadline.limits.time_limit.total_seconds()) from None
    return pause


class _Core:
    """What both cores hold."""

    def __init__(
        self,
        engine: Engine,
        names: TableNames | None,
        limits: Limits | None,
        clock: Clock | None,
        subscriptions: Subscriptions | None,
        policy: Policy | None,
        keys: KeyProvider | None,
        row_security: bool,
    ) -> None:
        self._names = _instance("names", names or TableNames(), TableNames)
        self._limits = _instance("limits", limits or Limits(), Limits)
        self._clock = clock or SystemClock()
        if not (hasattr(self._clock, "now") and hasattr(self._clock, "monotonic")):
            raise InvalidInput("clock", "must have now() and monotonic()")
        if keys is not None and not (hasattr(keys, "current") and hasattr(keys, "numbered")):
            raise InvalidInput("keys", "must have current() and numbered(): give a KeyRing")
        self._keys = keys
        self._names.must_suit(engine.dialect.name)
        if row_security and engine.dialect.name != "postgresql":
            raise InvalidInput("row_security", "is for PostgreSQL alone: leave it out")
        # Whether the first connection has still to show that PostgreSQL keeps hotels apart.
        self._unchecked = row_security
        prepare(engine)
        self._sync_engine = engine
        self._ids = IdSource(self._clock)
        self._policy = _instance("policy", POLICY if policy is None else policy, Policy)
        self.subscriptions = _instance(
            "subscriptions", subscriptions or Subscriptions(policy=self._policy), Subscriptions
        )
        if self.subscriptions.policy != self._policy:
            raise InvalidInput("policy", "must be the one that the subscriptions were made with")

    @property
    def policy(self) -> Policy:
        """What each role may do in the units of work of this core."""
        return self._policy

    def _terms(self, actor: Actor, trace: Trace) -> _Terms:
        _instance("actor", actor, Actor)
        commission = Commission(
            actor=actor,
            policy=self._policy,
            clock=self._clock,
            new_id=self._ids.next_id,
            subscriptions=self.subscriptions,
            trace=trace,
            keys=self._keys,
        )
        return _Terms(commission=commission, names=self._names, limits=self._limits)

    def _check(self, connection: Connection) -> None:
        """Refuse, before the first unit, a role that row-level security would not hold."""
        with ExitStack() as undo:
            if not connection.in_transaction():
                undo.callback(connection.begin().rollback)
            check_row_security(connection, self._names)
        self._unchecked = False


def _instance(name: str, value: R, kind: type[R]) -> R:
    if not isinstance(value, kind):
        raise InvalidInput(name, f"must be of the class {kind.__name__}")
    return value


class HotelCore(_Core):
    """The library over one database, for synchronous hosts. Make one a process and share it.

    ``database`` is a URL (``sqlite:///hotel.db``, ``postgresql://…``) or an `Engine` of the
    host's, which is prepared with event hooks (`hotelcore.sql.engine`) and stays the host's.
    ``names`` puts the tables under another prefix or schema, ``limits`` are the defaults of every
    unit of work, ``clock`` tells the time. Raises `InvalidInput` for anything else. A connection
    of a host's engine is waited for as long as the host's pool says (``pool_timeout``).

    With ``row_security`` no unit begins before PostgreSQL was seen to keep this role to the rows of
    the acting hotel; `RowSecurityMissing` says what is in the way.

    ``events`` is the bus on which listeners in this process subscribe; ``subscriptions`` are the
    inline and durable ones, which a host may make beforehand and hand in. ``policy`` says what each
    role may do; by default it is `hotelcore.access.POLICY`. ``keys`` seal what a backup must not
    give away, such as a PMS's key: a `hotelcore.vault.KeyRing`, or a provider of your own. Without
    them nothing can be sealed.
    """

    def __init__(
        self,
        database: str | URL | Engine,
        *,
        names: TableNames | None = None,
        limits: Limits | None = None,
        clock: Clock | None = None,
        subscriptions: Subscriptions | None = None,
        policy: Policy | None = None,
        keys: KeyProvider | None = None,
        row_security: bool = False,
    ) -> None:
        if hasattr(database, "sync_engine"):
            raise InvalidInput("database", "is an engine for asyncio: use AsyncHotelCore")
        self.engine = database if isinstance(database, Engine) else new_engine(database)
        super().__init__(
            self.engine,
            names=names,
            limits=limits,
            clock=clock,
            subscriptions=subscriptions,
            policy=policy,
            keys=keys,
            row_security=row_security,
        )
        self.events = EventBus()
        # A host's engine has a pool of its own size and timeout.
        self._gate = None if self.engine is database else Gate.of(self.engine)

    def create_schema(self) -> None:
        """Create the tables that are missing, all in one transaction. Existing ones stay.

        Raises `SchemaMismatch` if the tables are those of another version; migrations bring them
        up to this one (`hotelcore.sql.upgrading`).
        """
        with translated(self._limits, changing_schema=True), self.engine.connect() as connection:
            create_schema(connection, self._names)

    def acting_as(
        self, actor: Actor, *, correlation_id: str | None = None, traceparent: str | None = None
    ) -> Desk:
        """Give the handle through which ``actor`` works in the actor's hotel.

        ``correlation_id`` (up to 200 characters) goes into every audit entry and event,
        ``traceparent`` (https://www.w3.org/TR/trace-context/) into every event.
        """
        return self._desk_of(actor, Trace(correlation_id=correlation_id, traceparent=traceparent))

    def _desk_of(self, actor: Actor, trace: Trace) -> Desk:
        return Desk(self, self._terms(actor, trace))

    def prove(self, hotel_id: HotelId, *, commands: int | None = None) -> Proofs:
        """Check that a hotel's records agree with each other, by recomputing them from the rows.

        It reads everything the hotel has under one snapshot and stops no writer. ``commands`` is
        the number of commands that ever succeeded in the hotel, to be compared with its audit log.
        """
        with (
            translated(self._limits),
            self._connection(Deadline.start(self._clock, self._limits, hotel_id)) as connection,
            snapshot(connection, self._names) as seen,
        ):
            return prove(seen, hotel_id, commands=commands)

    def verify_audit(self, hotel_id: HotelId, *, since: AuditHead | None = None) -> AuditReport:
        """Check that a hotel's audit log is whole and as it was written; memory stays constant.

        It stops no writer. ``since`` is a head that was exported earlier: only with it is a log
        found whose end was cut off, or that was replaced by an older one. With keys, an entry that
        is under none is a problem, unless it is covered by ``since``. Raises `NotFound`, and
        `TenantMismatch` for another hotel's head.
        """
        with (
            translated(self._limits),
            self._connection(Deadline.start(self._clock, self._limits, hotel_id)) as connection,
            snapshot(connection, self._names) as seen,
        ):
            return verify(seen, hotel_id, self._keys, since=since)

    def close(self) -> None:
        """Close the pooled connections; the core may be used again."""
        self.engine.dispose()

    def _tell(self, actor: Actor, written: Written) -> None:
        for event in written.events:
            self.events.emit(event, hotel_id=actor.hotel_id)

    _tell_now = _tell

    @contextmanager
    def _serving(self, hotel_id: HotelId | None = None) -> Generator[Statements]:
        """Open a transaction for the relay's own rows: those of one hotel, or of all."""
        deadline = Deadline.start(self._clock, self._limits, hotel_id or EVERY_HOTEL)
        with (
            self._connection(deadline) as connection,
            serve(connection, self._names, deadline, hotel_id) as run,
        ):
            yield run

    @contextmanager
    def _connection(self, deadline: Deadline) -> Generator[Connection]:
        with self._gate.entered(deadline) if self._gate else nullcontext():
            with translated(deadline.limits):
                connection = self.engine.connect()
            with connection:
                if self._unchecked:
                    with translated(deadline.limits):
                        self._check(connection)
                yield connection


@frozen
class Desk:
    """An actor at work in one hotel. Cheap to make, safe to share between threads."""

    _core: HotelCore
    _its: _Terms

    @property
    def actor(self) -> Actor:
        """Who acts, and in which hotel."""
        return self._its.commission.actor

    def once(self, idempotency_key: str) -> Desk:
        """Give a handle whose `run` has one effect and one result under this key, ever.

        The key (1 to 200 characters) is the hotel's and the operation's. The same arguments give
        the stored result again; others raise `IdempotencyConflict`.
        """
        return attrs.evolve(self, its=self._its.under_key(idempotency_key))

    def within(
        self,
        *,
        wait_limit: timedelta | None = None,
        time_limit: timedelta | None = None,
        isolation: str | None = None,
    ) -> Desk:
        """Give a handle with other limits; see `Limits`. What is not given stays."""
        return attrs.evolve(self, its=self._its.limited(wait_limit, time_limit, isolation))

    def _leaving(self, receipt: Receipt) -> Desk:
        """Give a handle whose writing units leave a receipt in their transaction."""
        return attrs.evolve(self, its=attrs.evolve(self._its, receipt=receipt))

    def run(
        self,
        operation: Callable[Concatenate[UnitOfWork, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run one operation, or a function of your own over several, as one transaction.

        It is committed as a whole, with its audit entries and events, or not at all; run again
        while the database asks for that and time is left; then its listeners are told. Raises
        what the operation raises, `PermissionDenied`, `WaitTimeout`, `TransactionTimeout`.
        """
        unit, attempt = self._its.unit(), 0
        while True:
            attempt, written = attempt + 1, Written()
            try:
                with (
                    self._core._connection(unit.deadline) as connection,
                    write(connection, unit, written) as uow,
                ):
                    result = perform(uow, self._its.once, operation, args, kwargs)
            except DatabaseBusy:
                pause = _pause_before_next(attempt, unit.deadline)
                time.sleep(pause)  # noqa: TID251  # nothing is held between two attempts
                continue
            self._core._tell(self.actor, written)
            return result

    @contextmanager
    def transaction(self) -> Generator[UnitOfWork]:
        """Open a transaction for several steps; it commits when the block ends well.

        It cannot be run again by itself, so `DatabaseBusy` reaches the caller. A step that may
        fail without ending it goes into ``uow.savepoint()``.
        """
        unit, written = self._its.longer_unit(), Written()
        with (
            self._core._connection(unit.deadline) as connection,
            write(connection, unit, written) as uow,
        ):
            yield uow
        self._core._tell(self.actor, written)

    @contextmanager
    def reading(self) -> Generator[UnitOfWork]:
        """Open a unit that only reads, each statement for itself; writing raises `ReadOnly`."""
        unit = self._its.longer_unit()
        with self._core._connection(unit.deadline) as connection, read(connection, unit) as uow:
            yield uow

    @contextmanager
    def joining(self, host: Connection | Session) -> Generator[UnitOfWork]:
        """Work inside a transaction that the host has open on this core's engine.

        A failure undoes the block's part alone. The commit stays the host's: until then nothing
        is visible, and right after it the listeners in this process are told.
        """
        with _joined(self._core, self._its, host) as uow:
            yield uow


@contextmanager
def _joined(
    core: HotelCore | AsyncHotelCore, terms: _Terms, host: Connection | Session
) -> Generator[UnitOfWork]:
    if not isinstance(host, Connection) and not hasattr(host, "connection"):
        raise InvalidInput("host", "must be a Connection or a Session of SQLAlchemy")
    connection = host if isinstance(host, Connection) else host.connection()
    if connection.engine.pool is not core._sync_engine.pool:
        raise InvalidInput("host", "must be a connection or session of this core's engine")
    if not connection.in_transaction():
        raise InvalidInput("host", "must have a transaction open")
    if core._unchecked:
        with translated(terms.limits):
            core._check(connection)
    written, actor = Written(), terms.commission.actor
    with joined(connection, terms.longer_unit(), written) as uow:
        yield uow
    after_commit(connection, partial(core._tell_now, actor, written))


class AsyncHotelCore(_Core):
    """The library over one database, for asyncio. The operations are the very same functions.

    ``database`` is a URL (``sqlite:///hotel.db``, ``postgresql://…``) or an `AsyncEngine` of
    the host's. Needs the ``async`` extra; `MissingExtra` says so. See `HotelCore`.
    """

    def __init__(
        self,
        database: str | URL | AsyncEngine,
        *,
        names: TableNames | None = None,
        limits: Limits | None = None,
        clock: Clock | None = None,
        subscriptions: Subscriptions | None = None,
        policy: Policy | None = None,
        keys: KeyProvider | None = None,
        row_security: bool = False,
    ) -> None:
        from hotelcore.sql.asynchronous import async_engine  # an extra, so only when wanted

        self.engine: AsyncEngine = async_engine(database)
        super().__init__(
            self.engine.sync_engine,
            names=names,
            limits=limits,
            clock=clock,
            subscriptions=subscriptions,
            policy=policy,
            keys=keys,
            row_security=row_security,
        )
        self.events = AsyncEventBus()

    async def create_schema(self) -> None:
        """Create the tables that are missing; see `HotelCore.create_schema`."""
        with translated(self._limits, changing_schema=True):
            async with self.engine.connect() as connection:
                await connection.run_sync(create_schema, self._names)

    def acting_as(
        self, actor: Actor, *, correlation_id: str | None = None, traceparent: str | None = None
    ) -> AsyncDesk:
        """Give the handle through which ``actor`` works; see `HotelCore.acting_as`."""
        trace = Trace(correlation_id=correlation_id, traceparent=traceparent)
        return AsyncDesk(self, self._terms(actor, trace))

    async def prove(self, hotel_id: HotelId, *, commands: int | None = None) -> Proofs:
        """Check that a hotel's records agree with each other; see `HotelCore.prove`."""

        def seen(connection: Connection) -> Proofs:
            with snapshot(connection, self._names) as whole:
                return prove(whole, hotel_id, commands=commands)

        with translated(self._limits):
            async with self._connection(
                Deadline.start(self._clock, self._limits, hotel_id)
            ) as connection:
                return await connection.run_sync(seen)

    async def verify_audit(
        self, hotel_id: HotelId, *, since: AuditHead | None = None
    ) -> AuditReport:
        """Check that a hotel's audit log is whole; see `HotelCore.verify_audit`."""

        def seen(connection: Connection) -> AuditReport:
            with snapshot(connection, self._names) as whole:
                return verify(whole, hotel_id, self._keys, since=since)

        with translated(self._limits):
            async with self._connection(
                Deadline.start(self._clock, self._limits, hotel_id)
            ) as connection:
                return await connection.run_sync(seen)

    async def close(self) -> None:
        """Close the pooled connections."""
        await self.engine.dispose()

    async def _tell(self, actor: Actor, written: Written) -> None:
        for event in written.events:
            await self.events.emit(event, hotel_id=actor.hotel_id)

    def _tell_now(self, actor: Actor, written: Written) -> None:
        # A commit of the host's on this engine runs where awaiting is possible.
        await_only(self._tell(actor, written))

    @asynccontextmanager
    async def _connection(self, deadline: Deadline) -> AsyncGenerator[AsyncConnection]:
        wait = min(deadline.limits.wait_limit.total_seconds(), max(deadline.left, 0))
        connection = self.engine.connect()
        try:
            with translated(deadline.limits):
                async with asyncio.timeout(wait):
                    await connection.start()
        except TimeoutError:
            raise WaitTimeout(wait) from None
        async with aclosing(connection):
            if self._unchecked:
                with translated(deadline.limits):
                    await connection.run_sync(self._check)
            yield connection


@frozen
class AsyncDesk:
    """An actor at work in one hotel, for asyncio; see `Desk`."""

    _core: AsyncHotelCore
    _its: _Terms

    @property
    def actor(self) -> Actor:
        """Who acts, and in which hotel."""
        return self._its.commission.actor

    def once(self, idempotency_key: str) -> AsyncDesk:
        """Give a handle whose `run` has one effect under this key; see `Desk.once`."""
        return attrs.evolve(self, its=self._its.under_key(idempotency_key))

    def within(
        self,
        *,
        wait_limit: timedelta | None = None,
        time_limit: timedelta | None = None,
        isolation: str | None = None,
    ) -> AsyncDesk:
        """Give a handle with other limits; see `Desk.within`."""
        return attrs.evolve(self, its=self._its.limited(wait_limit, time_limit, isolation))

    async def run(
        self,
        operation: Callable[Concatenate[UnitOfWork, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run one operation, or a function of your own, as one transaction; see `Desk.run`."""
        unit, attempt = self._its.unit(), 0
        while True:
            attempt, written = attempt + 1, Written()

            def work(connection: Connection, written: Written = written) -> R:
                with write(connection, unit, written) as uow:
                    return perform(uow, self._its.once, operation, args, kwargs)

            try:
                async with self._core._connection(unit.deadline) as connection:
                    result = await connection.run_sync(work)
            except DatabaseBusy:
                await asyncio.sleep(_pause_before_next(attempt, unit.deadline))
                continue
            await self._core._tell(self.actor, written)
            return result

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncUnit]:
        """Open a transaction for several steps; see `Desk.transaction`."""
        unit, written = self._its.longer_unit(), Written()
        async with (
            self._core._connection(unit.deadline) as connection,
            _opened(connection, lambda sync: write(sync, unit, written)) as opened,
        ):
            yield opened
        await self._core._tell(self.actor, written)

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncUnit]:
        """Open a unit that only reads; see `Desk.reading`."""
        unit = self._its.longer_unit()
        async with (
            self._core._connection(unit.deadline) as connection,
            _opened(connection, lambda sync: read(sync, unit)) as opened,
        ):
            yield opened

    @contextmanager
    def joining(self, host: Connection | Session) -> Generator[UnitOfWork]:
        """Work inside the host's open transaction, from within its ``run_sync``.

        ``await session.run_sync(work)`` hands ``work`` the `Session` to give here; see
        `Desk.joining`.
        """
        with _joined(self._core, self._its, host) as uow:
            yield uow


@frozen
class AsyncUnit:
    """An open unit of work, for asyncio: its repositories are reached through `run`."""

    _connection: AsyncConnection
    _uow: UnitOfWork

    async def run(
        self,
        work: Callable[Concatenate[UnitOfWork, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run an operation, or any function of the unit of work, inside this unit."""
        refuse_unless_plain(work)
        return await self._connection.run_sync(lambda _: work(self._uow, *args, **kwargs))


@asynccontextmanager
async def _opened(
    connection: AsyncConnection,
    opening: Callable[[Connection], AbstractContextManager[UnitOfWork]],
) -> AsyncGenerator[AsyncUnit]:
    """Enter and leave a synchronous unit where its statements may await."""
    unit = await connection.run_sync(opening)
    uow = await connection.run_sync(lambda _: unit.__enter__())
    try:
        yield AsyncUnit(connection, uow)
    except BaseException:
        failure = sys.exc_info()
        if not await connection.run_sync(lambda _: unit.__exit__(*failure)):
            raise
    else:
        await connection.run_sync(lambda _: unit.__exit__(None, None, None))
