"""Time as something handed in, so that every rule gives the same answer whenever it runs.

Instants are aware datetimes in UTC; a hotel's calendar dates come from its own time zone.
"""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from hotelcore.errors import InvalidInput

__all__ = ["Clock", "FixedClock", "SystemClock", "local_date", "require_utc", "time_zone"]


class Clock(Protocol):
    """What tells the time. Pass your own to move time in tests, demos and replays."""

    def now(self) -> datetime:
        """Return the present instant, aware and in UTC; it may jump when the machine is set."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some fixed point; never goes backwards. For limits and waits."""
        ...


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()

    def now(self) -> datetime:
        """Return the machine's present instant in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds."""
        return time.monotonic()


class FixedClock:
    """A clock that stands still until it is told to move.

    Its monotonic seconds pass all the same: time limits guard a real database, whatever the day in
    the story.
    """

    __slots__ = ("_advanced", "_instant")

    def __init__(self, instant: datetime) -> None:
        """Stand at `instant` (aware, UTC)."""
        self._instant = require_utc(instant, "instant")
        self._advanced = 0.0

    def now(self) -> datetime:
        """Return the instant the clock stands at."""
        return self._instant

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds and those by which the clock was advanced."""
        return time.monotonic() + self._advanced

    def set(self, instant: datetime) -> None:
        """Stand at `instant` (aware, UTC), earlier or later, like a machine whose clock is set.

        The monotonic seconds stay. Raises `InvalidInput` as `require_utc` does.
        """
        self._instant = require_utc(instant, "instant")

    def advance(self, by: timedelta) -> None:
        """Let `by` pass, on both scales. Raises `InvalidInput` when `by` is negative."""
        if by < timedelta():
            raise InvalidInput("by", "time passes forwards; use set() to turn the clock back")
        self._instant += by
        self._advanced += by.total_seconds()


def require_utc(instant: datetime, field: str) -> datetime:
    """Return `instant`, its zone normalised to `datetime.UTC`.

    Raises `InvalidInput`, naming `field`, for anything but an aware datetime of offset zero: a
    naive one would mean another instant on every server.
    """
    if isinstance(instant, datetime) and instant.tzinfo is UTC:
        return instant
    offset = _offset(instant)
    if offset is None:
        raise InvalidInput(field, "must be a datetime that knows its time zone")
    if offset:
        raise InvalidInput(field, "must be in UTC; convert it with .astimezone(UTC)")
    return instant.replace(tzinfo=UTC)


def _offset(instant: object) -> timedelta | None:
    return instant.utcoffset() if isinstance(instant, datetime) else None


def time_zone(name: str) -> ZoneInfo:
    """Return the IANA time zone called `name`, such as `Europe/Lisbon`.

    Raises `InvalidInput` for an unknown name, and for `localtime`, which is whatever the server
    is set to.
    """
    if name == "localtime":
        raise InvalidInput("time_zone", "must be an IANA name such as Europe/Lisbon")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError):
        # Unknown; not a name a file can have; a directory, or a name too long; not text.
        raise InvalidInput(
            "time_zone",
            "is not in the IANA database of this machine (the tzdata package brings one)",
        ) from None


def local_date(instant: datetime, zone: str) -> date:
    """Return the calendar date that clocks in the IANA `zone` show at `instant` (aware, UTC).

    Raises `InvalidInput` for an instant that is not in UTC, an unknown zone, or a date outside
    the years 1 to 9999.
    """
    try:
        return require_utc(instant, "instant").astimezone(time_zone(zone)).date()
    except OverflowError as error:
        raise InvalidInput("instant", "has no date in the years 1 to 9999") from error
