"""The time limits: kept on both databases, whatever takes the time, and nothing stays behind."""

from __future__ import annotations

import socket
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import timedelta
from threading import Event

import pytest
from sqlalchemy import create_engine, event

from hotelcore import Actor, HotelCore, Role, new_id
from hotelcore.clock import FixedClock
from hotelcore.domain.rooms import RoomCondition
from hotelcore.errors import (
    DatabaseBusy,
    DatabaseFailure,
    HotelcoreError,
    InvalidInput,
    TransactionTimeout,
    WaitTimeout,
)
from hotelcore.ids import HotelId
from hotelcore.lists import GuestFilter
from hotelcore.operations import bulk_update_room_status, register_guest
from hotelcore.unit_of_work import UnitOfWork
from tests.hindrances import (
    GRACE,
    LONG,
    PAST,
    SHORT,
    ends_at,
    keep_hotel_locked,
    linger,
    locked_by_a_process,
    locked_hotel,
    sessions_in_transaction,
    slow_database,
)
from tests.operations.small_hotel import NOON
from tests.small_hotel import TODAY, SmallHotel, nothing_kept, open_hotel, shared_core

pytestmark = pytest.mark.long


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def core(request: pytest.FixtureRequest) -> Generator[HotelCore]:
    """Return a core that all tests share, on SQLite and PostgreSQL in turn."""
    with shared_core(request) as core:
        yield core


@pytest.fixture
def hotel(core: HotelCore) -> SmallHotel:
    """Return a new hotel."""
    return open_hotel(core)


def everything_works(hotel: SmallHotel) -> None:
    """Assert that every connection serves a unit, and no session hangs on the server."""
    with ExitStack() as units:
        for _ in range(15):
            units.enter_context(hotel.desk.reading()).guests.get(hotel.guest_id)
    for number in range(16):
        hotel.desk.run(register_guest, last_name=f"Later {number}")
    assert sessions_in_transaction(hotel.core.engine) == []


# -- waits ----------------------------------------------------------------------------------------


def test_a_wait_for_a_lock_ends_at_its_limit(hotel: SmallHotel) -> None:
    """Who waits for a lock of another thread is told when the wait limit is reached."""
    desk = hotel.desk.within(wait_limit=SHORT)
    with locked_hotel(hotel), nothing_kept(hotel.core.engine), ends_at(SHORT, WaitTimeout):
        desk.run(keep_hotel_locked)
    everything_works(hotel)


def test_a_wait_never_outlasts_the_unit(hotel: SmallHotel) -> None:
    """Where the time limit is shorter than the wait limit, the unit ends at the time limit."""
    desk = hotel.desk.within(wait_limit=LONG, time_limit=SHORT)
    with locked_hotel(hotel), ends_at(SHORT, HotelcoreError):
        desk.run(keep_hotel_locked)
    everything_works(hotel)


def test_a_wait_for_a_connection_ends_at_its_limit(hotel: SmallHotel) -> None:
    """While all connections are in use, a unit waits for one no longer than it may."""
    desk = hotel.desk.within(wait_limit=SHORT)
    with ExitStack() as units:
        for _ in range(15):
            units.enter_context(hotel.desk.reading()).guests.get(hotel.guest_id)
        with ends_at(SHORT, WaitTimeout):
            desk.run(register_guest, last_name="Late")
        with ends_at(SHORT, WaitTimeout), desk.reading():
            pytest.fail("there was no connection left")
    everything_works(hotel)


def test_who_waits_for_a_connection_is_not_overtaken() -> None:
    """Threads that want one connection again and again get it about equally often."""
    core = HotelCore("sqlite://")
    core.create_schema()
    hotel, turns, threads = open_hotel(core), iter(range(400)), 8

    def take_turns(_: int) -> int:
        return sum(bool(hotel.desk.run(register_guest, last_name="Next")) for _ in turns)

    with ThreadPoolExecutor(threads) as pool:
        taken = list(pool.map(take_turns, range(threads)))
    # Where whoever is quick may overtake, most threads get next to nothing until the others end.
    assert min(taken) >= 400 / threads / 4
    core.close()


def test_a_wait_for_a_connection_of_the_host_ends_as_typed(hotel: SmallHotel) -> None:
    """A pool of the host's has one limit of its own for all; who waits longer is told the same."""
    engine = create_engine(
        hotel.core.engine.url, pool_size=1, max_overflow=0, pool_timeout=SHORT.total_seconds()
    )
    desk = HotelCore(engine).acting_as(hotel.desk.actor)
    with engine.connect(), ends_at(SHORT, WaitTimeout):
        desk.run(register_guest, last_name="Late")
    desk.run(register_guest, last_name="In time")
    engine.dispose()


def test_a_server_that_does_not_answer_is_given_up() -> None:
    """An answer is waited for as long as the URL says, and five seconds where it says nothing."""
    assert HotelCore("postgresql://127.0.0.1/hotel").engine.url.query["connect_timeout"] == "5"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        _, port = silent.getsockname()
        core = HotelCore(f"postgresql://127.0.0.1:{port}/hotel?connect_timeout=2")
        actor = Actor(hotel_id=HotelId(new_id()), subject="ana", role=Role.ADMIN)
        with ends_at(timedelta(seconds=2), WaitTimeout):
            core.acting_as(actor).run(register_guest, last_name="Lost")
    with pytest.raises(DatabaseFailure):
        core.acting_as(actor).run(register_guest, last_name="Refused")
    core.close()


def test_a_wait_for_another_process_ends_at_its_limit(hotel: SmallHotel) -> None:
    """A lock of another process, on SQLite that of the whole file, is waited for no longer."""
    desk = hotel.desk.within(wait_limit=SHORT)
    with locked_by_a_process(hotel.core.engine), ends_at(SHORT, WaitTimeout):
        desk.run(register_guest, last_name="Waiting")
    everything_works(hotel)


def test_a_fresh_connection_waits_no_longer_for_another_process(hotel: SmallHotel) -> None:
    """The very first unit of a core keeps its wait limit too."""
    core = HotelCore(hotel.core.engine.url)
    desk = core.acting_as(hotel.desk.actor).within(wait_limit=SHORT)
    with locked_by_a_process(hotel.core.engine), ends_at(SHORT, WaitTimeout):
        desk.run(register_guest, last_name="Waiting")
    core.close()


def test_a_wait_within_the_limit_is_worth_it(hotel: SmallHotel) -> None:
    """A unit that gets the lock before its limit goes on, and succeeds."""
    with ThreadPoolExecutor(1) as thread:
        with locked_hotel(hotel):
            waiting = thread.submit(hotel.desk.run, keep_hotel_locked)
            linger(SHORT.total_seconds())
            assert not waiting.done()
        assert waiting.result() is None


def test_a_call_under_a_taken_key_waits_no_longer(hotel: SmallHotel) -> None:
    """The second call under an idempotency key waits for the first one, up to its wait limit."""
    desk = hotel.desk.within(wait_limit=SHORT).once("one")
    begun, done = Event(), Event()

    def slow(uow: UnitOfWork) -> None:
        begun.set()
        done.wait()

    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(hotel.desk.once("one").run, slow)
        try:
            assert begun.wait(timeout=30)
            with ends_at(SHORT, WaitTimeout):
                desk.run(slow)
        finally:
            done.set()
        first.result()


# -- units that take too long ---------------------------------------------------------------------


def write_without_end(uow: UnitOfWork) -> None:
    """Run short statements for ever."""
    while True:
        register_guest(uow, last_name="Short")


def read_without_end(uow: UnitOfWork) -> None:
    """Run short reading statements for ever."""
    while True:
        uow.guests.page(GuestFilter(), limit=1)


def sleep_between(uow: UnitOfWork) -> None:
    """Write, let the time limit pass, and write again."""
    register_guest(uow, last_name="Before")
    linger(PAST)
    register_guest(uow, last_name="After")


def test_a_unit_of_many_short_statements_is_stopped(hotel: SmallHotel) -> None:
    """No statement of it takes long, and yet the unit ends at its time limit."""
    desk = hotel.desk.within(time_limit=SHORT)
    with nothing_kept(hotel.core.engine), ends_at(SHORT, TransactionTimeout):
        desk.run(write_without_end)
    everything_works(hotel)


def test_a_reading_unit_of_many_short_statements_is_stopped(hotel: SmallHotel) -> None:
    """Reading has the same time limit as writing."""
    desk = hotel.desk.within(time_limit=SHORT)
    with ends_at(SHORT, TransactionTimeout), desk.reading() as uow:
        read_without_end(uow)
    everything_works(hotel)


def test_one_long_statement_is_stopped(hotel: SmallHotel) -> None:
    """The database itself stops a statement at the unit's time limit."""
    desk, engine = hotel.desk.within(time_limit=SHORT), hotel.core.engine
    with nothing_kept(engine), slow_database(engine), ends_at(SHORT, TransactionTimeout):
        desk.run(register_guest, last_name="Slow")
    everything_works(hotel)


def test_one_long_statement_after_short_ones_is_stopped(hotel: SmallHotel) -> None:
    """What the earlier statements took is taken off the time of the long one."""
    desk, engine = hotel.desk.within(time_limit=2 * SHORT), hotel.core.engine

    def work(uow: UnitOfWork) -> None:
        rooms = [room.id for room in hotel.rooms]
        bulk_update_room_status(uow, room_ids=rooms, condition=RoomCondition.DIRTY)
        linger(SHORT.total_seconds())
        register_guest(uow, last_name="Slow")

    with nothing_kept(engine), slow_database(engine), ends_at(2 * SHORT, TransactionTimeout):
        desk.run(work)
    everything_works(hotel)


def test_one_long_statement_that_reads_is_stopped(hotel: SmallHotel) -> None:
    """A statement of a reading unit is stopped at the time limit as well."""
    desk = hotel.desk.within(time_limit=SHORT)
    with (
        slow_database(hotel.core.engine),
        ends_at(SHORT, TransactionTimeout),
        desk.reading() as uow,
    ):
        uow.business_days.find(TODAY)
    everything_works(hotel)


def test_a_unit_that_sleeps_is_stopped_at_its_next_statement(hotel: SmallHotel) -> None:
    """Host code cannot be stopped from outside, but the unit writes nothing afterwards."""
    desk = hotel.desk.within(time_limit=SHORT)
    with (
        nothing_kept(hotel.core.engine),
        ends_at(timedelta(seconds=PAST), TransactionTimeout),
    ):
        desk.run(sleep_between)
    everything_works(hotel)


def test_a_unit_that_sleeps_is_stopped_at_its_end(hotel: SmallHotel) -> None:
    """A unit whose time ran out before its end is not committed."""
    desk = hotel.desk.within(time_limit=SHORT)
    with (
        nothing_kept(hotel.core.engine),
        ends_at(timedelta(seconds=PAST), TransactionTimeout),
        desk.transaction() as uow,
    ):
        register_guest(uow, last_name="Before")
        linger(PAST)
    everything_works(hotel)


def test_a_unit_whose_last_statement_took_too_long_is_not_committed(hotel: SmallHotel) -> None:
    """The limit is looked at once more before the commit, when no statement follows that would."""
    engine = hotel.core.engine

    def late(_: object, __: object, statement: str, *rest: object) -> None:
        if statement.startswith("INSERT INTO hc_audit_log"):
            linger(PAST)

    event.listen(engine, "after_cursor_execute", late)
    try:
        with (
            nothing_kept(engine),
            ends_at(timedelta(seconds=PAST), TransactionTimeout),
            hotel.desk.within(time_limit=SHORT).transaction() as uow,
        ):
            register_guest(uow, last_name="Late")
    finally:
        event.remove(engine, "after_cursor_execute", late)
    everything_works(hotel)


@pytest.mark.parametrize("where", ["inside", "before", "at the end"])
def test_a_unit_that_sleeps_is_stopped_at_a_savepoint(hotel: SmallHotel, where: str) -> None:
    """A savepoint begins, ends and is undone under the same limit, and in the same words."""
    desk = hotel.desk.within(time_limit=SHORT)

    def work(uow: UnitOfWork) -> None:
        register_guest(uow, last_name="Before")
        if where == "before":
            linger(PAST)
        with uow.savepoint():
            if where != "before":
                linger(PAST)
            if where == "inside":
                register_guest(uow, last_name="Inside")

    with (
        nothing_kept(hotel.core.engine),
        ends_at(timedelta(seconds=PAST), TransactionTimeout),
    ):
        desk.run(work)
    everything_works(hotel)


def test_a_stuck_host_keeps_no_session_open(hotel: SmallHotel) -> None:
    """While host code sleeps past the limit, the server has already ended its transaction."""
    desk = hotel.desk.within(time_limit=SHORT)
    engine = hotel.core.engine

    def stuck() -> None:
        with desk.transaction() as uow:
            register_guest(uow, last_name="Before")
            begun.set()
            done.wait()
            register_guest(uow, last_name="After")

    begun, done = Event(), Event()
    with nothing_kept(engine), ThreadPoolExecutor(1) as thread:
        unit = thread.submit(stuck)
        try:
            assert begun.wait(timeout=30)
            linger(SHORT.total_seconds() + GRACE)
            assert sessions_in_transaction(engine) == []
        finally:
            done.set()
        assert isinstance(unit.exception(), TransactionTimeout)
    everything_works(hotel)


def test_a_unit_that_is_always_busy_ends_at_its_limit(hotel: SmallHotel) -> None:
    """All attempts of a unit share one time limit: two of 20 s are more than 30 s."""
    clock, attempts = FixedClock(NOON), iter(range(2))

    def busy(uow: UnitOfWork) -> None:
        next(attempts)
        register_guest(uow, last_name="Again")
        clock.advance(timedelta(seconds=20))
        raise DatabaseBusy

    with closing(HotelCore(hotel.core.engine.url, clock=clock)) as core:
        desk = core.acting_as(hotel.desk.actor).within(time_limit=timedelta(seconds=30))
        with nothing_kept(hotel.core.engine), pytest.raises(TransactionTimeout):
            desk.run(busy)
    assert list(attempts) == []
    everything_works(hotel)


def test_limits_are_those_of_the_call(hotel: SmallHotel) -> None:
    """A connection that served a unit with short limits serves the next one with its own."""
    desk = hotel.desk.within(wait_limit=SHORT, time_limit=SHORT)
    with hotel.core.engine.connect():
        pass
    desk.run(register_guest, last_name="Short")
    with desk.reading() as uow:
        uow.guests.get(hotel.guest_id)
    with hotel.desk.transaction() as uow:
        register_guest(uow, last_name="Before")
        linger(PAST)
        register_guest(uow, last_name="After")
    with locked_hotel(hotel), ends_at(2 * SHORT, WaitTimeout):
        hotel.desk.within(wait_limit=2 * SHORT).run(keep_hotel_locked)


def test_a_handle_keeps_the_limits_it_is_not_given(hotel: SmallHotel) -> None:
    """`within` changes what it names and leaves the rest, also of an earlier `within`."""
    desk = hotel.desk.within(wait_limit=SHORT).within(time_limit=LONG).once("key")
    with locked_hotel(hotel), ends_at(SHORT, WaitTimeout):
        desk.run(keep_hotel_locked)


@pytest.mark.parametrize(
    "limits",
    [
        {"wait_limit": timedelta(0)},
        {"wait_limit": timedelta(seconds=-1)},
        {"time_limit": timedelta(hours=2)},
        {"time_limit": 5},
        {"wait_limit": "5"},
        {"isolation": "READ UNCOMMITTED"},
        {"isolation": "read committed; DROP TABLE hc_hotel"},
    ],
)
def test_impossible_limits_are_refused(hotel: SmallHotel, limits: dict[str, object]) -> None:
    """A limit is a span of time above zero, an isolation level one that is known."""
    with pytest.raises(InvalidInput) as refused:
        hotel.desk.within(**limits)  # type: ignore[arg-type]  # what is wrong here is the test
    assert [refused.value.field] == list(limits)
