"""Some hotels in one database, the threads that work in them, and what all their calls came to."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import date
from itertools import count, takewhile
from random import Random
from threading import Event as Flag
from threading import Lock
from typing import Concatenate, Generic, ParamSpec, TypeAlias, TypeVar

from attrs import define, field
from sqlalchemy import Engine, text

from hotelcore.core import Desk
from hotelcore.errors import InvalidInput, NotFound, Refused, StaleVersion
from hotelcore.ids import (
    BookingId,
    FolioId,
    FolioLineId,
    GuestId,
    MaintenanceId,
    RoomId,
    RoomTypeId,
    TaskId,
)
from hotelcore.unit_of_work import UnitOfWork
from tests.hindrances import linger
from tests.small_hotel import TODAY, SmallHotel

__all__ = [
    "EXPECTED",
    "House",
    "NothingThere",
    "Shelf",
    "Step",
    "Tally",
    "deadlocks",
    "mix",
    "numbers",
    "one_of",
]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

EXPECTED = (Refused, StaleVersion, NotFound, InvalidInput)
"""What may be said to somebody who came late; any other error ends the mix."""

# So few that two threads often work on the same record.
_RECENT = 30


class NothingThere(Exception):  # it is no error: the day has just begun
    """A step found nothing to work on."""


@define
class Shelf(Generic[T]):
    """The records that were made last; all threads take theirs from here, and leave them there."""

    _items: deque[T] = field(init=False, factory=lambda: deque(maxlen=_RECENT))
    _lock: Lock = field(init=False, factory=Lock)

    def put(self, item: T) -> None:
        """Let others draw it too."""
        with self._lock:
            self._items.append(item)

    def draw(self, dice: Random) -> T:
        """Return one of them, or raise `NothingThere`."""
        with self._lock:
            return one_of(self._items, dice)


def one_of(items: Sequence[T], dice: Random) -> T:
    """Return one of some records, or raise `NothingThere`."""
    if not items:
        raise NothingThere
    return items[dice.randrange(len(items))]


@define
class Tally:
    """What the calls of all threads came to.

    ``attempts`` are the executions of the calls that write, so what passes their number was begun
    again because the database asked for it; ``again`` are the operations that it asked.
    """

    calls: int = 0
    attempts: int = 0
    reads: int = 0
    done: Counter[str] = field(factory=Counter)
    again: Counter[str] = field(factory=Counter)
    refusals: Counter[str] = field(factory=Counter)
    seconds: list[tuple[float, str]] = field(factory=list)
    _lock: Lock = field(init=False, factory=Lock)

    def add(self, name: str, attempts: int, seconds: float, refusal: str | None) -> None:
        """Count one call that writes, or is refused to."""
        with self._lock:
            self.calls += 1
            self.attempts += attempts
            self.seconds.append((seconds, name))
            if attempts > 1:
                self.again[name] += attempts - 1
            if refusal is None:
                self.done[name] += 1
            else:
                self.refusals[refusal] += 1

    def add_read(self) -> None:
        """Count one unit that only reads."""
        with self._lock:
            self.reads += 1

    @property
    def retries(self) -> int:
        """How many executions there were beyond one for each call."""
        return self.attempts - self.calls

    def quantile(self, part: float) -> str:
        """Show the time that a ``part`` of all calls did not pass, and what took that long."""
        seconds, name = sorted(self.seconds)[int((len(self.seconds) - 1) * part)]
        return f"{1_000 * seconds:.0f} ms ({name})"

    def __str__(self) -> str:
        return (
            f"{self.calls:,} calls of {len(self.done)} operations and {self.reads:,} readings; "
            f"done {self.done.total():,}; refusals: {_listed(self.refusals)}; "
            f"retries {self.retries:,} ({self.retries / self.calls:.2%}): {_listed(self.again)}; "
            f"p50 {self.quantile(0.5)}, p99 {self.quantile(0.99)}, max {self.quantile(1)}"
        )


def _listed(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in sorted(counted.items())) or "none"


@define(eq=False)
class House:
    """One of the hotels: what it has, what its threads share, and how many commands it saw."""

    hotel: SmallHotel
    desk: Desk
    tally: Tally = field(factory=Tally)
    types: list[RoomTypeId] = field(factory=list)
    rooms: list[RoomId] = field(factory=list)
    guests: Shelf[GuestId] = field(factory=Shelf)
    bookings: Shelf[BookingId] = field(factory=Shelf)
    folios: Shelf[FolioId] = field(factory=Shelf)
    charges: Shelf[FolioLineId] = field(factory=Shelf)
    payments: Shelf[FolioLineId] = field(factory=Shelf)
    periods: Shelf[MaintenanceId] = field(factory=Shelf)
    tasks: Shelf[TaskId] = field(factory=Shelf)
    strangers: Shelf[BookingId] = field(factory=Shelf)
    today: date = TODAY
    commands: int = 0
    _lock: Lock = field(init=False, factory=Lock)

    def run(
        self,
        operation: Callable[Concatenate[UnitOfWork, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run an operation and count how it went; a refusal is counted and raised."""
        attempts, refusal, begun = 0, None, time.perf_counter()

        def attempted(uow: UnitOfWork) -> R:
            nonlocal attempts
            attempts += 1
            return operation(uow, *args, **kwargs)

        try:
            result = self.desk.run(attempted)
        except Exception as error:
            refusal = type(error).__name__
            raise
        finally:
            self.tally.add(operation.__name__, attempts, time.perf_counter() - begun, refusal)
        self.count(1)
        return result

    @contextmanager
    def reading(self) -> Generator[UnitOfWork]:
        """Open a unit that only reads."""
        self.tally.add_read()
        with self.desk.reading() as uow:
            yield uow

    def count(self, commands: int) -> None:
        """Count commands that succeeded: `run` does one, and what runs more says so here."""
        with self._lock:
            self.commands += commands

    def turn_to(self, day: date) -> None:
        """Go on with a later business date, if nobody did already."""
        with self._lock:
            self.today = max(self.today, day)


Step: TypeAlias = Callable[[House, Random], None]
"""What a thread does next in a house."""


def numbers(seconds: str | None, otherwise: int) -> Iterator[int]:
    """Number the steps of a mix: for some seconds, or a given number of them."""
    if seconds is None:
        return iter(range(otherwise))
    ends = time.monotonic() + float(seconds)
    return takewhile(lambda _: time.monotonic() < ends, count())


@define
class _Threads:
    """Threads that take one number after the other, until none is left or one of them fails."""

    numbers: Iterator[int]
    step: Callable[[int], None]
    _stop: Flag = field(init=False, factory=Flag)
    _lock: Lock = field(init=False, factory=Lock)

    def work(self) -> None:
        try:
            while (number := self._next()) is not None:
                with suppress(NothingThere, *EXPECTED):
                    self.step(number)
        except BaseException:
            self._stop.set()
            raise

    def _next(self) -> int | None:
        with self._lock:
            return None if self._stop.is_set() else next(self.numbers, None)


def mix(threads: int, numbers: Iterator[int], step: Callable[[int], None]) -> None:
    """Do a step for each of the numbers, in many threads; what is not expected is raised."""
    work = _Threads(numbers, step).work
    with ThreadPoolExecutor(threads) as pool:
        working = [pool.submit(work) for _ in range(threads)]
    for worker in working:
        worker.result()


_OTHERS = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
_DEADLOCKS = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
_SECONDS = 30


def deadlocks(onlooker: Engine) -> int:
    """Return how many deadlocks the server ended; the sessions that know of them are closed.

    A session tells its figures at the latest when it goes.
    """
    if onlooker.dialect.name == "sqlite":
        return 0
    with onlooker.connect() as connection:
        for _ in range(int(_SECONDS / 0.01)):
            if not connection.execute(_OTHERS).scalar_one():
                break
            linger(0.01)
        found: int = connection.execute(_DEADLOCKS).scalar_one()
    return found
