"""The library for asyncio: `AsyncHotelCore`, its handle and its open units."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import attrs
from attrs import frozen
from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.util import await_only, greenlet_spawn

from hotelcore.access import Policy
from hotelcore.clock import Clock
from hotelcore.core._terms import Core, Terms, joining, pause_before_next
from hotelcore.domain.audit import AuditHead, AuditReport
from hotelcore.errors import DatabaseBusy, WaitTimeout
from hotelcore.events.bus import AsyncEventBus
from hotelcore.events.trace import Trace
from hotelcore.ids import HotelId
from hotelcore.sql.schema import TableNames
from hotelcore.sql.seam.engine import places_for
from hotelcore.sql.seam.limits import Deadline, Limits
from hotelcore.sql.seam.translation import translated
from hotelcore.sql.transactions import (
    Written,
    perform,
    read,
    refuse_unless_plain,
    write,
)
from hotelcore.sql.upkeep.audit_verifying import check_verifying, verify
from hotelcore.sql.upkeep.creation import create_schema
from hotelcore.sql.upkeep.proofs import Proofs, check_proving, prove, snapshot
from hotelcore.subscriptions import Subscriptions
from hotelcore.tenancy import Actor
from hotelcore.unit_of_work import UnitOfWork
from hotelcore.vault import KeyProvider
from hotelcore.watching import Ending

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.orm import Session

__all__ = ["AsyncDesk", "AsyncHotelCore", "AsyncUnit"]

P = ParamSpec("P")
R = TypeVar("R")


class AsyncHotelCore(Core):
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
        from hotelcore.sql.seam.asynchronous import async_engine  # an extra, so only when wanted

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
        self._asking = 0
        self._is_hosts = self.engine is database
        self._gate = self._new_gate()

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
        check_proving(hotel_id, commands)

        def seen(connection: Connection) -> Proofs:
            with snapshot(connection, self._names) as whole:
                return prove(whole, hotel_id, commands=commands)

        with translated(self._limits):
            async with self._connection(
                Deadline.start(self._clock, self._limits, hotel_id)
            ) as connection:
                return await greenlet_spawn(seen, connection)

    async def verify_audit(
        self, hotel_id: HotelId, *, since: AuditHead | None = None
    ) -> AuditReport:
        """Check that a hotel's audit log is whole; see `HotelCore.verify_audit`."""
        check_verifying(hotel_id, since)

        def seen(connection: Connection) -> AuditReport:
            with snapshot(connection, self._names) as whole:
                return verify(whole, hotel_id, self._keys, since=since)

        with translated(self._limits):
            async with self._connection(
                Deadline.start(self._clock, self._limits, hotel_id)
            ) as connection:
                return await greenlet_spawn(seen, connection)

    async def close(self) -> None:
        """Close the pooled connections."""
        await self.engine.dispose()
        # Like the pool it belongs to the event loop that it was first waited for in.
        self._gate = self._new_gate()

    def _waiting(self) -> int:
        return self._asking

    async def _tell(self, actor: Actor, written: Written) -> None:
        for event in written.events:
            await self.events.emit(event, hotel_id=actor.hotel_id)

    def _tell_now(self, actor: Actor, written: Written) -> None:
        # A commit of the host's on this engine runs where awaiting is possible.
        await_only(self._tell(actor, written))

    @asynccontextmanager
    async def _connection(self, deadline: Deadline) -> AsyncGenerator[Connection]:
        """Lend a connection to what is called by `greenlet_spawn`.

        That may close it itself, at its end: to do so here takes another greenlet.
        """
        gate = self._gate  # another one comes with `close`
        connection = await self._connected(deadline, gate)
        try:
            if self._unchecked:
                with translated(deadline.limits):
                    await greenlet_spawn(self._check, connection)
            yield connection
        finally:
            try:
                if not connection.closed:
                    await greenlet_spawn(connection.close)
            finally:
                if gate:
                    gate.release()

    async def _connected(self, deadline: Deadline, gate: asyncio.Semaphore | None) -> Connection:
        """Go through the gate and take a connection; whoever has it leaves the gate again."""
        wait = min(deadline.limits.wait_limit.total_seconds(), max(deadline.left, 0))
        self._asking += 1
        try:
            with translated(deadline.limits):
                async with asyncio.timeout(wait):
                    if gate:
                        await gate.acquire()
                    try:
                        return await greenlet_spawn(self._sync_engine.connect)
                    except BaseException:
                        if gate:
                            gate.release()
                        raise
        except TimeoutError:
            raise WaitTimeout(wait) from None
        finally:
            self._asking -= 1

    def _new_gate(self) -> asyncio.Semaphore | None:
        """Let units in in the order of asking, which a pool does not; a host's is the host's own.

        A pool lays a free connection down, and a task that goes from one unit straight to the next
        takes it again before a waiting one is told.
        """
        if self._is_hosts:
            return None
        return asyncio.Semaphore(places_for(self.engine.url))


@frozen
class AsyncDesk:
    """An actor at work in one hotel, for asyncio; see `Desk`."""

    _core: AsyncHotelCore
    _its: Terms

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
        unit = self._its.unit()

        def work(connection: Connection, written: Written) -> R:
            with connection, write(connection, unit, written) as uow:
                return perform(uow, self._its.once, operation, args, kwargs)

        with self._its.watched(operation) as watched:
            while True:
                written = Written()
                try:
                    async with self._core._connection(unit.deadline) as connection:
                        result = await greenlet_spawn(work, connection, written)
                except DatabaseBusy:
                    await asyncio.sleep(pause_before_next(watched.attempts, unit.deadline))
                    watched.attempts += 1
                    continue
                break
        await self._core._tell(self.actor, written)
        return result

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncUnit]:
        """Open a transaction for several steps; see `Desk.transaction`."""
        unit, written = self._its.longer_unit(), Written()
        with self._its.watched("transaction"):
            async with (
                self._core._connection(unit.deadline) as connection,
                _opened(connection, write(connection, unit, written)) as opened,
            ):
                yield opened
        await self._core._tell(self.actor, written)

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncUnit]:
        """Open a unit that only reads; see `Desk.reading`."""
        unit = self._its.longer_unit()
        with self._its.watched("reading", well=Ending.READ):
            async with (
                self._core._connection(unit.deadline) as connection,
                _opened(connection, read(connection, unit)) as opened,
            ):
                yield opened

    @contextmanager
    def joining(self, host: Connection | Session) -> Generator[UnitOfWork]:
        """Work inside the host's open transaction, from within its ``run_sync``.

        ``await session.run_sync(work)`` hands ``work`` the `Session` to give here; see
        `Desk.joining`.
        """
        with joining(self._core, self._its, host) as uow:
            yield uow


@frozen
class AsyncUnit:
    """An open unit of work, for asyncio: its repositories are reached through `run`."""

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
        return await greenlet_spawn(partial(work, self._uow, *args, **kwargs))


@asynccontextmanager
async def _opened(
    connection: Connection, unit: AbstractContextManager[UnitOfWork]
) -> AsyncGenerator[AsyncUnit]:
    """Enter and leave a synchronous unit where its statements may await."""

    def leave(*failure: Any) -> bool | None:  # what `__exit__` is given
        with connection:
            return unit.__exit__(*failure)

    uow = await greenlet_spawn(unit.__enter__)
    try:
        yield AsyncUnit(uow)
    except BaseException:
        if not await greenlet_spawn(leave, *sys.exc_info()):
            raise
    else:
        await greenlet_spawn(leave, None, None, None)
