"""How much there is to do, in figures that a host can export to its metrics."""

from __future__ import annotations

from hotelcore.core import HotelCore
from hotelcore.sql.events.backlog import Backlog, HotelBacklog, SubscriptionBacklog, read_backlog

__all__ = ["Backlog", "HotelBacklog", "SubscriptionBacklog", "backlog"]


def backlog(core: HotelCore) -> Backlog:
    """Count what waits in all hotels of a database, whoever works on it.

    It takes four statements, whose cost is what waits and not what ever happened. Raises what the
    database raises.
    """
    with core._serving() as run:
        return read_backlog(run, now=core._clock.now())
