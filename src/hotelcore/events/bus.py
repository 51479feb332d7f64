"""Tells listeners in this process what happened, one after the other and each for itself.

Delivery is best effort: a listener that fails never touches the emitter or the other listeners.
`EventBus` is for synchronous programs, `AsyncEventBus` for asyncio. Each can be used by itself; a
core has one, on which it emits what was committed.
"""

from __future__ import annotations

import asyncio
import random
import time
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from concurrent import futures
from inspect import isawaitable
from typing import TypeAlias, TypeVar

from hotelcore.backoff import Attempts, Retry
from hotelcore.clock import Clock, SystemClock
from hotelcore.errors import InvalidInput, ListenersFailed
from hotelcore.events.catalogue import Event
from hotelcore.events.listeners import (
    Listeners,
    Outcome,
    Roster,
    refuse_unstarted,
)
from hotelcore.ids import HotelId

__all__ = ["AsyncEventBus", "EventBus"]

E = TypeVar("E", bound=Event)
Listener: TypeAlias = Callable[[E], None]
AsyncListener: TypeAlias = Callable[[E], Awaitable[None] | None]
Outcomes: TypeAlias = tuple[Outcome, ...]

_RETRY = Retry()


class _Bus(Listeners):
    """What both buses know about trying again."""

    def __init__(self, clock: Clock | None, chance: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock or SystemClock()
        self._chance = chance

    def _begin(self, retry: Retry) -> Attempts:
        if not isinstance(retry, Retry):
            raise InvalidInput("retry", "must be of the class Retry")
        return retry.begin(self._clock.monotonic, self._chance)

    def _told(self, event: Event, outcomes: Outcomes) -> Outcomes:
        if self.dispatched.receivers:
            self.dispatched.announce(self, event=event, outcomes=outcomes)
        return outcomes

    def _concluded(self, event: Event, outcomes: Outcomes, attempts: int) -> Outcomes:
        self._told(event, outcomes)
        if failing := tuple(outcome.listener for outcome in outcomes if not outcome.ok):
            raise ListenersFailed(event.wire_name, failing, attempts)
        return outcomes


class EventBus(_Bus):
    """Listeners by event class, called in this thread in the order in which they subscribed.

    A listener is a function of one event, and the bus keeps it until it is unsubscribed. It hears
    events of exactly its class. Subscribing is safe from any thread, and from within a listener:
    it takes effect with the next event. More than 50 listeners of one event warn once.

    ``clock`` measures the time of retries, ``sleep`` takes the seconds to pause, ``chance`` gives
    a number from 0 up to, not including, 1.
    """

    _awaits = False

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,  # noqa: TID251  # the default of an argument
        chance: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(clock, chance)
        self._sleep = sleep

    def subscribe(self, kind: type[E], listener: Listener[E]) -> None:
        """Call ``listener`` with every event of exactly ``kind``.

        Raises `InvalidInput` for a class that is no event of the catalogue, for a listener that is
        subscribed to it already, and for one that a plain call does not run to its end: an
        ``async def``, which `AsyncEventBus` takes, or a generator.
        """
        self._subscribe(kind, listener)

    def on(self, kind: type[E]) -> Callable[[Listener[E]], Listener[E]]:
        """Subscribe the decorated function to ``kind``; see `subscribe`."""

        def decorate(listener: Listener[E]) -> Listener[E]:
            self._subscribe(kind, listener)
            return listener

        return decorate

    def emit(self, event: Event, *, hotel_id: HotelId) -> Outcomes:
        """Tell the listeners of ``event``, and return what came of it: one outcome each, in order.

        What a listener raises stays in its outcome; only what is no `Exception`, such as
        `KeyboardInterrupt`, goes up. Before any listener is called, raises `TenantMismatch` for an
        event of another hotel than the acting ``hotel_id``, and `InvalidInput` for what is no event
        of the catalogue.
        """
        roster = self._rosters.get(type(event))
        try:
            # Two numbers, since two UUIDs take four times as long. This alone refuses nothing.
            doubtful = event.hotel_id.int != hotel_id.int
        except AttributeError:
            doubtful = True
        if roster is None or doubtful:
            roster = self._admitted(event, hotel_id)
        failures: dict[int, Exception] | None = None
        for listener in roster.listeners:
            try:
                if (result := listener(event)) is not None:
                    refuse_unstarted(result)
            except Exception as error:  # noqa: BLE001  # isolation: any fault stays inside
                failures = failures or {}
                failures[id(listener)] = error
                self._failed(event, listener, error)
        outcomes = roster.outcomes(failures) if failures else roster.successes
        if self.dispatched.receivers:
            self.dispatched.announce(self, event=event, outcomes=outcomes)
        return outcomes

    def emit_with_retry(
        self, event: Event, *, hotel_id: HotelId, retry: Retry = _RETRY
    ) -> Outcomes:
        """Tell the listeners of ``event`` as `emit` does, and those that fail again after a pause.

        Who succeeded is not called again, and this thread sleeps in the pauses. Returns the final
        outcomes, which are all good. Raises `ListenersFailed` when the attempts or the time of
        ``retry`` are used up, and what `emit` raises.
        """
        roster, attempts = self._admitted(event, hotel_id), self._begin(retry)
        outcomes = self._tell(event, roster)
        while (failing := roster.failing(outcomes)).listeners:
            pause = attempts.pause()
            if pause is None:
                break
            self._sleep(pause)
            if not attempts.begin():
                break
            outcomes = _again(outcomes, self._tell(event, failing))
        return self._concluded(event, outcomes, attempts.made)

    def _tell(self, event: Event, roster: Roster) -> Outcomes:
        # The loop of `emit`, which is written out there: calling it would cost a tenth of an emit.
        failures: dict[int, Exception] = {}
        for listener in roster.listeners:
            try:
                refuse_unstarted(listener(event))
            except Exception as error:  # noqa: BLE001  # isolation: any fault stays inside
                failures[id(listener)] = error
                self._failed(event, listener, error)
        return roster.outcomes(failures)


class AsyncEventBus(_Bus):
    """The bus for asyncio: plain and async listeners, called and awaited in order of subscription.

    One listener ends before the next begins. A plain one runs in the event loop, so it must not
    block. ``sleep`` is awaited with the seconds to pause; all else is as with `EventBus`.
    """

    _awaits = True

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(clock, chance)
        self._sleep = sleep

    def subscribe(self, kind: type[E], listener: AsyncListener[E]) -> None:
        """Call ``listener`` with every event of exactly ``kind``, and await what it gives back.

        Raises `InvalidInput` as `EventBus.subscribe` does, except that ``async def`` is welcome.
        """
        self._subscribe(kind, listener)

    def on(self, kind: type[E]) -> Callable[[AsyncListener[E]], AsyncListener[E]]:
        """Subscribe the decorated function to ``kind``; see `subscribe`."""

        def decorate(listener: AsyncListener[E]) -> AsyncListener[E]:
            self._subscribe(kind, listener)
            return listener

        return decorate

    async def emit(self, event: Event, *, hotel_id: HotelId) -> Outcomes:
        """Tell the listeners of ``event``, and return one outcome each; see `EventBus.emit`.

        Cancelling the emit cancels the listener that runs, and no other is called. A listener
        that waits for somebody else's cancelled task has failed like any other.
        """
        roster = self._admitted(event, hotel_id)
        return self._told(event, await self._tell(event, roster))

    async def emit_with_retry(
        self, event: Event, *, hotel_id: HotelId, retry: Retry = _RETRY
    ) -> Outcomes:
        """Tell the listeners of ``event``, and those that fail again after a pause.

        See `EventBus.emit_with_retry`; cancelling ends the pauses too.
        """
        roster, attempts = self._admitted(event, hotel_id), self._begin(retry)
        outcomes = await self._tell(event, roster)
        while (failing := roster.failing(outcomes)).listeners:
            pause = attempts.pause()
            if pause is None:
                break
            await self._sleep(pause)
            if not attempts.begin():
                break
            outcomes = _again(outcomes, await self._tell(event, failing))
        return self._concluded(event, outcomes, attempts.made)

    async def _tell(self, event: Event, roster: Roster) -> Outcomes:
        failures: dict[int, Exception] = {}
        for listener in roster.listeners:
            try:
                await _finish(listener(event))
            except Exception as error:  # noqa: BLE001  # isolation: any fault stays inside
                failures[id(listener)] = error
                self._failed(event, listener, error)
        return roster.outcomes(failures)


async def _finish(result: object) -> None:
    """Await what a listener gave back, if anything."""
    if not isawaitable(result):
        refuse_unstarted(result)
        return
    try:
        await result
    except CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody cancels the emit: the listener waited for a task that somebody cancelled.
        raise futures.CancelledError from error


def _again(before: Outcomes, again: Outcomes) -> Outcomes:
    """Put the new outcomes of those that failed in the places of their old ones."""
    new = iter(again)
    return tuple(outcome if outcome.ok else next(new) for outcome in before)
