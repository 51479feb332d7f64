"""Leases: a row is somebody's until an instant, and whoever comes back later is told apart."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from attrs import frozen

from hotelcore.clock import Clock
from hotelcore.ids import new_id

__all__ = ["Lease"]


@frozen
class Lease:
    """What is taken ``now`` is held ``until`` then, under a ``token`` that nobody else has."""

    now: datetime
    until: datetime
    token: UUID

    @classmethod
    def begin(cls, clock: Clock, length: timedelta) -> Lease:
        """Begin a lease of this length."""
        now = clock.now()
        return cls(now, now + length, new_id())

    def at(self, part: float) -> datetime:
        """Return the instant at which a part of it, of 0 to 1, is over."""
        return self.now + (self.until - self.now) * part

    @property
    def parameters(self) -> dict[str, object]:
        """The parameters of a statement that takes rows under this lease."""
        return {"now": self.now, "held_until": self.until, "held_under": self.token}
