"""The library for synchronous hosts: `HotelCore` and its handle."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import attrs
from attrs import frozen
from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL

from hotelcore.access import Policy
from hotelcore.clock import Clock
from hotelcore.core._terms import Core, Terms, joining, pause_before_next
from hotelcore.domain.audit import AuditHead, AuditReport
from hotelcore.errors import DatabaseBusy, InvalidInput
from hotelcore.events.bus import EventBus
from hotelcore.events.trace import Trace
from hotelcore.ids import HotelId
from hotelcore.sql.schema import TableNames
from hotelcore.sql.seam.engine import Gate, new_engine
from hotelcore.sql.seam.limits import EVERY_HOTEL, Deadline, Limits
from hotelcore.sql.seam.statements import Statements
from hotelcore.sql.seam.translation import translated
from hotelcore.sql.transactions import (
    Receipt,
    Written,
    perform,
    read,
    serve,
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
    from sqlalchemy.orm import Session

__all__ = ["Desk", "HotelCore"]

P = ParamSpec("P")
R = TypeVar("R")


class HotelCore(Core):
    """The library over one database, for synchronous hosts. Make one a process and share it.

    ``database`` is a URL (``sqlite:///hotel.db``, ``postgresql://…``) or an `Engine` of the
    host's, which is prepared with event hooks (`hotelcore.sql.seam.engine`) and stays the host's.
    ``names`` puts the tables under another prefix or schema, ``limits`` are the defaults of every
    unit of work, ``clock`` tells the time. Raises `InvalidInput` for anything else. A connection
    of a host's engine is waited for as long as the host's pool says (``pool_timeout``).

    With ``row_security`` no unit begins before PostgreSQL was seen to keep this role to the rows of
    the acting hotel; `RowSecurityMissing` says what is in the way.

    ``events`` is the bus on which listeners in this process subscribe; ``subscriptions`` are the
    inline and durable ones, which a host may make beforehand and hand in. ``watch`` tells of each
    statement, each unit of work and the pool (`hotelcore.watching`). ``policy`` says what each
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
        up to this one (`hotelcore.sql.upkeep.upgrading`). Raises `InvalidInput` for a database that
        is not in UTF-8.
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
        check_proving(hotel_id, commands)
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
        check_verifying(hotel_id, since)
        with (
            translated(self._limits),
            self._connection(Deadline.start(self._clock, self._limits, hotel_id)) as connection,
            snapshot(connection, self._names) as seen,
        ):
            return verify(seen, hotel_id, self._keys, since=since)

    def close(self) -> None:
        """Close the pooled connections; the core may be used again."""
        self.engine.dispose()

    def _waiting(self) -> int | None:
        return self._gate.waiting if self._gate else None

    def _tell(self, actor: Actor, written: Written) -> None:
        for event in written.events:
            self.events.emit(event, hotel_id=actor.hotel_id)

    _tell_now = _tell

    @contextmanager
    def _serving(self, hotel_id: HotelId | None = None) -> Generator[Statements]:
        """Open a transaction for the relay's own rows: those of one hotel, or of all."""
        deadline = Deadline.start(self._clock, self._limits, hotel_id or EVERY_HOTEL)
        with (
            self.watch.unit("relay", hotel_id),
            self._connection(deadline) as connection,
            serve(self.watch, connection, self._names, deadline, hotel_id) as run,
        ):
            yield run

    @contextmanager
    def _connection(self, deadline: Deadline) -> Generator[Connection]:
        if self._gate:
            self._gate.enter(deadline)
        try:
            with translated(deadline.limits):
                connection = self.engine.connect()
            with connection:
                if self._unchecked:
                    with translated(deadline.limits):
                        self._check(connection)
                yield connection
        finally:
            if self._gate:
                self._gate.leave()


@frozen
class Desk:
    """An actor at work in one hotel. Cheap to make, safe to share between threads."""

    _core: HotelCore
    _its: Terms

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
        unit = self._its.unit()
        with self._its.watched(operation) as watched:
            while True:
                written = Written()
                try:
                    with (
                        self._core._connection(unit.deadline) as connection,
                        write(connection, unit, written) as uow,
                    ):
                        result = perform(uow, self._its.once, operation, args, kwargs)
                except DatabaseBusy:
                    pause = pause_before_next(watched.attempts, unit.deadline)
                    time.sleep(pause)  # noqa: TID251  # nothing is held between two attempts
                    watched.attempts += 1
                    continue
                break
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
            self._its.watched("transaction"),
            self._core._connection(unit.deadline) as connection,
            write(connection, unit, written) as uow,
        ):
            yield uow
        self._core._tell(self.actor, written)

    @contextmanager
    def reading(self) -> Generator[UnitOfWork]:
        """Open a unit that only reads, each statement for itself; writing raises `ReadOnly`."""
        unit = self._its.longer_unit()
        with (
            self._its.watched("reading", well=Ending.READ),
            self._core._connection(unit.deadline) as connection,
            read(connection, unit) as uow,
        ):
            yield uow

    @contextmanager
    def joining(self, host: Connection | Session) -> Generator[UnitOfWork]:
        """Work inside a transaction that the host has open on this core's engine.

        A failure undoes the block's part alone. The commit stays the host's: until then nothing
        is visible, and right after it the listeners in this process are told.
        """
        with joining(self._core, self._its, host) as uow:
            yield uow
