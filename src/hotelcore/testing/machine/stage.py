"""Where the machine plays: one database that all hotels share, and a twin for each of them alone.

They last as long as the process, because making one takes longer than a whole example; each
example begins with all of them empty.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import PoolProxiedConnection

from hotelcore.access import Role
from hotelcore.clock import Clock, FixedClock
from hotelcore.core import Desk, HotelCore
from hotelcore.events.catalogue import CATALOGUE, Event
from hotelcore.ids import HotelId
from hotelcore.sql.schema import METADATA
from hotelcore.tenancy import Actor

__all__ = ["MakeCore", "Place", "Stage"]

# What a driver gives for a row is known to the reader of the statement.

MakeCore: TypeAlias = Callable[[Clock], HotelCore]
"""Makes a core over a database of its own that has the tables and no hotel, told by this clock."""

_HOTELS = 3
_SOME_DAY = datetime(2026, 6, 15, 12, tzinfo=UTC)


class Place:
    """One core and its database, with a connection of the machine's own beside the core's."""

    def __init__(self, core: HotelCore) -> None:
        self.core = core
        self.desks: dict[tuple[HotelId, Role], Desk] = {}
        fairy = core.engine.raw_connection()
        driver: Any = fairy.driver_connection
        self._driver = driver
        self._sqlite = isinstance(self._driver, sqlite3.Connection)
        self._kept: PoolProxiedConnection | None = fairy
        if self._sqlite:
            self._empty = sqlite3.connect(":memory:")
            self._driver.backup(self._empty)
            # Nothing here outlives the process, so no disk is waited for.
            self._driver.execute("PRAGMA synchronous = OFF")
        else:
            self._driver.autocommit = True
        if self._sqlite and core.engine.url.database in (None, "", ":memory:"):
            fairy.close()  # the one connection there is, shared with the core, unit after unit
            self._kept = None

    def desk(self, hotel_id: HotelId, role: Role) -> Desk:
        """Give the desk of somebody in a hotel."""
        known = self.desks.get((hotel_id, role))
        if known is None:
            actor = Actor(hotel_id=hotel_id, subject=f"{role} of the machine", role=role)
            known = self.desks[hotel_id, role] = self.core.acting_as(actor)
        return known

    def rows(self, statement: str, hotel_id: HotelId) -> Sequence[Sequence[Any]]:
        """Run a SELECT with the one parameter ``:hotel``."""
        named = self.core._names.in_statement(statement)
        if self._sqlite:
            found: list[Any] = self._driver.execute(named, {"hotel": hotel_id.hex}).fetchall()
        else:
            named = named.replace(":hotel", "%(hotel)s")
            found = self._driver.execute(named, {"hotel": hotel_id}).fetchall()
        return found

    def close(self) -> None:
        """Close the core and the machine's own connection."""
        if self._sqlite:
            self._empty.close()
        if self._kept is not None:
            self._kept.invalidate()
            self._kept.close()
        self.core.close()

    def clear(self) -> None:
        """Delete every row."""
        self.desks.clear()
        if self._sqlite:
            self._empty.backup(self._driver)
        else:
            tables = ", ".join(table.name for table in METADATA.sorted_tables)
            self._driver.execute(self.core._names.in_statement(f"TRUNCATE {tables}"))


class Stage:
    """The shared place, the twins, their common clock, and what the listeners heard."""

    def __init__(self, make_core: MakeCore) -> None:
        self.clock = FixedClock(_SOME_DAY)
        self.shared = Place(make_core(self.clock))
        self.twins = [Place(make_core(self.clock)) for _ in range(_HOTELS)]
        self.heard: Counter[UUID] = Counter()
        self.last: list[str] = []
        self.attempts: Counter[str] = Counter()
        self.successes: Counter[str] = Counter()
        for kind in CATALOGUE.values():
            self.shared.core.events.subscribe(kind, self._hear)

    def clear(self) -> None:
        """Begin anew with empty databases."""
        self.heard.clear()
        self.last.clear()
        for place in (self.shared, *self.twins):
            place.clear()

    def close(self) -> None:
        """Close every core."""
        for place in (self.shared, *self.twins):
            place.close()

    def _hear(self, heard: Event) -> None:
        self.heard[heard.hotel_id] += 1
        self.last.append(heard.wire_name)
