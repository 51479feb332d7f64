"""How long to pause before another attempt: exponential, capped, with full jitter."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from attrs import Attribute, define, field, frozen

from hotelcore.errors import InvalidInput

__all__ = ["Attempts", "Backoff", "Retry"]

_DAY = timedelta(days=1)
_MOST_ATTEMPTS = 1_000


@frozen(kw_only=True)
class Backoff:
    """Pauses drawn evenly from zero to a bound that doubles with each attempt, up to a cap.

    Full jitter keeps rivals from meeting again (M. Brooker, Exponential Backoff And Jitter, AWS
    Architecture Blog, 2015). ``first`` and ``cap`` are seconds; ``chance`` gives a number from
    0 up to, not including, 1.
    """

    first: float
    cap: float
    chance: Callable[[], float]

    def pause(self, attempt: int, left: float) -> float | None:
        """Return the seconds to pause after ``attempt`` (from 1), None when that is too long.

        ``left`` is the time until the deadline, in seconds.
        """
        # Beyond 2**30 the doubling has met any cap; bounding it keeps the number small.
        bound = min(self.cap, self.first * 2.0 ** min(attempt - 1, 30))
        pause = bound * self.chance()
        return pause if pause < left else None


def _duration(_: object, attribute: Attribute[timedelta], value: object) -> None:
    if not isinstance(value, timedelta) or not timedelta(0) < value <= _DAY:
        raise InvalidInput(attribute.name, "must be a timedelta above zero, of a day at most")


def _attempts(_: object, attribute: Attribute[int], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_ATTEMPTS:
        raise InvalidInput(attribute.name, f"must be a whole number from 1 to {_MOST_ATTEMPTS}")


@frozen(kw_only=True)
class Retry:
    """How often, and for how long, to try again what failed.

    ``attempts`` counts the first one too (1 to 1,000, by default 5). The pause before the second
    is drawn evenly from zero to ``first_pause`` (100 ms); that bound doubles before each further
    one, up to ``longest_pause`` (2 s). No attempt begins later than ``time_limit`` (10 s) after
    the first; one that runs is not interrupted. Durations are at most a day. Raises
    `InvalidInput` for anything else.
    """

    attempts: int = field(default=5, validator=_attempts)
    first_pause: timedelta = field(default=timedelta(milliseconds=100), validator=_duration)
    longest_pause: timedelta = field(default=timedelta(seconds=2), validator=_duration)
    time_limit: timedelta = field(default=timedelta(seconds=10), validator=_duration)

    def __attrs_post_init__(self) -> None:
        if self.longest_pause < self.first_pause:
            raise InvalidInput("longest_pause", "must not be shorter than first_pause")

    def begin(self, monotonic: Callable[[], float], chance: Callable[[], float]) -> Attempts:
        """Begin the first attempt, and the time of them all.

        ``monotonic`` gives seconds, ``chance`` a number from 0 up to, not including, 1.
        """
        backoff = Backoff(
            first=self.first_pause.total_seconds(),
            cap=self.longest_pause.total_seconds(),
            chance=chance,
        )
        ends = monotonic() + self.time_limit.total_seconds()
        return Attempts(self.attempts, backoff, monotonic, ends)


@define
class Attempts:
    """The attempts at one thing: ``made`` counts those that began."""

    _most: int
    _backoff: Backoff
    _monotonic: Callable[[], float]
    _ends: float
    made: int = field(init=False, default=1)

    def pause(self) -> float | None:
        """Return the seconds to pause before another attempt, None when there is to be none."""
        if self.made >= self._most:
            return None
        now = self._monotonic()
        pause = self._backoff.pause(self.made, self._ends - now)
        # What is left was rounded, so a pause may seem to be shorter than it and reach the end.
        return pause if pause is not None and now + pause < self._ends else None

    def begin(self) -> bool:
        """Begin another attempt, unless the pause took longer than there was time."""
        if self._monotonic() >= self._ends:
            return False
        self.made += 1
        return True
