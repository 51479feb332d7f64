"""Listeners that write down what they hear, events to tell them of, and a time that tests move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from attrs import define, field
from hypothesis import strategies as st

from hotelcore.domain.rooms import RoomCondition
from hotelcore.events.catalogue import Event, RoomStatusChanged
from hotelcore.events.listeners import Outcome
from hotelcore.ids import HotelId, RoomId, new_id

PERSONAL = "Ana Sousa, +351 912 345 678"
"""What the listeners' own errors say, and nobody else may repeat."""


def dirtied(hotel_id: HotelId) -> RoomStatusChanged:
    """Return the event that a room of a hotel became dirty."""
    return RoomStatusChanged(
        hotel_id=hotel_id,
        room_id=RoomId(new_id()),
        previous=RoomCondition.CLEAN,
        condition=RoomCondition.DIRTY,
    )


@define(eq=False)
class Hearer:
    """A listener that fails the first ``fails`` times; ``journal`` is shared by those of a test."""

    name: str
    fails: int
    journal: list[str] = field(factory=list)
    heard: list[Event] = field(factory=list)

    def hear(self, event: Event) -> None:
        """Write down the event, and fail if it is too early."""
        self.journal.append(self.name)
        self.heard.append(event)
        if len(self.heard) <= self.fails:
            raise FAULTS[self.fails % len(FAULTS)](PERSONAL)

    def __call__(self, event: Event) -> None:
        """Hear."""
        self.hear(event)

    async def hear_later(self, event: Event) -> None:
        """Hear in the middle of a few turns of the event loop, as one stretch of the journal."""
        await asyncio.sleep(0)
        self.hear(event)
        await asyncio.sleep(0)


FAULTS: tuple[type[Exception], ...] = (ValueError, KeyError, RecursionError, StopIteration, OSError)

Listener = Callable[[Event], Any]  # Any: None, or something to await


class LaterCalled:
    """An object whose call is to be awaited."""

    def __init__(self, hearer: Hearer) -> None:
        self.hearer = hearer

    async def __call__(self, event: Event) -> None:
        """Hear."""
        await self.hearer.hear_later(event)


PLAIN: dict[str, Callable[[Hearer], Listener]] = {
    "a method": lambda hearer: hearer.hear,
    "an object": lambda hearer: hearer,
    "a partial": lambda hearer: partial(Hearer.hear, hearer),
    "a lambda": lambda hearer: lambda event: hearer.hear(event),
}
LATER: dict[str, Callable[[Hearer], Listener]] = {
    "an async method": lambda hearer: hearer.hear_later,
    "an object with an async call": LaterCalled,
    "an async partial": lambda hearer: partial(Hearer.hear_later, hearer),
    "a lambda of an async method": lambda hearer: lambda event: hearer.hear_later(event),
    "a lambda of a task": lambda hearer: (
        lambda event: asyncio.ensure_future(hearer.hear_later(event))
    ),
}


def casts(forms: dict[str, Callable[[Hearer], Listener]]) -> st.SearchStrategy[Cast]:
    """Give any few listeners of those forms, most of which fail at first."""
    one = st.tuples(st.sampled_from(sorted(forms)), st.integers(0, 6))
    return st.lists(one, max_size=6).map(lambda parts: Cast(forms, parts))


class Cast:
    """The listeners of one test."""

    def __init__(
        self, forms: dict[str, Callable[[Hearer], Listener]], parts: list[tuple[str, int]]
    ) -> None:
        self.parts = parts
        self.journal: list[str] = []
        self.hearers = [
            Hearer(f"{at} {form}", fails, self.journal) for at, (form, fails) in enumerate(parts)
        ]
        self.listeners = [
            forms[form](hearer) for hearer, (form, _) in zip(self.hearers, parts, strict=True)
        ]

    def __repr__(self) -> str:
        return f"Cast({self.parts})"

    def agrees(self, outcomes: tuple[Outcome, ...], attempts: int) -> bool:
        """Tell whether each outcome is what its listener's plan says of that many attempts."""
        return [outcome.ok for outcome in outcomes] == [
            hearer.fails < attempts for hearer in self.hearers
        ]

    def expected_journal(self, attempts: int) -> list[str]:
        """Return who is called in what order: in each attempt those that failed all before."""
        return [
            hearer.name
            for attempt in range(attempts)
            for hearer in self.hearers
            if hearer.fails >= attempt
        ]


class Time:
    """A clock whose seconds pass only in its own sleep, which may take longer than asked."""

    def __init__(self, oversleeps: float = 0) -> None:
        self.seconds = 1_000.0
        self.oversleeps = oversleeps
        self.pauses: list[float] = []

    def now(self) -> datetime:
        """Return an instant."""
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        """Return the seconds that passed."""
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Let the seconds pass, and note them."""
        self.pauses.append(seconds)
        self.seconds += seconds + self.oversleeps

    async def sleep_async(self, seconds: float) -> None:
        """Let the seconds pass in an event loop."""
        await asyncio.sleep(0)
        self.sleep(seconds)
