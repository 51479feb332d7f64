"""However many transactions fail, and however they do: nothing stays open, nothing is kept.

`HOTELCORE_FAILURES` says how many fail for each core on each database: 60 unless told.
"""

from __future__ import annotations

import gc
import os
import random
import socket
from asyncio import run
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, Protocol

import pytest
from attrs import define, field, frozen
from sqlalchemy import Connection, Engine, QueuePool, StaticPool, create_engine, event, text

from hotelcore import Actor, AsyncHotelCore, HotelCore, Role
from hotelcore.errors import DatabaseFailure, LimitExceeded, NotFound
from hotelcore.ids import GuestId, HotelId, new_id
from hotelcore.operations import amend_guest, register_guest
from hotelcore.testing.faults import Fault, Faults
from hotelcore.unit_of_work import UnitOfWork
from tests.hindrances import linger
from tests.injection.states import state_of, transactions_left_open
from tests.records import RECORD
from tests.small_hotel import open_hotel

pytestmark = pytest.mark.long

FAILURES = int(os.environ.get("HOTELCORE_FAILURES", "60"))

Tell = Callable[[str, object], None]

_BRIEF = timedelta(milliseconds=20)


class OurOwnError(Exception):
    """What a host raises on its own account."""


# -- what is run in a unit, and does not succeed ------------------------------------------------


def be_refused(uow: UnitOfWork) -> None:
    """Write, and then be refused."""
    register_guest(uow, last_name="Nobody")
    amend_guest(uow, guest_id=GuestId(new_id()), last_name="Nobody")


def raise_our_own(uow: UnitOfWork) -> None:
    """Write, and then let the host's own error end it."""
    register_guest(uow, last_name="Nobody")
    raise OurOwnError


def only_write(uow: UnitOfWork) -> None:
    """Write, and leave it to the driver to fail."""
    register_guest(uow, last_name="Nobody")


def take_too_long(uow: UnitOfWork) -> None:
    """Write, and come to the end after the time limit."""
    register_guest(uow, last_name="Nobody")
    linger(_BRIEF.total_seconds())


@frozen
class Failure:
    """A way to fail: what is run and what it raises, and what the driver does to that end."""

    work: Callable[[UnitOfWork], None]
    error: type[Exception]
    breaks: Mapping[str, bool] | None = None


WAYS: Mapping[str, Failure] = {
    "refusal": Failure(be_refused, NotFound),
    "error of the host": Failure(raise_our_own, OurOwnError),
    "error of the driver": Failure(only_write, DatabaseFailure, {}),
    "disconnect": Failure(only_write, DatabaseFailure, {"disconnect": True}),
    "timeout": Failure(take_too_long, LimitExceeded),
}


# -- what makes a driver fail -------------------------------------------------------------------


class Breaking(Protocol):
    """What `Faults` offers."""

    def counting(self) -> AbstractContextManager[Sequence[str]]:
        """Collect the names of the calls."""
        ...

    def failing(self, fault: Fault) -> AbstractContextManager[Sequence[str]]:
        """Let a call fail."""
        ...


@define
class BreakingHook:
    """Breaks statements of psycopg under asyncio, whose driver's calls nobody counts."""

    _engine: Engine
    _calls: list[str] = field(factory=list)
    _fault: Fault | None = None

    def __attrs_post_init__(self) -> None:
        event.listen(self._engine, "before_cursor_execute", self._look, retval=True)

    @contextmanager
    def counting(self) -> Generator[Sequence[str]]:
        """Collect the statements of the body."""
        self._calls = []
        yield self._calls
        self._calls = []

    @contextmanager
    def failing(self, fault: Fault) -> Generator[Sequence[str]]:
        """Let a statement of the body fail."""
        self._calls, self._fault = [], fault
        yield self._calls
        self._fault = None

    def _look(
        self, on: Connection, cursor: object, statement: str, parameters: Any, *rest: object
    ) -> tuple[str, Any]:  # Any: SQLAlchemy's own signature
        self._calls.append("execute")
        fault = self._fault
        if fault is None or len(self._calls) != fault.call:
            return statement, parameters
        if not fault.disconnect:
            return "SELECT 1/0", [()] if isinstance(parameters, list) else ()
        driver: Any = on.connection.driver_connection
        wire = socket.socket(fileno=driver.pgconn.socket)
        wire.shutdown(socket.SHUT_RDWR)
        wire.detach()
        return statement, parameters


def breaking(engine: Engine) -> Breaking:
    """Return what makes the calls to an engine's driver fail."""
    hooked = engine.dialect.is_async and engine.dialect.name == "postgresql"
    return BreakingHook(engine) if hooked else Faults.on(engine)


# -- the tests ----------------------------------------------------------------------------------


@define
class Watch:
    """Looks at a hotel from outside while its transactions fail."""

    onlooker: Engine
    engine: Engine
    hotel_id: HotelId
    seen: Counter[str] = field(factory=Counter, init=False)
    before: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.before = state_of(self.onlooker, [self.hotel_id])

    def draw(self) -> Failure:
        """Draw a way to fail."""
        name = random.choice(list(WAYS))
        self.seen[name] += 1
        return WAYS[name]

    def look(self) -> None:
        """Assert that every connection is back in the pool."""
        pool = self.engine.pool
        assert isinstance(pool, QueuePool)
        assert pool.checkedout() == 0

    def finish(self, tell: Tell) -> None:
        """Assert that nothing is open and nothing was kept."""
        assert transactions_left_open(self.onlooker) == 0
        # One after the other has failed, so one connection was enough at any time.
        assert self._sessions() <= 1
        assert state_of(self.onlooker, [self.hotel_id]) == self.before
        tell(RECORD, ", ".join(f"{n:,} {name}" for name, n in sorted(self.seen.items())))

    def _sessions(self) -> int:
        if self.onlooker.dialect.name == "sqlite":
            return 0
        sessions = text(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        # psycopg closes a connection that a time limit kept it from making when Python collects it.
        gc.collect()
        count = 0
        with self.onlooker.connect() as connection:
            for _ in range(1_000):  # the server takes a moment to notice who is gone
                count = int(connection.execute(sessions).scalar_one())
                if count <= 1:
                    break
                linger(0.01)
        return count


@contextmanager
def watched(url: str, engine: Engine) -> Generator[tuple[Watch, Actor]]:
    """Open a hotel in an empty database whose transactions are to fail."""
    onlooker = create_engine(url, poolclass=StaticPool, isolation_level="AUTOCOMMIT")
    with closing(HotelCore(url)) as core:
        core.create_schema()
        hotel_id = open_hotel(core).hotel_id
    try:
        actor = Actor(hotel_id=hotel_id, subject="root", role=Role.ADMIN)
        yield Watch(onlooker, engine, hotel_id), actor
    finally:
        onlooker.dispose()


def fault_of(failure: Failure, calls: Sequence[str]) -> Fault | None:
    """Choose the statement at which the driver fails, if it does."""
    if failure.breaks is None:
        return None
    end = calls.index("rollback") if "rollback" in calls else len(calls)
    sending = ("execute", "executemany", "exchange")
    statements = [n for n, name in enumerate(calls[:end], 1) if name in sending]
    return Fault(call=random.choice(statements), **failure.breaks)


def broken(breaks: Breaking, fault: Fault | None) -> AbstractContextManager[object]:
    """Let a fault happen in the body, if there is one."""
    return breaks.failing(fault) if fault else nullcontext()


def test_failing_transactions_leave_nothing(database_url: str, record_property: Tell) -> None:
    """Refusals, errors of the host and the driver, disconnects, timeouts: all is given back."""
    with closing(HotelCore(database_url)) as core:
        breaks = breaking(core.engine)
        with watched(database_url, core.engine) as (watch, actor):
            desk = core.acting_as(actor)
            brief = desk.within(time_limit=_BRIEF)
            with pytest.raises(OurOwnError):  # what is asked of a server at first is not counted
                desk.run(raise_our_own)
            core.engine.dispose()
            with breaks.counting() as calls, pytest.raises(OurOwnError):
                desk.run(raise_our_own)
            for _ in range(FAILURES):
                failure = watch.draw()
                if fault := fault_of(failure, calls):
                    core.engine.dispose()
                with broken(breaks, fault), pytest.raises(failure.error):
                    (brief if failure is WAYS["timeout"] else desk).run(failure.work)
                watch.look()
            watch.finish(record_property)


def test_failing_transactions_leave_nothing_under_asyncio(
    database_url: str, record_property: Tell
) -> None:
    """The same holds for the core of asyncio."""

    async def fail(core: AsyncHotelCore, breaks: Breaking, watch: Watch, actor: Actor) -> None:
        desk = core.acting_as(actor)
        brief = desk.within(time_limit=_BRIEF)
        with pytest.raises(OurOwnError):
            await desk.run(raise_our_own)
        await core.engine.dispose()
        with breaks.counting() as calls, pytest.raises(OurOwnError):
            await desk.run(raise_our_own)
        for _ in range(FAILURES):
            failure = watch.draw()
            if fault := fault_of(failure, calls):
                await core.engine.dispose()
            with broken(breaks, fault), pytest.raises(failure.error):
                await (brief if failure is WAYS["timeout"] else desk).run(failure.work)
            watch.look()
        watch.finish(record_property)
        await core.close()

    core = AsyncHotelCore(database_url)
    breaks = breaking(core.engine.sync_engine)
    with watched(database_url, core.engine.sync_engine) as (watch, actor):
        run(fail(core, breaks, watch, actor))
