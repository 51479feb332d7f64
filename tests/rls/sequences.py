"""Random sequences of units of several hotels over few connections, each looking for foreign rows.

A unit looks through its repositories, which everywhere show its own hotel alone, and where
PostgreSQL keeps hotels apart also by raw SQL without any condition, sent like its own. There the
unit also has to see its own rows: whoever named no hotel, or another, would see none of them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from random import Random
from threading import Lock
from typing import Any
from uuid import UUID

from attrs import define, field, frozen
from sqlalchemy import Connection, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.ext.asyncio import create_async_engine

from hotelcore import HotelCore, Permission
from hotelcore.core import AsyncHotelCore
from hotelcore.errors import DatabaseBusy, DatabaseFailure
from hotelcore.lists import GuestFilter
from hotelcore.operations import operation
from hotelcore.sql.seam.engine import READING
from hotelcore.unit_of_work import UnitOfWork
from tests.rls.land import asked, connection_of, run_of
from tests.small_hotel import SmallHotel, open_hotel

PLACES = 3
"""How many connections each engine has: as many as are ever in use at once, so all are reused."""


class Trouble(Exception):
    """What a unit is left with."""


# What becomes of a unit that is left, or whose connection was lost; all else fails the test.
EXPECTED = (Trouble, DatabaseFailure, DBAPIError, PendingRollbackError)


@operation(Permission.BOOKINGS_VIEW)
def touch(uow: UnitOfWork) -> None:
    """Write nothing but the audit entry of this command."""


@define
class Tally:
    """What all units of all sequences found."""

    found: Counter[str] = field(factory=Counter)
    _lock: Lock = field(factory=Lock)

    def note(self, **amounts: int) -> None:
        """Add what was found, from any thread."""
        with self._lock:
            self.found.update(amounts)


_OWNERS = "SELECT hotel_id FROM hc_guest"
_TOLD = text("SELECT coalesce(current_setting('hotelcore.hotel_id', true), '')")


@frozen
class World:
    """Three hotels over a sync and an asyncio engine with few connections each."""

    core: HotelCore
    asynchronous: AsyncHotelCore
    hotels: Sequence[SmallHotel]
    admin: Engine | None
    loop: asyncio.Runner
    threads: ThreadPoolExecutor
    tally: Tally = field(factory=Tally)

    @property
    def apart(self) -> bool:
        """Whether the database itself keeps the hotels apart."""
        return self.admin is not None

    # -- looking ------------------------------------------------------------------------------

    def look(self, uow: UnitOfWork, hotel: SmallHotel) -> None:
        """Count what this unit is shown of its own hotel and of others."""
        owners = [guest.hotel_id for guest in uow.guests.page(GuestFilter(), limit=10).items]
        self._note(owners, hotel)
        if self.apart:
            self._note(asked(run_of(uow), _OWNERS), hotel)

    def _note(self, owners: Sequence[UUID], hotel: SmallHotel) -> None:
        foreign = sum(owner != hotel.hotel_id for owner in owners)
        self.tally.note(looks=1, foreign=foreign, blind=foreign == len(owners))

    def look_without_a_unit(self, connection: Connection) -> None:
        """Count what somebody is shown who named no hotel."""
        if self.apart:
            shown = connection.scalars(text(_OWNERS)).all()
            told = connection.scalar(_TOLD)
            self.tally.note(looks=1, left=len(shown) + bool(told))

    # -- what goes on inside a unit -----------------------------------------------------------

    def inside(self, uow: UnitOfWork, hotel: SmallHotel, chance: Random, *, writing: bool) -> None:
        """Look, and look again after each thing that happens."""
        self.look(uow, hotel)
        for _ in range(chance.choice((0, 1, 1, 2))):
            what = chance.choices(
                ("savepoint", "write", "leave", "kill"), (5 * writing, 1 * writing, 1, 0.04)
            )[0]
            self.tally.note(**{what: 1})
            if what == "savepoint":
                with suppress(Trouble), uow.savepoint():
                    self.look(uow, hotel)
                    if chance.random() < 0.7:
                        raise Trouble
            elif what == "write":
                touch(uow)
            elif what == "leave":
                raise Trouble
            else:
                self.kill(connection_of(uow))
            self.look(uow, hotel)

    def kill(self, connection: Connection) -> None:
        """End the session of a connection on the server, or lose it where there is none."""
        if self.admin is None:
            connection.invalidate()
            return
        driver: Any = connection.connection.driver_connection  # psycopg's, sync or asyncio
        with self.admin.connect() as admin:
            end = text("SELECT pg_terminate_backend(:pid, 5000)")
            admin.execute(end, {"pid": driver.info.backend_pid})

    def join(
        self,
        desk_of: Callable[[SmallHotel], Any],  # of the sync or the asyncio core
        host: Connection,
        chance: Random,
        depth: int = 0,
    ) -> None:
        """Join the host's transaction, with others nested in it, and check what is restored."""
        hotel = chance.choice(self.hotels)
        before = host.scalar(_TOLD) if self.apart else None
        with suppress(Trouble), desk_of(hotel).joining(host) as uow:
            self.look(uow, hotel)
            if depth < 2 and chance.random() < 0.25:
                self.join(desk_of, host, chance, depth + 1)
                self.look(uow, hotel)
            if depth < 2 and chance.random() < 0.2:
                with host.begin_nested() as savepoint:
                    self.join(desk_of, host, chance, depth + 1)
                    self.look(uow, hotel)
                    if chance.random() < 0.5:
                        savepoint.rollback()
                self.look(uow, hotel)
            self.inside(uow, hotel, chance, writing=True)
        if self.apart:
            self.tally.note(left=host.scalar(_TOLD) != before)

    # -- the kinds of steps -------------------------------------------------------------------

    def step(self, chance: Random) -> None:
        """Open one unit of some hotel, in the way that chance has it."""
        hotel = chance.choice(self.hotels)
        kinds = (self.run, self.transaction, self.reading, self.joining, self.nobody)
        with suppress(*EXPECTED):
            chance.choice(kinds)(hotel, chance)

    def run(self, hotel: SmallHotel, chance: Random) -> None:
        """Run a function, now and then with a second attempt."""
        busy = [chance.random() < 0.1]

        def work(uow: UnitOfWork) -> None:
            self.inside(uow, hotel, chance, writing=True)
            if busy.pop():
                busy.append(False)
                self.tally.note(again=1)
                raise DatabaseBusy

        hotel.desk.run(work)

    def transaction(self, hotel: SmallHotel, chance: Random) -> None:
        """Open a transaction of several steps."""
        with hotel.desk.transaction() as uow:
            self.inside(uow, hotel, chance, writing=True)

    def reading(self, hotel: SmallHotel, chance: Random) -> None:
        """Open a unit that reads."""
        with hotel.desk.reading() as uow:
            self.inside(uow, hotel, chance, writing=False)

    def joining(self, hotel: SmallHotel, chance: Random) -> None:
        """Open a host's transaction, which may be rolled back, and join it."""
        with self.core.engine.connect() as host, host.begin() as transaction:
            self.join(lambda hotel: hotel.desk, host, chance)
            if chance.random() < 0.3:
                self.join(lambda hotel: hotel.desk, host, chance)
            self.look_without_a_unit(host)
            if chance.random() < 0.5:
                transaction.rollback()

    def nobody(self, hotel: SmallHotel, chance: Random) -> None:
        """Take a connection from the pool and look who was named on it."""
        del hotel, chance
        with self.core.engine.connect().execution_options(**{READING: True}) as connection:
            self.look_without_a_unit(connection)

    def abandon(self, chance: Random) -> AbstractContextManager[UnitOfWork] | None:
        """Enter a unit that nobody leaves; on SQLite one that reads, for others have to write."""
        hotel = chance.choice(self.hotels)
        unit = hotel.desk.transaction() if self.apart else hotel.desk.reading()
        with suppress(*EXPECTED):
            self.look(unit.__enter__(), hotel)
            self.tally.note(abandoned=1)
            return unit
        return None

    # -- asyncio ------------------------------------------------------------------------------

    async def task(self, chance: Random) -> None:
        """Do a step as a task, through the asyncio core."""
        hotel = chance.choice(self.hotels)
        desk = self.asynchronous.acting_as(hotel.desk.actor)
        kind = chance.choice(("run", "transaction", "reading", "joining"))
        self.tally.note(tasks=1)
        with suppress(*EXPECTED):
            if kind == "run":
                await desk.run(self.inside, hotel, chance, writing=True)
            elif kind == "joining":
                async with self.asynchronous.engine.begin() as host:
                    await host.run_sync(lambda sync: self.join(self._async_desk, sync, chance))
            else:
                writing = kind == "transaction"
                async with desk.transaction() if writing else desk.reading() as unit:
                    await unit.run(self.inside, hotel, chance, writing=writing)

    def _async_desk(self, hotel: SmallHotel) -> object:
        return self.asynchronous.acting_as(hotel.desk.actor)

    async def tasks(self, chances: Sequence[Random]) -> None:
        """Do steps as tasks at the same time."""
        await asyncio.gather(*map(self.task, chances))

    # -- a whole sequence ---------------------------------------------------------------------

    def sequence(self, number: int) -> None:
        """Do a few steps, alone, in threads, as tasks, or beside a unit that nobody leaves."""
        chance = Random(number)
        abandoned = None
        for _ in range(1 + chance.randrange(3)):
            how = chance.choices(("alone", "threads", "tasks", "abandon"), (6, 1, 1, 1))[0]
            chances = [Random(chance.random()) for _ in range(2)]
            if how == "threads":
                self.tally.note(threads=2)
                for done in [self.threads.submit(self.step, each) for each in chances]:
                    done.result()
            elif how == "tasks":
                self.loop.run(self.tasks(chances))
            elif how == "abandon":
                abandoned = None  # what was abandoned before is closed here, late
                abandoned = self.abandon(chance)
            else:
                self.step(chance)
        del abandoned


@contextmanager
def new_world(url: str, *, root: str | None = None) -> Generator[World]:
    """Open three hotels in a database with tables.

    With ``root``, the URL of a superuser, PostgreSQL keeps the hotels apart.
    """
    pool = {"pool_size": PLACES, "max_overflow": 0, "pool_timeout": 30}
    engine = create_engine(url, **pool)
    driver = {"sqlite": "sqlite+aiosqlite"}.get(engine.dialect.name, "postgresql+psycopg")
    async_engine = create_async_engine(make_url(url).set(drivername=driver), **pool)
    admin = root and create_engine(root, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    core = HotelCore(engine, row_security=bool(root))
    asynchronous = AsyncHotelCore(async_engine, row_security=bool(root))
    with asyncio.Runner() as loop, ThreadPoolExecutor(2) as threads:
        hotels = [open_hotel(core, rooms=2) for _ in range(3)]
        try:
            yield World(core, asynchronous, hotels, admin or None, loop, threads)
        finally:
            loop.run(asynchronous.close())
            core.close()
