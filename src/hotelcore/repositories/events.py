"""The event log, and the dead letters of its subscriptions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from hotelcore.events.dead_letter import DeadLetter
from hotelcore.events.envelope import Envelope
from hotelcore.ids import EventId

__all__ = ["EventLog"]


class EventLog(Protocol):
    """What was committed in the hotel, as events, and how far its durable subscriptions are."""

    def behind(self, position: int = 0, *, limit: int = 1_000) -> Sequence[Envelope]:
        """Return up to ``limit`` (1 to 1,000) events behind a position of the log, in its order.

        Positions count from 1 without gaps, so 0 begins at the very first event. An event has one
        as soon as the relay has met it.
        """
        ...

    def of_record(self, key: UUID, *, after: int = 0, limit: int = 1_000) -> Sequence[Envelope]:
        """Return up to ``limit`` (1 to 1,000) events of one record behind a sequence, in order."""
        ...

    def dead(self, subscription: str | None = None) -> Sequence[DeadLetter]:
        """Return the dead letters of one durable subscription or of all, the oldest first."""
        ...

    def retry(
        self,
        *,
        now: datetime,
        subscription: str | None = None,
        event_ids: Collection[EventId] | None = None,
    ) -> int:
        """Let dead letters, all or the chosen ones, be tried again; return how many."""
        ...

    def replay(self, subscription: str, *, after: int, now: datetime) -> int:
        """Let a subscription handle again what is behind a position; return of how many records."""
        ...

    def forget(self, subscription: str) -> int:
        """Remove a subscription's lanes and dead letters; return of how many records it had heard.

        Raises `InvalidInput` for one that the unit's own core declares.
        """
        ...

    def purge(self, before: datetime) -> int:
        """Delete older events that everybody is done with; return how many."""
        ...
