"""Where the machine plays: one database that all hotels share, and a twin for each of them alone.

They last as long as the process, because making one takes longer than a whole example; each
example begins with all of them empty.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

from hotelcore.clock import FixedClock
from hotelcore.events.catalogue import Event
from hotelcore.testing.machine.places import MakeCore, places_made

__all__ = ["Stage"]

_HOTELS = 3
_SOME_DAY = datetime(2026, 6, 15, 12, tzinfo=UTC)
_STORED = "SELECT count(*) FROM hc_outbox WHERE hotel_id = :hotel"


class Stage:
    """The shared place, the twins, their common clock, and what the listeners heard."""

    def __init__(self, make_core: MakeCore) -> None:
        self.clock = FixedClock(_SOME_DAY)
        self._loop = asyncio.Runner()  # makes its loop when something is to be awaited
        cores = (make_core(self.clock) for _ in range(1 + _HOTELS))
        try:
            self.shared, *self.twins = places_made(cores, self._loop)
        except BaseException:
            self._loop.close()  # there is no stage that anybody could leave
            raise
        self.heard: Counter[UUID] = Counter()
        self.last: list[str] = []
        self.early: list[str] = []
        self.attempts: Counter[str] = Counter()
        self.successes: Counter[str] = Counter()
        self.shared.hear(self._hear)

    def clear(self) -> None:
        """Begin anew with empty databases."""
        self.heard.clear()
        self.last.clear()
        self.early.clear()
        for place in (self.shared, *self.twins):
            place.clear()

    def close(self) -> None:
        """Close every core."""
        for place in (self.shared, *self.twins):
            place.close()
        self._loop.close()

    def _hear(self, heard: Event) -> None:
        """Count an event, and note one that could still be rolled back: what fails here is lost."""
        self.heard[heard.hotel_id] += 1
        self.last.append(heard.wire_name)
        [(stored,)] = self.shared.rows(_STORED, heard.hotel_id)
        if self.shared.is_undecided or stored < self.heard[heard.hotel_id]:
            self.early.append(heard.wire_name)
