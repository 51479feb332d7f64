"""How long to pause before another attempt: exponential, capped, with full jitter."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

__all__ = ["Backoff"]


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
