"""The bus in this process: each listener for itself, in order, for its own hotel alone."""

from __future__ import annotations

import asyncio
import gc
import pickle
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from threading import Barrier
from typing import Any
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotelcore.backoff import Backoff, Retry
from hotelcore.errors import HotelcoreError, InvalidInput, ListenersFailed, TenantMismatch
from hotelcore.events.bus import EventBus
from hotelcore.events.catalogue import (
    BookingCreated,
    Event,
    FolioClosed,
    PmsConnected,
    PmsDisconnected,
    RoomStatusChanged,
)
from hotelcore.events.listeners import MANY, Outcome
from hotelcore.ids import HotelId, PmsConfigId, new_id
from tests.events.hearing import FAULTS, PERSONAL, PLAIN, Cast, Hearer, Time, casts, dirtied

HOTEL = HotelId(new_id())
EVENT = dirtied(HOTEL)


def anything(value: Any) -> Any:  # Any: for calls that no type checker would let pass
    """Return the value."""
    return value


def bus_of(*listeners: Callable[[Any], Any]) -> EventBus:
    """Return a bus on which the listeners hear of rooms' conditions."""
    bus = EventBus(sleep=Time().sleep)
    for listener in listeners:
        bus.subscribe(RoomStatusChanged, listener)
    return bus


def broken(event: Event) -> None:
    """Fail."""
    raise ValueError(PERSONAL)


def fine(event: Event) -> None:
    """Do nothing."""


# -- subscribing --------------------------------------------------------------------------------


def test_listeners_hear_events_of_exactly_their_class() -> None:
    """A listener hears what it subscribed to, from its subscription to its end, and no other."""
    bus, heard = EventBus(), list[Event]()
    connected, disconnected = (
        kind(hotel_id=HOTEL, config_id=PmsConfigId(new_id()), vendor="opera")
        for kind in (PmsConnected, PmsDisconnected)
    )

    @bus.on(PmsConnected)
    def listen(event: Event) -> None:
        heard.append(event)

    assert bus.emit(connected, hotel_id=HOTEL) == (
        Outcome(listener=f"{__name__}.{listen.__qualname__}"),
    )
    assert bus.emit(disconnected, hotel_id=HOTEL) == ()
    bus.unsubscribe(PmsConnected, listen)
    assert bus.emit(connected, hotel_id=HOTEL) == ()
    assert heard == [connected]


def test_listeners_are_counted() -> None:
    """The count is of one kind, and falls when a listener is unsubscribed."""
    bus = bus_of(fine, broken)
    assert bus.listener_count(RoomStatusChanged) == 2
    assert bus.listener_count(FolioClosed) == 0
    bus.unsubscribe(RoomStatusChanged, broken)
    assert bus.listener_count(RoomStatusChanged) == 1


@pytest.mark.parametrize("listener", [fine, Hearer("one", 0).hear, [].append, Hearer("one", 0)])
def test_a_listener_is_subscribed_once(listener: Callable[[Event], None]) -> None:
    """Subscribing again is refused, and so is unsubscribing what is not there; else all stays."""
    bus = bus_of(listener)
    with pytest.raises(InvalidInput, match=r"^listener: is subscribed"):
        bus.subscribe(RoomStatusChanged, listener)
    with pytest.raises(InvalidInput, match=r"^listener: is not subscribed"):
        bus.unsubscribe(FolioClosed, listener)
    assert bus.listener_count(RoomStatusChanged) == 1
    bus.subscribe(FolioClosed, listener)
    bus.unsubscribe(RoomStatusChanged, listener)
    with pytest.raises(InvalidInput, match=r"^listener: is not subscribed"):
        bus.unsubscribe(RoomStatusChanged, listener)
    bus.subscribe(RoomStatusChanged, listener)
    assert len(bus.emit(EVENT, hotel_id=HOTEL)) == 1


def test_two_of_one_name_are_two() -> None:
    """Methods of two objects, and functions made by one, are listeners of their own."""
    first, second = Hearer("first", 0), Hearer("second", 9)
    bus = bus_of(first.hear, second.hear)
    assert [outcome.ok for outcome in bus.emit(EVENT, hotel_id=HOTEL)] == [True, False]
    bus.unsubscribe(RoomStatusChanged, first.hear)
    bus.emit(EVENT, hotel_id=HOTEL)
    assert (len(first.heard), len(second.heard)) == (1, 2)


class Stranger(BookingCreated):
    """An event of a host's own making."""


@pytest.mark.parametrize("kind", [Event, Stranger, str, "booking.created", EVENT, {}, None])
def test_only_events_of_the_catalogue_are_subscribed_to(kind: object) -> None:
    """A name, an event, a base class and a class of the host's are no kind of the catalogue."""
    bus = EventBus()
    for wrong in (
        lambda: bus.subscribe(anything(kind), fine),
        lambda: bus.on(anything(kind))(fine),
        lambda: bus.unsubscribe(anything(kind), fine),
        lambda: bus.listener_count(anything(kind)),
    ):
        with pytest.raises(InvalidInput, match=r"^kind:"):
            wrong()


async def later(event: Event) -> None:
    """Be awaited."""


def step_by_step(event: Event) -> Iterator[None]:
    """Be iterated over."""
    yield


async def later_step_by_step(event: Event) -> AsyncIterator[None]:
    """Be iterated over and awaited."""
    yield


class Later:
    """Be awaited when called."""

    async def __call__(self, event: Event) -> None:
        """Be awaited."""

    async def method(self, event: Event) -> None:
        """Be awaited."""


UNFIT = [
    *(later, step_by_step, later_step_by_step, Later(), Later().method, Later().__call__),
    *(partial(later), partial(partial(step_by_step)), partial(later_step_by_step)),
    *(partial(Later()), partial(Later().method), partial(Later.method, Later())),
    *("listener", None, 7, EVENT),
]


@pytest.mark.parametrize("listener", UNFIT)
def test_a_listener_that_would_never_run_is_refused(listener: object) -> None:
    """Async functions, generators, what hides them, and what is no function cannot subscribe."""
    bus = EventBus()
    with pytest.raises(InvalidInput, match=r"^listener:"):
        bus.subscribe(RoomStatusChanged, anything(listener))
    with pytest.raises(InvalidInput, match=r"^listener:"):
        bus.on(RoomStatusChanged)(anything(listener))
    assert bus.listener_count(RoomStatusChanged) == 0


@pytest.mark.parametrize("hidden", [later, step_by_step, later_step_by_step])
def test_a_listener_that_did_not_run_has_failed(hidden: Callable[[Event], object]) -> None:
    """A plain function that gives back a coroutine or a generator did nothing, and is told so."""
    bus = bus_of(lambda event: hidden(event))
    [outcome] = bus.emit(EVENT, hotel_id=HOTEL)
    assert isinstance(outcome.error, InvalidInput)
    with pytest.raises(ListenersFailed):
        bus.emit_with_retry(EVENT, hotel_id=HOTEL, retry=Retry(attempts=2))
    gc.collect()  # A coroutine that was never awaited would warn, and fail the test.


def test_a_listener_may_give_something_back() -> None:
    """A result is of no interest, and a task that runs already needs nobody who awaits it."""
    heard: list[Event] = []

    async def emit() -> tuple[Outcome, ...]:
        tasks = []

        async def hear() -> None:
            heard.append(EVENT)

        def begin(event: Event) -> object:
            tasks.append(asyncio.create_task(hear()))
            return tasks[-1]

        outcomes = bus_of(lambda event: 7, begin).emit(EVENT, hotel_id=HOTEL)
        await tasks[0]
        return outcomes

    assert [outcome.ok for outcome in asyncio.run(emit())] == [True, True]
    assert heard == [EVENT]


def test_listeners_are_kept() -> None:
    """A function and a method that nobody else holds still hear, unlike with blinker."""
    journal: list[str] = []

    def subscribed() -> EventBus:
        return bus_of(lambda event: journal.append("lambda"), Hearer("method", 0, journal).hear)

    bus = subscribed()
    gc.collect()
    bus.emit(EVENT, hotel_id=HOTEL)
    assert journal == ["lambda", "method"]


def test_a_crowd_of_listeners_warns_once() -> None:
    """The listener that passes fifty warns where it subscribes, once a kind; all are told."""
    bus, hearers = EventBus(), [Hearer(str(at), 0) for at in range(MANY + 3)]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for hearer in hearers[:MANY]:
            bus.subscribe(RoomStatusChanged, hearer.hear)
            bus.subscribe(FolioClosed, hearer.hear)
        assert warned == []
        for hearer in hearers[MANY:]:
            bus.on(RoomStatusChanged)(hearer.hear)
        bus.unsubscribe(RoomStatusChanged, hearers[0].hear)
        bus.subscribe(RoomStatusChanged, hearers[0].hear)
        assert len(warned) == 1
        bus.subscribe(FolioClosed, hearers[MANY].hear)
    assert [str(warning.message)[:29] for warning in warned] == [
        "more than 50 listeners of roo",
        "more than 50 listeners of fol",
    ]
    assert {(warning.category, warning.filename) for warning in warned} == {
        (RuntimeWarning, __file__)
    }
    assert len(bus.emit(EVENT, hotel_id=HOTEL)) == len(hearers)


def test_a_subscription_counts_from_the_next_event() -> None:
    """Who subscribes or leaves while an event is told changes only who hears the next."""
    bus, journal = EventBus(), list[str]()
    last, late = Hearer("last", 0, journal), Hearer("late", 0, journal)

    @bus.on(RoomStatusChanged)
    def swap(event: Event) -> None:
        bus.unsubscribe(RoomStatusChanged, swap)
        bus.unsubscribe(RoomStatusChanged, last.hear)
        bus.subscribe(RoomStatusChanged, late.hear)

    bus.subscribe(RoomStatusChanged, last.hear)
    assert len(bus.emit(EVENT, hotel_id=HOTEL)) == 2
    assert journal == ["last"]
    assert len(bus.emit(EVENT, hotel_id=HOTEL)) == 1
    assert journal == ["last", "late"]


def test_a_listener_may_emit() -> None:
    """What a listener emits is told at once, and then the first event goes on."""
    bus, heard = EventBus(), list[str]()
    inner = FolioClosed(
        hotel_id=HOTEL, **{name: anything(new_id()) for name in ("booking_id", "folio_id")}
    )

    @bus.on(RoomStatusChanged)
    def outer(event: Event) -> None:
        heard.append("outer begins")
        assert [outcome.ok for outcome in bus.emit(inner, hotel_id=HOTEL)] == [False, True]
        heard.append("outer ends")

    bus.subscribe(FolioClosed, broken)
    bus.subscribe(FolioClosed, lambda event: heard.append("inner"))
    bus.subscribe(RoomStatusChanged, lambda event: heard.append("after"))
    assert all(outcome.ok for outcome in bus.emit(EVENT, hotel_id=HOTEL))
    assert heard == ["outer begins", "inner", "outer ends", "after"]


def test_threads_subscribe_while_events_are_told() -> None:
    """No subscription of four threads is lost, and a fifth thread's events are told meanwhile."""
    bus, each, barrier = EventBus(), 12, Barrier(5)

    def subscribe(thread: int) -> None:
        barrier.wait()
        for at in range(each):
            bus.subscribe(RoomStatusChanged, Hearer(f"{thread}.{at}", 0).hear)
            bus.subscribe(FolioClosed, fresh := partial(fine))
            bus.unsubscribe(FolioClosed, fresh)

    def emit() -> list[int]:
        barrier.wait()
        return [len(bus.emit(EVENT, hotel_id=HOTEL)) for _ in range(200)]

    with ThreadPoolExecutor(5) as threads:
        told = threads.submit(emit)
        for done in [threads.submit(subscribe, thread) for thread in range(4)]:
            done.result()
        assert told.result() == sorted(told.result())
    assert bus.listener_count(RoomStatusChanged) == 4 * each
    assert bus.listener_count(FolioClosed) == 0


# -- emitting -----------------------------------------------------------------------------------


@given(cast=casts(PLAIN), times=st.integers(1, 4))
def test_each_listener_is_told_whatever_the_others_do(cast: Cast, times: int) -> None:
    """Over any listeners: all are called in order each time, and the outcomes say who failed."""
    bus = bus_of(*cast.listeners)
    for time in range(1, times + 1):
        outcomes = bus.emit(EVENT, hotel_id=HOTEL)
        assert cast.agrees(outcomes, time)
        assert all(outcome.ok or type(outcome.error) in FAULTS for outcome in outcomes)
    assert cast.journal == [hearer.name for hearer in cast.hearers] * times
    assert all(heard is EVENT for hearer in cast.hearers for heard in hearer.heard)


def test_good_outcomes_are_made_once() -> None:
    """Where no listener fails, an emit makes nothing new: that is what makes it quick."""
    bus = bus_of(fine, partial(fine))
    assert bus.emit(EVENT, hotel_id=HOTEL) is bus.emit(EVENT, hotel_id=HOTEL)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("emit", [EventBus.emit, EventBus.emit_with_retry])
def test_the_end_of_the_program_is_no_fault(
    stop: type[BaseException], emit: Callable[..., object]
) -> None:
    """What is no `Exception` goes up at once, and no further listener is called."""
    hearer, mine = Hearer("after", 0), stop()

    def listen(event: Event) -> None:
        raise mine

    with pytest.raises(stop) as raised:
        emit(bus_of(fine, listen, hearer.hear), EVENT, hotel_id=HOTEL)
    assert raised.value is mine
    assert hearer.heard == []


class Shown:
    """An object with a guest in its repr."""

    def __repr__(self) -> str:
        return PERSONAL

    def __call__(self, event: Event) -> None:
        """Fail."""
        raise ValueError(PERSONAL)

    def method(self, event: Event) -> None:
        """Fail."""
        raise ValueError(PERSONAL)


NAMED: list[tuple[Callable[[Any], None], str]] = [
    (broken, f"{__name__}.broken"),
    (partial(broken), f"{__name__}.broken"),
    (Shown(), f"{__name__}.Shown"),
    (Shown().method, f"{__name__}.Shown.method"),
    (partial(partial(Shown())), f"{__name__}.Shown"),
    ([].append, "list.append"),
]


@pytest.mark.parametrize(("listener", "name"), NAMED)
def test_a_listener_is_named_after_its_code(
    listener: Callable[[Event], None], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Outcomes and the log name the function and the error's class; what they hold stays out."""
    [outcome] = bus_of(listener).emit(EVENT, hotel_id=HOTEL)
    assert outcome.listener == name
    assert PERSONAL not in repr(outcome) + caplog.text
    if not outcome.ok:
        assert f"{name} of room.statusChanged failed: ValueError" in caplog.text
        assert "ValueError" in repr(outcome)


# -- tenants ------------------------------------------------------------------------------------

HOTELS = st.sampled_from([HotelId(UUID(int=number)) for number in range(1, 4)])


@given(emits=st.lists(st.tuples(HOTELS, HOTELS), max_size=12), retry=st.booleans())
def test_no_listener_runs_for_another_hotel(
    emits: list[tuple[HotelId, HotelId]], retry: bool
) -> None:
    """Whatever is emitted as which hotel: listeners hear the acting hotel's own, and no other."""
    acting, bus = list[HotelId](), EventBus()

    @bus.on(RoomStatusChanged)
    def listen(event: Event) -> None:
        assert event.hotel_id == acting[-1]

    emit = bus.emit_with_retry if retry else bus.emit
    for hotel_id, found in emits:
        acting.append(hotel_id)
        equal = HotelId(UUID(int=hotel_id.int))
        if found == hotel_id:
            assert [outcome.ok for outcome in emit(dirtied(found), hotel_id=equal)] == [True]
        else:
            with pytest.raises(TenantMismatch):
                emit(dirtied(found), hotel_id=equal)


@pytest.mark.parametrize("emit", [EventBus.emit, EventBus.emit_with_retry])
@pytest.mark.parametrize("listeners", [0, 1])
def test_hotels_that_are_none_are_refused(emit: Callable[..., object], listeners: int) -> None:
    """An event without a hotel is nobody's, and the acting hotel is a UUID, also with no hearer."""
    hearers = [Hearer("never", 0)] * listeners
    bus = bus_of(*hearers)
    for missing in (None, "", str(HOTEL), 7):
        nobodys = dirtied(HOTEL)
        object.__setattr__(nobodys, "hotel_id", missing)
        with pytest.raises(TenantMismatch):
            emit(bus, nobodys, hotel_id=HOTEL)
        for event in (nobodys, EVENT):
            with pytest.raises(InvalidInput, match=r"^hotel_id:"):
                emit(bus, event, hotel_id=missing)
    assert all(hearer.heard == [] for hearer in hearers)


@attrs.frozen
class Lookalike:
    """No event, although it has a hotel."""

    hotel_id: HotelId


FOREIGN = [
    {"hotel_id": HOTEL},
    Lookalike(HOTEL),
    RoomStatusChanged,
    Event(hotel_id=HOTEL),
    None,
    "room.statusChanged",
]


@pytest.mark.parametrize("emit", [EventBus.emit, EventBus.emit_with_retry])
@pytest.mark.parametrize("event", FOREIGN, ids=lambda event: type(event).__name__)
def test_only_events_of_the_catalogue_are_emitted(
    emit: Callable[..., object], event: object
) -> None:
    """A dict, a class, a lookalike and a plain `Event` are refused before anything is told."""
    with pytest.raises(InvalidInput, match=r"^event:"):
        emit(bus_of(fine), event, hotel_id=HOTEL)


# -- signals ------------------------------------------------------------------------------------


def test_each_failure_is_announced(caplog: pytest.LogCaptureFixture) -> None:
    """Receivers of `error` get the event, the listener and its error, in order of connection."""
    bus, failed = bus_of(broken, fine, Shown()), list[tuple[str, dict[str, Any]]]()

    def connect(name: str) -> None:
        @bus.error.connect
        def note(sender: object, **facts: Any) -> None:  # Any: what the signal sends
            assert sender is bus
            failed.append((name, facts))

    for name in "abcdefgh":
        connect(name)
    gc.collect()
    bus.error.connect(lambda *_, **__: failed.clear(), sender=EventBus())
    outcomes = bus.emit(EVENT, hotel_id=HOTEL)
    assert "".join(name for name, _ in failed) == "abcdefghabcdefgh"
    _, first = failed[0]
    assert first == {"event": EVENT, "listener": broken, "error": outcomes[0].error}
    assert len(caplog.records) == 2


@pytest.mark.parametrize("signal", ["error", "dispatched"])
def test_a_failing_receiver_is_logged_and_no_more(
    signal: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It stops no other receiver or listener, and its failure is not announced in turn."""
    hearer, told = Hearer("after", 0), list[str]()
    bus = bus_of(broken, hearer.hear)

    def fail(sender: object, **facts: object) -> None:
        told.append("failing")
        raise ZeroDivisionError(PERSONAL)

    getattr(bus, signal).connect(fail)
    getattr(bus, signal).connect(lambda sender, **facts: told.append("other"))
    assert [outcome.ok for outcome in bus.emit(EVENT, hotel_id=HOTEL)] == [False, True]
    assert told == ["failing", "other"]
    assert len(hearer.heard) == 1
    assert "ZeroDivisionError" in caplog.text
    assert PERSONAL not in caplog.text


def test_an_emit_is_announced_when_it_is_done() -> None:
    """Receivers of `dispatched` get the event and the outcomes, also where nobody listens."""
    bus, told = bus_of(broken, fine), list[dict[str, Any]]()
    bus.dispatched.connect(lambda sender, **facts: told.append(facts))
    outcomes = bus.emit(EVENT, hotel_id=HOTEL)
    bus.unsubscribe(RoomStatusChanged, broken)
    bus.unsubscribe(RoomStatusChanged, fine)
    bus.emit(EVENT, hotel_id=HOTEL)
    assert told == [{"event": EVENT, "outcomes": outcomes}, {"event": EVENT, "outcomes": ()}]
    with bus.dispatched.muted():
        bus.emit(EVENT, hotel_id=HOTEL)
    assert len(told) == 2


def test_receivers_can_leave() -> None:
    """A receiver is disconnected by its function, and a weak one when its object is gone."""
    bus, told = bus_of(), list[str]()

    class Receiver:
        def hear(self, sender: object, **facts: object) -> None:
            told.append("weak")

    def strong(sender: object, **facts: object) -> None:
        told.append("strong")

    receiver = Receiver()
    bus.dispatched.connect(receiver.hear, weak=True)
    bus.dispatched.connect(strong, sender=bus)
    bus.emit(EVENT, hotel_id=HOTEL)
    assert told == ["weak", "strong"]
    del receiver
    gc.collect()
    bus.emit(EVENT, hotel_id=HOTEL)
    assert told == ["weak", "strong", "strong"]
    bus.dispatched.disconnect(strong, sender=bus)
    bus.emit(EVENT, hotel_id=HOTEL)
    assert told == ["weak", "strong", "strong"]


def test_a_receiver_that_would_never_run_is_refused() -> None:
    """Signals call plain functions."""
    for receiver in (later, step_by_step, partial(Later()), None):
        with pytest.raises(InvalidInput, match=r"^receiver:"):
            EventBus().error.connect(anything(receiver))


# -- trying again -------------------------------------------------------------------------------

SECONDS = st.integers(1, 5_000).map(lambda number: timedelta(milliseconds=number))
CHANCES = st.floats(0, 1, exclude_max=True)


def retries(time_limit: st.SearchStrategy[timedelta]) -> st.SearchStrategy[Retry]:
    """Give ways to try again."""
    pauses = st.tuples(SECONDS, SECONDS).map(sorted)
    return st.builds(
        lambda attempts, pauses, limit: Retry(
            attempts=attempts, first_pause=pauses[0], longest_pause=pauses[1], time_limit=limit
        ),
        st.integers(1, 6),
        pauses,
        time_limit,
    )


def chance_of(data: st.DataObject, drawn: list[float]) -> Callable[[], float]:
    """Return a source of chance that Hypothesis chooses, and that notes what it gave."""

    def chance() -> float:
        drawn.append(data.draw(CHANCES))
        return drawn[-1]

    return chance


@given(cast=casts(PLAIN), retry=retries(st.just(timedelta(days=1))), data=st.data())
def test_only_those_that_failed_are_told_again(
    cast: Cast, retry: Retry, data: st.DataObject
) -> None:
    """Over any listeners: each attempt calls exactly who failed before, until all are well."""
    time, told = Time(), list[tuple[Outcome, ...]]()
    bus = EventBus(clock=time, sleep=time.sleep, chance=chance_of(data, []))
    bus.dispatched.connect(lambda sender, **facts: told.append(anything(facts["outcomes"])))
    for listener in cast.listeners:
        bus.subscribe(RoomStatusChanged, listener)
    needed = max((hearer.fails for hearer in cast.hearers), default=0) + 1
    made = min(needed, retry.attempts)
    if needed <= retry.attempts:
        outcomes = bus.emit_with_retry(EVENT, hotel_id=HOTEL, retry=retry)
        assert all(outcome.ok for outcome in outcomes)
    else:
        with pytest.raises(ListenersFailed) as failed:
            bus.emit_with_retry(EVENT, hotel_id=HOTEL, retry=retry)
        assert failed.value.attempts == made
        assert len(failed.value.listeners) == sum(h.fails >= made for h in cast.hearers)
    assert cast.journal == cast.expected_journal(made)
    assert len(time.pauses) == made - 1
    [last] = told
    assert cast.agrees(last, made)


@given(retry=retries(st.just(timedelta(days=1))), data=st.data())
def test_pauses_are_drawn_below_a_bound_that_doubles(retry: Retry, data: st.DataObject) -> None:
    """Each pause is the drawn share of a bound that doubles from the first to the longest."""
    time, drawn = Time(), list[float]()
    bus = EventBus(clock=time, sleep=time.sleep, chance=chance_of(data, drawn))
    bus.subscribe(RoomStatusChanged, broken)
    with pytest.raises(ListenersFailed):
        bus.emit_with_retry(EVENT, hotel_id=HOTEL, retry=retry)
    bounds = [
        min(retry.first_pause * 2**number, retry.longest_pause).total_seconds()
        for number in range(retry.attempts - 1)
    ]
    shares = [share * bound for share, bound in zip(drawn, bounds, strict=True)]
    assert time.pauses == pytest.approx(shares)
    assert all(pause <= bound for pause, bound in zip(time.pauses, bounds, strict=True))


@given(
    attempt=st.integers(1, 5_000),
    first=st.floats(0.001, 1e3),
    cap=st.floats(0.001, 1e5),
    share=CHANCES,
    left=st.floats(-10, 1e6),
)
def test_a_pause_is_never_longer_than_is_left(
    attempt: int, first: float, cap: float, share: float, left: float
) -> None:
    """For any number of attempts the pause is from zero to the cap, or there is none."""
    pause = Backoff(first=first, cap=cap, chance=lambda: share).pause(attempt, left)
    bound = min(cap, first * 2 ** min(attempt - 1, 60))
    if pause is None:
        assert bound * share >= left
    else:
        assert 0 <= pause <= bound
        assert pause < left


@given(
    retry=retries(SECONDS),
    lasts=st.floats(0, 3),
    oversleeps=st.sampled_from([0, 0, 0.5, 10]),
    data=st.data(),
)
def test_no_attempt_begins_after_the_time_limit(
    retry: Retry, lasts: float, oversleeps: float, data: st.DataObject
) -> None:
    """However long listeners and sleeps take: the first attempt is made, and none too late."""
    time = Time(oversleeps)
    began, bus = [], EventBus(clock=time, sleep=time.sleep, chance=chance_of(data, []))

    @bus.on(RoomStatusChanged)
    def slow(event: Event) -> None:
        began.append(time.seconds)
        time.seconds += lasts
        raise ValueError

    start = time.seconds
    with pytest.raises(ListenersFailed) as failed:
        bus.emit_with_retry(EVENT, hotel_id=HOTEL, retry=retry)
    limit = retry.time_limit.total_seconds()
    assert began[0] == start
    assert all(instant < start + limit for instant in began[1:])
    assert all(pause < limit for pause in time.pauses)
    assert failed.value.attempts == len(began) <= retry.attempts


@given(limit=st.integers(1, 10_000), start=st.floats(0, 1e6))
def test_no_pause_ends_with_the_time_limit(limit: int, start: float) -> None:
    """A pause of just the time that there is would be for nothing, however it is rounded."""
    whole = timedelta(milliseconds=limit)
    retry = Retry(first_pause=whole, longest_pause=2 * whole, time_limit=whole)
    attempts = retry.begin(lambda: start, lambda: 0.5)
    assert attempts.begin()
    assert attempts.pause() is None  # half of the second bound, which is twice the limit


def test_exhaustion_says_who_failed_and_no_more() -> None:
    """The error names event, listeners and attempts, crosses processes, and quotes nobody."""
    bus = bus_of(fine, broken, Shown().method)
    with pytest.raises(ListenersFailed) as failed:
        bus.emit_with_retry(EVENT, hotel_id=HOTEL, retry=Retry(attempts=3))
    error = failed.value
    assert isinstance(error, HotelcoreError)
    assert error.event == "room.statusChanged"
    assert error.listeners == (f"{__name__}.broken", f"{__name__}.Shown.method")
    assert error.attempts == 3
    assert "3 attempts" in str(error)
    assert "room.statusChanged" in str(error)
    assert error.__cause__ is error.__context__ is None
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.listeners) == (str(error), error.listeners)
    assert PERSONAL not in str(error) + repr(error)


def test_each_failure_of_each_attempt_is_announced() -> None:
    """Receivers of `error` hear of every failure, those of `dispatched` of the end alone."""
    told: list[str] = []
    bus = bus_of(Hearer("two", 2).hear)
    bus.error.connect(lambda sender, **facts: told.append("error"))
    bus.dispatched.connect(lambda sender, **facts: told.append("dispatched"))
    bus.emit_with_retry(EVENT, hotel_id=HOTEL)
    assert told == ["error", "error", "dispatched"]


def test_an_interrupted_pause_ends_it() -> None:
    """A signal of the operating system during the pause goes up, and nobody is told again."""
    hearer = Hearer("once", 9)

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    bus = EventBus(sleep=interrupted)
    bus.subscribe(RoomStatusChanged, hearer.hear)
    with pytest.raises(KeyboardInterrupt):
        bus.emit_with_retry(EVENT, hotel_id=HOTEL)
    assert len(hearer.heard) == 1


def test_the_machines_own_time_is_used_unless_another_is_given() -> None:
    """A bus of no arguments really pauses, and comes to an end."""
    hearer, moment = Hearer("two", 2), timedelta(microseconds=1)
    bus = EventBus()
    bus.subscribe(RoomStatusChanged, hearer.hear)
    retry = Retry(first_pause=moment, longest_pause=moment, time_limit=timedelta(hours=1))
    [outcome] = bus.emit_with_retry(EVENT, hotel_id=HOTEL, retry=retry)
    assert outcome.ok
    assert len(hearer.heard) == 3


WRONG_DURATIONS = (timedelta(0), timedelta(seconds=-1), timedelta(days=2), 5, 0.5, "1 s", None)
WRONG_RETRIES: dict[str, tuple[object, ...]] = {
    "attempts": (0, -1, 1_001, True, 2.0, "3", None),
    "first_pause": WRONG_DURATIONS,
    "longest_pause": (*WRONG_DURATIONS, timedelta(milliseconds=99)),
    "time_limit": WRONG_DURATIONS,
}


@pytest.mark.parametrize("name", WRONG_RETRIES)
def test_a_wrong_way_to_try_again_is_refused(name: str) -> None:
    """Numbers of seconds, no time at all and contradictions are refused by the field's name."""
    for value in WRONG_RETRIES[name]:
        with pytest.raises(InvalidInput, match=f"^{name}:"):
            anything(Retry)(**{name: value})


def test_what_is_no_retry_is_refused_before_anybody_is_told() -> None:
    """A number of attempts alone is no `Retry`."""
    hearer = Hearer("never", 0)
    with pytest.raises(InvalidInput, match=r"^retry:"):
        bus_of(hearer.hear).emit_with_retry(EVENT, hotel_id=HOTEL, retry=anything(3))
    assert hearer.heard == []
