"""A core with its database, as the machine reaches it: directly, or through asyncio.

The operations are the same functions on both sides. What differs is how a unit of work is opened,
and so that is all that a place has to say. Its rows are read on the driver's own connection.
"""

from __future__ import annotations

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from inspect import isawaitable
from typing import Any, TypeAlias

from sqlalchemy import Engine, PoolProxiedConnection, create_engine

from hotelcore.access import Role
from hotelcore.clock import Clock
from hotelcore.core import AsyncDesk, AsyncHotelCore, AsyncUnit, Desk, HotelCore
from hotelcore.errors import InvalidInput
from hotelcore.events.catalogue import CATALOGUE, Event
from hotelcore.ids import HotelId
from hotelcore.sql.schema import METADATA, TableNames
from hotelcore.sql.upkeep.proofs import Proofs
from hotelcore.tenancy import Actor

__all__ = ["AwaitedPlace", "DirectPlace", "MakeCore", "Place", "Within", "places_made"]

# What a driver gives for a row is known to the reader of the statement, and what an operation takes
# and returns to who runs it.

MakeCore: TypeAlias = Callable[[Clock], HotelCore | Awaitable[AsyncHotelCore]]
"""Makes a core over a database of its own that has the tables and no hotel, told by this clock."""

Within: TypeAlias = Callable[..., Any]
"""Runs a function of the unit of work in the unit that is open: ``do(work, *args, **kwargs)``."""


class Place(ABC):
    """One core and its database, with a connection of the machine's own beside the core's."""

    def __init__(self, engine: Engine, names: TableNames) -> None:
        fairy = engine.raw_connection()
        driver: Any = fairy.driver_connection
        self._driver, self._names = driver, names
        self._sqlite = isinstance(self._driver, sqlite3.Connection)
        self._kept: PoolProxiedConnection | None = fairy
        if self._sqlite:
            self._empty = sqlite3.connect(":memory:")
            self._driver.backup(self._empty)
            # Nothing here outlives the process, so no disk is waited for.
            self._driver.execute("PRAGMA synchronous = OFF")
        else:
            self._driver.autocommit = True
        if self._sqlite and engine.url.database in (None, "", ":memory:"):
            fairy.close()  # the one connection there is, shared with the core, unit after unit
            self._kept = None

    # -- the rows -----------------------------------------------------------------------------

    def rows(self, statement: str, hotel_id: HotelId) -> Sequence[Sequence[Any]]:
        """Run a SELECT with the one parameter ``:hotel``."""
        named = self._names.in_statement(statement)
        if self._sqlite:
            found: list[Any] = self._driver.execute(named, {"hotel": hotel_id.hex}).fetchall()
        else:
            named = named.replace(":hotel", "%(hotel)s")
            found = self._driver.execute(named, {"hotel": hotel_id}).fetchall()
        return found

    @property
    def is_undecided(self) -> bool:
        """Whether what is read here may still be rolled back: never where others commit it."""
        return self._sqlite and bool(self._driver.in_transaction)

    def clear(self) -> None:
        """Delete every row."""
        if self._sqlite:
            self._empty.backup(self._driver)
        else:
            tables = ", ".join(table.name for table in METADATA.sorted_tables)
            self._driver.execute(self._names.in_statement(f"TRUNCATE {tables}"))

    def close(self) -> None:
        """Close the core and the machine's own connection."""
        if self._sqlite:
            self._empty.close()
        if self._kept is not None:
            self._kept.invalidate()
            self._kept.close()

    # -- the core -----------------------------------------------------------------------------

    @abstractmethod
    def run(
        self, hotel_id: HotelId, role: Role, operation: Within, said: Mapping[str, Any],
        key: str | None,
    ) -> Any:  # fmt: skip
        """Run one operation as somebody of ``role``, under the idempotency key if there is one."""

    @abstractmethod
    def transaction(self, hotel_id: HotelId, role: Role) -> AbstractContextManager[Within]:
        """Open a transaction for several steps."""

    @abstractmethod
    def reading(self, hotel_id: HotelId, role: Role) -> AbstractContextManager[Within]:
        """Open a unit that only reads."""

    @abstractmethod
    def prove(self, hotel_id: HotelId, commands: int) -> Proofs:
        """Check that the hotel's records agree with each other."""

    @abstractmethod
    def hear(self, listener: Callable[[Event], None]) -> None:
        """Have every event told to ``listener``."""


def _actor(hotel_id: HotelId, role: Role) -> Actor:
    return Actor(hotel_id=hotel_id, subject=f"{role} of the machine", role=role)


class DirectPlace(Place):
    """A `HotelCore`, whose units run in this thread."""

    def __init__(self, core: HotelCore) -> None:
        super().__init__(core.engine, core._names)
        self.core = core
        self._desks: dict[tuple[HotelId, Role], Desk] = {}

    def desk(self, hotel_id: HotelId, role: Role) -> Desk:
        """Give the desk of somebody in a hotel."""
        known = self._desks.get((hotel_id, role))
        if known is None:
            known = self._desks[hotel_id, role] = self.core.acting_as(_actor(hotel_id, role))
        return known

    def run(
        self, hotel_id: HotelId, role: Role, operation: Within, said: Mapping[str, Any],
        key: str | None,
    ) -> Any:  # fmt: skip
        """Run one operation; see `Desk.run`."""
        desk = self.desk(hotel_id, role)
        return (desk if key is None else desk.once(key)).run(operation, **said)

    @contextmanager
    def transaction(self, hotel_id: HotelId, role: Role) -> Generator[Within]:
        """Open a transaction; see `Desk.transaction`."""
        with self.desk(hotel_id, role).transaction() as unit:
            yield lambda work, *args, **said: work(unit, *args, **said)

    @contextmanager
    def reading(self, hotel_id: HotelId, role: Role) -> Generator[Within]:
        """Open a unit that only reads; see `Desk.reading`."""
        with self.desk(hotel_id, role).reading() as unit:
            yield lambda work, *args, **said: work(unit, *args, **said)

    def prove(self, hotel_id: HotelId, commands: int) -> Proofs:
        """Check the records; see `HotelCore.prove`."""
        return self.core.prove(hotel_id, commands=commands)

    def hear(self, listener: Callable[[Event], None]) -> None:
        """Subscribe to every event."""
        for kind in CATALOGUE.values():
            self.core.events.subscribe(kind, listener)

    def clear(self) -> None:
        """Delete every row."""
        self._desks.clear()
        super().clear()

    def close(self) -> None:
        """Close the core and the machine's own connection."""
        super().close()
        self.core.close()


class AwaitedPlace(Place):
    """An `AsyncHotelCore`, whose every unit runs in one event loop.

    Its rows are read through an engine without asyncio, so on SQLite it has to be in a file.
    """

    def __init__(self, core: AsyncHotelCore, loop: asyncio.Runner) -> None:
        url = core.engine.url
        if url.get_backend_name() == "sqlite":
            if url.database in (None, "", ":memory:"):
                raise InvalidInput("database", "must be a file for the machine over asyncio")
            url = url.set(drivername="sqlite")
        self._reader = create_engine(url, hide_parameters=True)
        super().__init__(self._reader, core._names)
        self.core, self._loop = core, loop

    def desk(self, hotel_id: HotelId, role: Role) -> AsyncDesk:
        """Give the desk of somebody in a hotel."""
        return self.core.acting_as(_actor(hotel_id, role))

    def run(
        self, hotel_id: HotelId, role: Role, operation: Within, said: Mapping[str, Any],
        key: str | None,
    ) -> Any:  # fmt: skip
        """Run one operation; see `AsyncDesk.run`."""
        desk = self.desk(hotel_id, role)
        return self._loop.run((desk if key is None else desk.once(key)).run(operation, **said))

    @contextmanager
    def transaction(self, hotel_id: HotelId, role: Role) -> Generator[Within]:
        """Open a transaction; see `AsyncDesk.transaction`."""
        with self._within(self.desk(hotel_id, role).transaction()) as do:
            yield do

    @contextmanager
    def reading(self, hotel_id: HotelId, role: Role) -> Generator[Within]:
        """Open a unit that only reads; see `AsyncDesk.reading`."""
        with self._within(self.desk(hotel_id, role).reading()) as do:
            yield do

    @contextmanager
    def _within(self, opening: AbstractAsyncContextManager[AsyncUnit]) -> Generator[Within]:
        """Enter and leave from outside the loop; each step of the body runs in it."""
        unit = self._loop.run(_entered(opening))
        try:
            yield lambda work, *args, **said: self._loop.run(unit.run(work, *args, **said))
        except BaseException as error:
            if not self._loop.run(_left(opening, error)):
                raise
        else:
            self._loop.run(_left(opening, None))

    def prove(self, hotel_id: HotelId, commands: int) -> Proofs:
        """Check the records; see `AsyncHotelCore.prove`."""
        return self._loop.run(self.core.prove(hotel_id, commands=commands))

    def hear(self, listener: Callable[[Event], None]) -> None:
        """Subscribe to every event."""
        for kind in CATALOGUE.values():
            self.core.events.subscribe(kind, listener)

    def close(self) -> None:
        """Close the core and the machine's own connection."""
        super().close()
        self._reader.dispose()
        self._loop.run(self.core.close())


async def _entered(opening: AbstractAsyncContextManager[AsyncUnit]) -> AsyncUnit:
    return await opening.__aenter__()


async def _left(
    opening: AbstractAsyncContextManager[AsyncUnit], error: BaseException | None
) -> bool | None:
    if error is None:
        return await opening.__aexit__(None, None, None)
    return await opening.__aexit__(type(error), error, error.__traceback__)


def places_made(
    cores: Iterable[HotelCore | Awaitable[AsyncHotelCore]], loop: asyncio.Runner
) -> list[Place]:
    """Make a place of each core; those that have to be awaited live in ``loop``."""
    return [
        AwaitedPlace(loop.run(_awaited(core)), loop) if isawaitable(core) else DirectPlace(core)
        for core in cores
    ]


async def _awaited(core: Awaitable[AsyncHotelCore]) -> AsyncHotelCore:
    return await core
