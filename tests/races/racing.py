"""Runs many copies of a call at the same moment, round after round, and counts how each ended."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import TypeAlias

from attrs import define, field, frozen

from hotelcore.errors import HotelcoreError

ROUNDS = int(os.environ.get("HOTELCORE_ROUNDS", "20"))
RIVALS = 32

Call: TypeAlias = Callable[[], object]
"""What one of the rivals does."""


@frozen(kw_only=True)
class Attempt:
    """How one rival's call ended, and after how many seconds.

    ``refusal`` names the error that was raised; the winners' is None.
    """

    seconds: float
    result: object = None
    refusal: str | None = None


@define
class Record:
    """What all rounds of a race together came to."""

    rounds: int = 0
    refusals: Counter[str] = field(factory=Counter)
    seconds: list[float] = field(factory=list)
    winners: Counter[int] = field(factory=Counter)
    """How many rounds had so many winners."""

    def add(self, attempts: Sequence[Attempt]) -> None:
        """Count one round."""
        self.rounds += 1
        refusals = [attempt.refusal for attempt in attempts if attempt.refusal]
        self.winners[len(attempts) - len(refusals)] += 1
        self.refusals.update(refusals)
        self.seconds += [attempt.seconds for attempt in attempts]

    def quantile(self, part: float) -> float:
        """Return the seconds that a ``part`` of all calls did not pass."""
        return sorted(self.seconds)[int((len(self.seconds) - 1) * part)]

    def __str__(self) -> str:
        winners = ", ".join(f"{number} in {rounds}" for number, rounds in self.winners.items())
        refusals = ", ".join(f"{name} {number:,}" for name, number in sorted(self.refusals.items()))
        times = [f"{1_000 * self.quantile(part):.0f}" for part in (0.5, 0.99, 1)]
        return (
            f"{self.rounds:,} rounds of {len(self.seconds) // self.rounds}; "
            f"winners a round: {winners}; refusals: {refusals or 'none'}; "
            f"p50 {times[0]} ms, p99 {times[1]} ms, max {times[2]} ms"
        )


class Track:
    """Threads that wait for the start of the next round."""

    def __init__(self, threads: ThreadPoolExecutor, rivals: int) -> None:
        self._threads = threads
        self._start = Barrier(rivals)

    def run(self, calls: Sequence[Call]) -> list[Attempt]:
        """Make all the calls at once and return how each ended, in their order."""
        return list(self._threads.map(self._attempt, calls))

    def _attempt(self, call: Call) -> Attempt:
        self._start.wait()
        begun, result, refusal = time.perf_counter(), None, None
        try:
            result = call()
        except HotelcoreError as error:
            refusal = type(error).__name__
        return Attempt(seconds=time.perf_counter() - begun, result=result, refusal=refusal)


@contextmanager
def track(rivals: int = RIVALS) -> Generator[Track]:
    """Lend as many threads as there are rivals."""
    with ThreadPoolExecutor(rivals) as threads:
        yield Track(threads, rivals)


def verdict(record: Record, *, winners: int, refusals: Mapping[str, int]) -> None:
    """Assert how every round of a race has to end: who wins, who is refused, and how fast."""
    assert record.winners == {winners: record.rounds}
    assert record.refusals == {name: n * record.rounds for name, n in refusals.items() if n}
    # The one time limit that is promised for calls that compete.
    assert record.quantile(0.99) < 1
