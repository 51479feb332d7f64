"""What both cores have in common: what a handle was asked for, and how a host is joined."""

from __future__ import annotations

import random
from collections.abc import Generator
from contextlib import (
    ExitStack,
    contextmanager,
)
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import attrs
from attrs import frozen
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import UnboundExecutionError

from hotelcore.access import POLICY, Policy
from hotelcore.backoff import Backoff
from hotelcore.clock import Clock, SystemClock
from hotelcore.errors import InvalidInput, TransactionTimeout
from hotelcore.events.trace import Trace
from hotelcore.ids import IdSource
from hotelcore.sql.schema import TableNames
from hotelcore.sql.seam.engine import place_of, pool_use, prepare
from hotelcore.sql.seam.joining import after_commit
from hotelcore.sql.seam.limits import Deadline, Limits
from hotelcore.sql.seam.translation import translated
from hotelcore.sql.transactions import (
    Once,
    Receipt,
    Unit,
    Written,
    joined,
)
from hotelcore.sql.unit_of_work import Commission
from hotelcore.sql.upkeep.role_check import check_row_security
from hotelcore.subscriptions import Subscriptions
from hotelcore.tenancy import Actor
from hotelcore.text import clean_text
from hotelcore.unit_of_work import UnitOfWork
from hotelcore.vault import KeyProvider
from hotelcore.watching import Ending, PoolUse, Watch, WatchedUnit, Work

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["Core", "Terms", "joining", "pause_before_next"]

R = TypeVar("R")

_BACKOFF = Backoff(first=0.01, cap=0.5, chance=random.random)


@frozen(kw_only=True)
class Terms:
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

    def watched(self, work: Work, *, well: Ending = Ending.COMMITTED) -> WatchedUnit:
        """Measure a unit of work around the body, for whoever watches; see `Watch.unit`."""
        return self.commission.watch.unit(work, self.commission.actor.hotel_id, well=well)

    def under_key(self, key: str) -> Terms:
        """Give the same terms under an idempotency key."""
        return attrs.evolve(self, once=Once(clean_text("idempotency_key", key, most=200)))

    def limited(
        self, wait_limit: timedelta | None, time_limit: timedelta | None, isolation: str | None
    ) -> Terms:
        """Give the same terms with other limits; None leaves one as it is."""
        known = self.limits
        limits = Limits(
            wait_limit=known.wait_limit if wait_limit is None else wait_limit,
            time_limit=known.time_limit if time_limit is None else time_limit,
            isolation=known.isolation if isolation is None else isolation,
        )
        return attrs.evolve(self, limits=limits)


def pause_before_next(attempt: int, deadline: Deadline) -> float:
    """Return the seconds until the next attempt; `TransactionTimeout` when there is no time."""
    pause = _BACKOFF.pause(attempt, deadline.left)
    if pause is None:
        raise TransactionTimeout(deadline.limits.time_limit.total_seconds()) from None
    return pause


class Core:
    """What both cores hold, and the connections and transactions of neither.

    ``watch`` tells of statements, units of work and the pool; see `hotelcore.watching`.
    """

    def _waiting(self) -> int | None:
        """Count the units that wait for a connection; None where nobody can tell."""
        raise NotImplementedError

    def _tell_now(self, actor: Actor, written: Written) -> None:
        """Tell this process's listeners what the host has committed."""
        raise NotImplementedError

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
        self._names = _instance("names", TableNames() if names is None else names, TableNames)
        self._limits = _instance("limits", Limits() if limits is None else limits, Limits)
        self._clock = SystemClock() if clock is None else clock
        if not (hasattr(self._clock, "now") and hasattr(self._clock, "monotonic")):
            raise InvalidInput("clock", "must have now() and monotonic()")
        if keys is not None and not (hasattr(keys, "current") and hasattr(keys, "numbered")):
            raise InvalidInput("keys", "must have current() and numbered(): give a KeyRing")
        self._keys = keys
        self._names.must_suit(engine.dialect.name)
        _instance("row_security", row_security, bool)
        if row_security and engine.dialect.name != "postgresql":
            raise InvalidInput("row_security", "is for PostgreSQL alone: leave it out")
        # Whether the first connection has still to show that PostgreSQL keeps hotels apart.
        self._unchecked = row_security
        prepare(engine)
        self._sync_engine = engine
        self.watch = Watch(self._clock, place_of(engine), self._pool_use)
        self._ids = IdSource(self._clock)
        self._policy = _instance("policy", POLICY if policy is None else policy, Policy)
        given = Subscriptions(policy=self._policy) if subscriptions is None else subscriptions
        self.subscriptions = _instance("subscriptions", given, Subscriptions)
        if self.subscriptions.policy != self._policy:
            raise InvalidInput("policy", "must be the one that the subscriptions were made with")

    @property
    def policy(self) -> Policy:
        """What each role may do in the units of work of this core."""
        return self._policy

    def _pool_use(self) -> PoolUse | None:
        return pool_use(self._sync_engine, self._waiting())

    def _terms(self, actor: Actor, trace: Trace) -> Terms:
        _instance("actor", actor, Actor)
        commission = Commission(
            actor=actor,
            policy=self._policy,
            clock=self._clock,
            new_id=self._ids.next_id,
            subscriptions=self.subscriptions,
            watch=self.watch,
            trace=trace,
            keys=self._keys,
        )
        return Terms(commission=commission, names=self._names, limits=self._limits)

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


def _connection_of(host: object) -> Connection:
    if isinstance(host, Connection):
        return host
    if hasattr(host, "run_sync"):
        reason = "is for asyncio: await its run_sync(work), which hands work what is to be given"
        raise InvalidInput("host", reason)
    try:
        connection = host.connection()  # type: ignore[attr-defined]  # anything may be given
    except (AttributeError, TypeError):
        raise InvalidInput("host", "must be a Connection or a Session of SQLAlchemy") from None
    except UnboundExecutionError:
        reason = "is a Session without an engine: make it with Session(core.engine)"
        raise InvalidInput("host", reason) from None
    if not isinstance(connection, Connection):
        raise InvalidInput("host", "must be a Connection or a Session of SQLAlchemy")
    return connection


def _commits_each(connection: Connection) -> bool:
    """Tell it without asking the server, which would take a round trip."""
    of_engine = getattr(connection.dialect, "_on_connect_isolation_level", None)
    level = connection.get_execution_options().get("isolation_level", of_engine)
    return level == "AUTOCOMMIT"


@contextmanager
def joining(core: Core, terms: Terms, host: Connection | Session) -> Generator[UnitOfWork]:
    """Work inside the transaction that the host has open on the core's engine."""
    connection = _connection_of(host)
    if connection.engine.pool is not core._sync_engine.pool:
        raise InvalidInput("host", "must be a connection or session of this core's engine")
    if not connection.in_transaction():
        raise InvalidInput("host", "must have a transaction open")
    if _commits_each(connection):
        raise InvalidInput(
            "host",
            "is in AUTOCOMMIT, where each statement is committed by itself: join a connection with "
            "a transaction, from an engine without that isolation level",
        )
    if core._unchecked:
        with translated(terms.limits):
            core._check(connection)
    written, actor = Written(), terms.commission.actor
    unit = terms.longer_unit()
    with terms.watched("joining", well=Ending.JOINED), joined(connection, unit, written) as uow:
        yield uow
    after_commit(connection, partial(core._tell_now, actor, written))
