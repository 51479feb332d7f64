"""The bus for asyncio: plain and async listeners alike, in order, and cancelled when it must be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent import futures
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotelcore.backoff import Retry
from hotelcore.errors import InvalidInput, ListenersFailed, TenantMismatch
from hotelcore.events.bus import AsyncEventBus
from hotelcore.events.catalogue import Event, RoomStatusChanged
from hotelcore.events.listeners import Outcome
from hotelcore.ids import HotelId, new_id
from tests.events.hearing import FAULTS, LATER, PLAIN, Cast, Hearer, Time, casts, dirtied

HOTEL, OTHER = HotelId(new_id()), HotelId(new_id())
EVENT = dirtied(HOTEL)
MIXED = casts({**PLAIN, **LATER})


def bus_of(*listeners: Callable[[Any], Any]) -> AsyncEventBus:
    """Return a bus on which the listeners hear of rooms' conditions."""
    bus = AsyncEventBus(sleep=Time().sleep_async)
    for listener in listeners:
        bus.subscribe(RoomStatusChanged, listener)
    return bus


def emitted(bus: AsyncEventBus) -> tuple[Outcome, ...]:
    """Emit in an event loop of its own."""
    return asyncio.run(bus.emit(EVENT, hotel_id=HOTEL))


# -- emitting -----------------------------------------------------------------------------------


@given(cast=MIXED, times=st.integers(1, 3))
def test_plain_and_async_listeners_are_told_in_order(cast: Cast, times: int) -> None:
    """Over any mix: each is called and awaited in its turn, and the outcomes say who failed."""
    bus = bus_of(*cast.listeners)
    for time in range(1, times + 1):
        outcomes = emitted(bus)
        assert cast.agrees(outcomes, time)
        assert all(outcome.ok or type(outcome.error) in KNOWN for outcome in outcomes)
    assert cast.journal == [hearer.name for hearer in cast.hearers] * times


# Python itself makes this of a StopIteration that leaves a coroutine.
KNOWN = (*FAULTS, RuntimeError)


def test_one_listener_ends_before_the_next_begins() -> None:
    """A listener that waits keeps its place: the next one, async or plain, waits for it."""
    bus, journal = AsyncEventBus(), list[str]()

    @bus.on(RoomStatusChanged)
    async def slow(event: Event) -> None:
        journal.append("slow begins")
        for _ in range(5):
            await asyncio.sleep(0)
        journal.append("slow ends")

    @bus.on(RoomStatusChanged)
    def plain(event: Event) -> None:
        journal.append("plain")

    bus.subscribe(RoomStatusChanged, Hearer("last", 0, journal).hear_later)
    assert all(outcome.ok for outcome in emitted(bus))
    assert journal == ["slow begins", "slow ends", "plain", "last"]
    bus.unsubscribe(RoomStatusChanged, slow)
    assert bus.listener_count(RoomStatusChanged) == 2


def test_good_outcomes_are_made_once() -> None:
    """Where no listener fails, the outcomes of every emit are the same."""
    bus = bus_of(lambda event: 7, Hearer("one", 0).hear_later)
    assert emitted(bus) is emitted(bus)


def step_by_step(event: Event) -> Iterator[None]:
    """Be iterated over."""
    yield


async def later_step_by_step(event: Event) -> AsyncIterator[None]:
    """Be iterated over and awaited."""
    yield


UNFIT = [step_by_step, later_step_by_step, partial(step_by_step), "listener", None]


@pytest.mark.parametrize("listener", UNFIT)
def test_a_listener_that_would_never_run_is_refused(listener: Any) -> None:  # Any: refused here
    """Nobody iterates over generators, async ones included, and what is no function is none."""
    bus = AsyncEventBus()
    with pytest.raises(InvalidInput, match=r"^listener:"):
        bus.subscribe(RoomStatusChanged, listener)
    with pytest.raises(InvalidInput, match=r"^listener:"):
        bus.on(RoomStatusChanged)(listener)


@pytest.mark.parametrize("hidden", [step_by_step, later_step_by_step])
def test_a_listener_that_did_not_run_has_failed(hidden: Callable[[Event], object]) -> None:
    """A plain function that gives back a generator did nothing, and is told so."""
    [outcome] = emitted(bus_of(lambda event: hidden(event)))
    assert isinstance(outcome.error, InvalidInput)


@pytest.mark.parametrize("method", [AsyncEventBus.emit, AsyncEventBus.emit_with_retry])
def test_no_listener_runs_for_another_hotel(
    method: Callable[..., Coroutine[object, object, object]],
) -> None:
    """An event of another hotel or of none, and what is no event, are refused before any call."""
    hearer = Hearer("never", 0)
    bus, nobodys = bus_of(hearer.hear, hearer.hear_later), dirtied(HOTEL)
    object.__setattr__(nobodys, "hotel_id", None)
    for event in (dirtied(OTHER), nobodys):
        with pytest.raises(TenantMismatch):
            asyncio.run(method(bus, event, hotel_id=HOTEL))
    for wrong in ({"hotel_id": HOTEL}, Event(hotel_id=HOTEL), None):
        with pytest.raises(InvalidInput, match=r"^event:"):
            asyncio.run(method(bus, wrong, hotel_id=HOTEL))
    for acting in (None, str(HOTEL)):
        with pytest.raises(InvalidInput, match=r"^hotel_id:"):
            asyncio.run(method(bus, EVENT, hotel_id=acting))
    assert hearer.heard == []


def test_failures_and_ends_are_announced() -> None:
    """The signals are those of the other bus."""
    told: list[tuple[str, object]] = []
    failing = Hearer("once", 1)
    bus = bus_of(failing.hear_later)
    bus.error.connect(lambda sender, **facts: told.append(("error", facts["listener"])))
    bus.dispatched.connect(lambda sender, **facts: told.append(("dispatched", facts["outcomes"])))
    first = emitted(bus)
    second = emitted(bus)
    assert [outcome.ok for outcome in first + second] == [False, True]
    assert told == [("error", failing.hear_later), ("dispatched", first), ("dispatched", second)]


# -- being cancelled ----------------------------------------------------------------------------


async def cancelled_in(waiting: asyncio.Event, work: Coroutine[object, object, object]) -> None:
    """Begin the work, cancel it where it says that it waits, and see that it ends so."""
    task = asyncio.ensure_future(work)
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("method", [AsyncEventBus.emit, AsyncEventBus.emit_with_retry])
def test_cancelling_an_emit_cancels_the_listener_that_runs(
    method: Callable[..., Coroutine[object, object, object]],
) -> None:
    """The cancellation reaches the listener and then the emitter; no other listener is called."""
    ends: list[str] = []
    after = Hearer("after", 0)

    async def main() -> None:
        waiting = asyncio.Event()

        async def listen(event: Event) -> None:
            waiting.set()
            try:
                await asyncio.Event().wait()
            finally:
                ends.append("cancelled")

        bus = bus_of(listen, after.hear)
        bus.dispatched.connect(lambda sender, **facts: ends.append("dispatched"))
        await cancelled_in(waiting, method(bus, EVENT, hotel_id=HOTEL))

    asyncio.run(main())
    assert ends == ["cancelled"]
    assert after.heard == []


def test_cancelling_a_pause_ends_it() -> None:
    """Who is cancelled between two attempts makes no further one."""
    hearer = Hearer("once", 9)

    async def main() -> None:
        waiting = asyncio.Event()

        async def sleep(seconds: float) -> None:
            waiting.set()
            await asyncio.Event().wait()

        bus = AsyncEventBus(sleep=sleep)
        bus.subscribe(RoomStatusChanged, hearer.hear_later)
        await cancelled_in(waiting, bus.emit_with_retry(EVENT, hotel_id=HOTEL))

    asyncio.run(main())
    assert len(hearer.heard) == 1


def test_a_time_limit_around_an_emit_holds() -> None:
    """A timeout of the emitter stops the listener and comes out as a timeout."""

    async def listen(event: Event) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        async with asyncio.timeout(0):
            await bus_of(listen).emit(EVENT, hotel_id=HOTEL)

    with pytest.raises(TimeoutError):
        asyncio.run(main())


def test_another_tasks_cancellation_is_a_fault_of_the_listener() -> None:
    """A listener that waits for a cancelled task has failed; the emitter and the others go on."""
    after = Hearer("after", 0)

    async def listen(event: Event) -> None:
        task = asyncio.ensure_future(asyncio.Event().wait())
        task.cancel()
        await task

    failed, told = emitted(bus_of(listen, after.hear_later))
    assert isinstance(failed.error, futures.CancelledError)
    assert told.ok
    assert len(after.heard) == 1


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_the_end_of_the_program_is_no_fault(stop: type[BaseException]) -> None:
    """What is no `Exception` goes up at once, and no further listener is called."""
    after = Hearer("after", 0)

    async def listen(event: Event) -> None:
        raise stop

    with pytest.raises(stop):
        emitted(bus_of(listen, after.hear))
    assert after.heard == []


# -- trying again -------------------------------------------------------------------------------


@given(cast=MIXED, attempts=st.integers(1, 6), share=st.floats(0, 1, exclude_max=True))
def test_only_those_that_failed_are_told_again(cast: Cast, attempts: int, share: float) -> None:
    """Over any mix: each attempt calls exactly who failed before, after a pause within bounds."""
    time = Time()
    bus = AsyncEventBus(clock=time, sleep=time.sleep_async, chance=lambda: share)
    for listener in cast.listeners:
        bus.subscribe(RoomStatusChanged, listener)
    retry = Retry(
        attempts=attempts,
        first_pause=timedelta(seconds=1),
        longest_pause=timedelta(seconds=3),
        time_limit=timedelta(hours=1),
    )
    emit = bus.emit_with_retry(EVENT, hotel_id=HOTEL, retry=retry)
    needed = max((hearer.fails for hearer in cast.hearers), default=0) + 1
    made = min(needed, attempts)
    if needed == made:
        assert all(outcome.ok for outcome in asyncio.run(emit))
    else:
        with pytest.raises(ListenersFailed) as failed:
            asyncio.run(emit)
        assert failed.value.attempts == made
    assert cast.journal == cast.expected_journal(made)
    assert time.pauses == pytest.approx([share * bound for bound in (1, 2, 3, 3, 3)[: made - 1]])


@given(lasts=st.floats(0, 4), oversleeps=st.sampled_from([0, 0.5, 20]))
def test_no_attempt_begins_after_the_time_limit(lasts: float, oversleeps: float) -> None:
    """However long listeners and sleeps take: the first attempt is made, and none too late."""
    time, began = Time(oversleeps), list[float]()
    bus = AsyncEventBus(clock=time, sleep=time.sleep_async, chance=lambda: 0.5)

    @bus.on(RoomStatusChanged)
    async def slow(event: Event) -> None:
        began.append(time.seconds)
        time.seconds += lasts
        raise ValueError

    start = time.seconds
    with pytest.raises(ListenersFailed) as failed:
        asyncio.run(bus.emit_with_retry(EVENT, hotel_id=HOTEL, retry=Retry(attempts=20)))
    assert failed.value.attempts == len(began)
    assert all(instant < start + 10 for instant in began)


def test_the_machines_own_time_is_used_unless_another_is_given() -> None:
    """A bus of no arguments really pauses, and comes to an end."""
    hearer, moment = Hearer("two", 2), timedelta(microseconds=1)
    bus = AsyncEventBus()
    bus.subscribe(RoomStatusChanged, hearer.hear_later)
    retry = Retry(first_pause=moment, longest_pause=moment, time_limit=timedelta(hours=1))
    [outcome] = asyncio.run(bus.emit_with_retry(EVENT, hotel_id=HOTEL, retry=retry))
    assert outcome.ok
    assert len(hearer.heard) == 3
