"""The asyncio handles: the same operations, limits and promises as the synchronous ones."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any, TypeAlias, TypeVar

import psycopg
import pytest
from sqlalchemy import Connection, Engine

from hotelcore import Actor, AsyncHotelCore, HotelCore, Role, new_id
from hotelcore.core import AsyncDesk
from hotelcore.domain.rooms import RoomCondition
from hotelcore.errors import (
    AlreadyExists,
    DatabaseBusy,
    IdempotencyConflict,
    InvalidInput,
    PermissionDenied,
    ReadOnly,
    TransactionTimeout,
    UnitAborted,
    WaitTimeout,
)
from hotelcore.events.catalogue import RoomStatusChanged
from hotelcore.ids import HotelId
from hotelcore.lists import GuestFilter
from hotelcore.operations import (
    add_rooms,
    bulk_update_room_status,
    check_in_guest,
    create_booking_with_folio,
    register_guest,
    register_hotel,
)
from hotelcore.unit_of_work import UnitOfWork
from tests.hindrances import (
    PAST,
    SHORT,
    ends_at,
    keep_hotel_locked,
    sessions_in_transaction,
    slow_database,
)
from tests.small_hotel import (
    TODAY,
    SmallHotel,
    new_rows,
    nothing_kept,
    open_hotel,
    row_counts,
    shared_core,
)

R = TypeVar("R")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def core(request: pytest.FixtureRequest) -> Generator[HotelCore]:
    """Return a synchronous core that all tests share, on SQLite and PostgreSQL in turn."""
    with shared_core(request) as core:
        yield core


@pytest.fixture
def hotel(core: HotelCore) -> SmallHotel:
    """Return a new hotel, reached through the synchronous core."""
    return open_hotel(core)


@asynccontextmanager
async def desk_of(hotel: SmallHotel) -> AsyncGenerator[AsyncDesk]:
    """Return the administrator's asyncio handle on the hotel's database."""
    core = AsyncHotelCore(hotel.core.engine.url)
    try:
        yield core.acting_as(hotel.desk.actor)
    finally:
        await core.close()


# -- the same as without asyncio --------------------------------------------------------------


def test_operations_are_the_same_functions(hotel: SmallHotel) -> None:
    """What an asyncio handle did, a synchronous one reads, audited and reported alike."""

    async def work() -> None:
        async with desk_of(hotel) as desk:
            guest = await desk.run(register_guest, last_name="Awaited")
            booking, folio = await desk.run(
                create_booking_with_folio,
                guest_id=guest.id,
                room_type_id=hotel.room_type_id,
                stay=hotel.booked()[0].stay,
            )
            inside, keys = await desk.run(check_in_guest, booking_id=booking.id, keys=2)
            async with desk.reading() as unit:
                assert await unit.run(lambda uow: uow.bookings.get(booking.id)) == inside
        with hotel.desk.reading() as uow:
            assert uow.guests.get(guest.id) == guest
            assert uow.bookings.get(booking.id) == inside
            assert uow.folios.get(folio.id) == folio
            assert uow.keys.of_booking(booking.id) == keys

    asyncio.run(work())
    # Four to set the hotel up, one booking here, three commands there.
    assert hotel.core.prove(hotel.hotel_id, commands=8).ok


def test_a_transaction_is_kept_as_a_whole(hotel: SmallHotel) -> None:
    """Several steps and a savepoint in one transaction become real together."""

    def try_two(uow: UnitOfWork) -> None:
        with suppress(AlreadyExists), uow.savepoint():
            register_guest(uow, last_name="Undone")
            add_rooms(uow, room_type_id=hotel.room_type_id, numbers=["000"])

    async def work() -> None:
        async with desk_of(hotel) as desk, desk.transaction() as unit:
            await unit.run(register_guest, last_name="Kept")
            await unit.run(try_two)
            await unit.run(register_guest, last_name="Kept too")

    asyncio.run(work())
    with hotel.desk.reading() as uow:
        names = [guest.last_name for guest in uow.guests.page(GuestFilter()).items]
    assert names == ["First", "Kept", "Kept too"]


def test_a_failed_transaction_leaves_nothing(hotel: SmallHotel) -> None:
    """Whatever leaves the block early takes everything with it, a swallowed refusal too."""

    async def leave(error: BaseException) -> None:
        async with desk_of(hotel) as desk, desk.transaction() as unit:
            await unit.run(register_guest, last_name="Gone")
            raise error

    async def swallow() -> None:
        async with desk_of(hotel) as desk, desk.transaction() as unit:
            await unit.run(register_guest, last_name="Gone")
            with pytest.raises(InvalidInput):
                await unit.run(register_guest, last_name="")

    with nothing_kept(hotel.core.engine):
        for error in (ValueError("mine"), asyncio.CancelledError(), KeyboardInterrupt()):
            with pytest.raises(type(error)) as raised:
                asyncio.run(leave(error))
            assert raised.value is error
        with pytest.raises(UnitAborted):
            asyncio.run(swallow())


def test_reading_refuses_to_write(hotel: SmallHotel) -> None:
    """A reading unit runs no command and changes nothing."""

    async def work() -> None:
        async with desk_of(hotel) as desk, desk.reading() as unit:
            with pytest.raises(ReadOnly):
                await unit.run(register_guest, last_name="Never")

    with nothing_kept(hotel.core.engine):
        asyncio.run(work())


def test_who_may_not_is_refused(hotel: SmallHotel) -> None:
    """Permissions are asked here as there."""

    async def work() -> None:
        core = AsyncHotelCore(hotel.core.engine.url)
        actor = Actor(hotel_id=hotel.hotel_id, subject="guest", role=Role.GUEST)
        with pytest.raises(PermissionDenied):
            await core.acting_as(actor).run(register_guest, last_name="Never")
        await core.close()

    with nothing_kept(hotel.core.engine, refusals=1):
        asyncio.run(work())


def test_an_async_core_needs_no_other(tmp_path_factory: pytest.TempPathFactory) -> None:
    """It creates its tables and sets hotels up by itself, also in memory."""

    async def work(url: str) -> None:
        core = AsyncHotelCore(url)
        await core.create_schema()
        actor = Actor(hotel_id=HotelId(new_id()), subject="root", role=Role.ADMIN)
        hotel = await core.acting_as(actor).run(
            register_hotel,
            name="Harbour",
            time_zone="Europe/Lisbon",
            currency="EUR",
            business_date=TODAY,
        )
        async with core.acting_as(actor).reading() as unit:
            assert await unit.run(lambda uow: uow.hotel) == hotel
        await core.close()

    asyncio.run(work(f"sqlite:///{tmp_path_factory.mktemp('async') / 'hotel.db'}"))
    asyncio.run(work("sqlite://"))


def test_a_host_joins_its_own_transaction(hotel: SmallHotel) -> None:
    """Commands inside the host's transaction become real with it, or not at all."""

    async def work() -> None:
        core = AsyncHotelCore(hotel.core.engine.url)
        desk = core.acting_as(hotel.desk.actor)

        def step(connection: Connection, name: str) -> None:
            with desk.joining(connection) as uow:
                register_guest(uow, last_name=name)

        async with core.engine.begin() as connection:
            await connection.run_sync(step, "Joined")
        async with core.engine.connect() as connection, connection.begin() as host:
            await connection.run_sync(step, "Left")
            await host.rollback()
        await core.close()

    asyncio.run(work())
    with hotel.desk.reading() as uow:
        names = [guest.last_name for guest in uow.guests.page(GuestFilter()).items]
    assert names == ["First", "Joined"]


def test_listeners_hear_of_what_was_committed(hotel: SmallHotel) -> None:
    """A listener is called after the commit, and never for what was rolled back."""
    heard: list[RoomStatusChanged] = []
    room_ids = [room.id for room in hotel.rooms]

    async def work() -> None:
        core = AsyncHotelCore(hotel.core.engine.url)
        core.events.subscribe(RoomStatusChanged, heard.append)
        desk = core.acting_as(hotel.desk.actor)
        dirty = partial(bulk_update_room_status, condition=RoomCondition.DIRTY)
        with suppress(ValueError):
            async with desk.transaction() as unit:
                await unit.run(dirty, room_ids=room_ids[:2])
                raise ValueError("mine")
        assert heard == []
        await desk.run(dirty, room_ids=room_ids)
        await core.close()

    asyncio.run(work())
    assert {event.room_id for event in heard} == set(room_ids)


def test_an_operation_is_run_by_the_open_unit(hotel: SmallHotel) -> None:
    """Who calls one with the unit itself is told of `run`; with the handle, of the handle's."""

    async def work() -> None:
        async with desk_of(hotel) as desk, desk.transaction() as unit:
            wrong: Any = unit
            with pytest.raises(InvalidInput, match=r"await unit\.run\(operation, …\)"):
                await register_guest(wrong, last_name="Guest")  # type: ignore[misc]  # the mistake
            wrong = desk
            with pytest.raises(InvalidInput, match=r"desk\.run\(operation, …\)"):
                register_guest(wrong, last_name="Guest")

    asyncio.run(work())


# -- many tasks at once ------------------------------------------------------------------------


# What a coroutine yields to the loop and is sent is the loop's affair.
Call: TypeAlias = Coroutine[Any, Any, R]


async def all_outcomes(calls: Sequence[Call[R]]) -> list[R | BaseException]:
    """Await all calls at once, whatever becomes of each."""
    return list(await asyncio.gather(*calls, return_exceptions=True))


def test_tasks_compete_fairly(hotel: SmallHotel) -> None:
    """Of 32 tasks that want the last three units three get one, the others are told why."""
    stay = hotel.booked()[0].stay

    async def sell(desk: AsyncDesk) -> None:
        await desk.run(
            create_booking_with_folio,
            guest_id=hotel.guest_id,
            room_type_id=hotel.room_type_id,
            stay=stay,
        )

    async def work() -> Counter[str]:
        async with desk_of(hotel) as desk:
            found = await all_outcomes([sell(desk) for _ in range(32)])
        return Counter(type(outcome).__name__ for outcome in found)

    assert asyncio.run(work()) == {"NoneType": 3, "SoldOut": 29}
    assert hotel.core.prove(hotel.hotel_id, commands=8).ok


def test_tasks_share_an_idempotency_key(hotel: SmallHotel) -> None:
    """32 tasks under one key get one guest; another argument is a conflict."""

    async def work() -> None:
        async with desk_of(hotel) as desk:
            once = desk.once("one")
            found = await all_outcomes(
                [once.run(register_guest, last_name="Once") for _ in range(32)]
            )
            assert len(set(found)) == 1
            assert not isinstance(found[0], BaseException)
            with pytest.raises(IdempotencyConflict):
                await once.run(register_guest, last_name="Twice")

    before = row_counts(hotel.core.engine)["hc_guest"]
    asyncio.run(work())
    assert row_counts(hotel.core.engine)["hc_guest"] == before + 1


def test_a_busy_unit_runs_again(hotel: SmallHotel) -> None:
    """When the database asks for it the whole unit runs again, and its effects happen once."""
    attempts: list[int] = []

    def work(uow: UnitOfWork) -> None:
        attempts.append(1)
        register_guest(uow, last_name="Again")
        if len(attempts) < 3:
            raise DatabaseBusy

    async def run() -> None:
        async with desk_of(hotel) as desk:
            await desk.run(work)

    before = row_counts(hotel.core.engine)
    asyncio.run(run())
    assert len(attempts) == 3
    assert new_rows(hotel.core.engine, since=before) == {"hc_guest": 1, "hc_audit_log": 1}


# -- limits --------------------------------------------------------------------------------------


async def everything_works(desk: AsyncDesk, engine: Engine) -> None:
    """Assert that every connection serves a unit, and no session hangs on the server."""
    await asyncio.gather(*(desk.run(register_guest, last_name=f"L{n}") for n in range(32)))
    assert sessions_in_transaction(engine) == []


@asynccontextmanager
async def locked_hotel(desk: AsyncDesk) -> AsyncGenerator[None]:
    """Keep the hotel locked by another unit while the body runs."""
    async with desk.transaction() as unit:
        await unit.run(keep_hotel_locked)
        yield


def test_a_wait_for_a_lock_ends_at_its_limit(hotel: SmallHotel) -> None:
    """Who waits for another task's lock is told in time, and the event loop runs on meanwhile."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async def work() -> None:
        async with desk_of(hotel) as desk:
            async with locked_hotel(desk):
                ticking = asyncio.create_task(tick())
                with ends_at(SHORT, WaitTimeout):
                    await desk.within(wait_limit=SHORT).run(keep_hotel_locked)
                ticking.cancel()
            await everything_works(desk, hotel.core.engine)

    asyncio.run(work())
    assert ticks > 5


def test_a_wait_for_a_connection_ends_at_its_limit(hotel: SmallHotel) -> None:
    """While all connections are in use, a task waits for one no longer than it may."""

    async def work() -> None:
        async with desk_of(hotel) as desk:
            short = desk.within(wait_limit=SHORT)
            async with AsyncExitStack() as units:
                for _ in range(15):
                    await units.enter_async_context(desk.reading())
                with ends_at(SHORT, WaitTimeout):
                    await short.run(register_guest, last_name="Late")
                with ends_at(SHORT, WaitTimeout):
                    async with short.reading():
                        pytest.fail("there was no connection left")
            await everything_works(desk, hotel.core.engine)

    asyncio.run(work())


def test_who_waits_for_a_connection_is_not_overtaken() -> None:
    """Tasks that want one connection again and again get it about equally often, in every loop."""
    core, turns, tasks = AsyncHotelCore("sqlite+aiosqlite://"), 200, 8
    actor = Actor(hotel_id=HotelId(new_id()), subject="ana", role=Role.ADMIN)

    async def work() -> None:
        await core.create_schema()
        desk, left = core.acting_as(actor), iter(range(turns))
        await desk.run(
            register_hotel, name="Sea", time_zone="UTC", currency="EUR", business_date=TODAY
        )

        async def take_turns() -> int:
            return len([await desk.run(register_guest, last_name="Next") for _ in left])

        taken = await asyncio.gather(*(take_turns() for _ in range(tasks)))
        assert min(taken) >= turns / tasks / 4
        await core.close()

    asyncio.run(work())
    asyncio.run(work())


def test_a_unit_that_takes_too_long_is_stopped(hotel: SmallHotel) -> None:
    """Short statements without end, and a sleep between two, end at the time limit."""

    def endless(uow: UnitOfWork) -> None:
        while True:
            register_guest(uow, last_name="Short")

    async def work() -> None:
        async with desk_of(hotel) as desk:
            short = desk.within(time_limit=SHORT)
            with nothing_kept(hotel.core.engine):
                with ends_at(SHORT, TransactionTimeout):
                    await short.run(endless)
                with ends_at(timedelta(seconds=PAST), TransactionTimeout):
                    async with short.transaction() as unit:
                        await unit.run(register_guest, last_name="Before")
                        await asyncio.sleep(PAST)
                        await unit.run(register_guest, last_name="After")
                with ends_at(timedelta(seconds=PAST), TransactionTimeout):
                    async with short.transaction() as unit:
                        await unit.run(register_guest, last_name="Before")
                        await asyncio.sleep(PAST)
            await everything_works(desk, hotel.core.engine)

    asyncio.run(work())


def test_one_long_statement_is_stopped(hotel: SmallHotel) -> None:
    """The database itself stops a statement at the unit's time limit."""

    async def work() -> None:
        engine = hotel.core.engine
        async with desk_of(hotel) as desk:
            short = desk.within(time_limit=SHORT)
            with nothing_kept(engine), slow_database(engine), ends_at(SHORT, TransactionTimeout):
                await short.run(register_guest, last_name="Slow")
            await everything_works(desk, engine)

    asyncio.run(work())


def endless(uow: UnitOfWork) -> None:
    """Write for ever."""
    while True:
        register_guest(uow, last_name="Short")


async def cancelled(call: Call[object]) -> None:
    """Cancel a call that is at work."""
    task = asyncio.create_task(call)
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_cancelled_task_leaves_nothing(hotel: SmallHotel) -> None:
    """Tasks that are cancelled while they wait or write leave no row, no lock and no session."""

    async def work() -> None:
        async with desk_of(hotel) as desk:
            waiting = desk.within(wait_limit=timedelta(seconds=1))
            with nothing_kept(hotel.core.engine):
                await cancelled(desk.run(endless))
            async with locked_hotel(desk):
                await cancelled(waiting.run(keep_hotel_locked))
            await everything_works(desk, hotel.core.engine)

    asyncio.run(work())


@pytest.mark.parametrize("core", ["postgresql"], indirect=True)
def test_a_cancellation_is_not_lost_in_the_driver(
    hotel: SmallHotel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that is cancelled just when the answer comes ends, and its unit is undone.

    The driver is made to wait as Python 3.11's `asyncio.wait_for` does at that moment.
    """
    wait = psycopg.AsyncConnection.wait

    async def forgetting(connection: Any, *args: Any, **kwargs: Any) -> Any:
        answer = asyncio.ensure_future(wait(connection, *args, **kwargs))
        with suppress(asyncio.CancelledError):
            return await asyncio.shield(answer)
        return await answer

    async def work() -> None:
        async with desk_of(hotel) as desk:
            with nothing_kept(hotel.core.engine):
                await cancelled(desk.run(endless))
            await everything_works(desk, hotel.core.engine)

    monkeypatch.setattr(psycopg.AsyncConnection, "wait", forgetting)
    asyncio.run(work())


def test_a_task_that_is_cancelled_at_any_moment_keeps_no_lock(hotel: SmallHotel) -> None:
    """Whatever it was doing, the next one need not wait for it; 60 moments by the seed 7."""
    chance = Random(7)

    async def work() -> None:
        async with desk_of(hotel) as desk:
            waiting = desk.within(wait_limit=timedelta(seconds=1))
            for number in range(60):
                task = asyncio.create_task(desk.run(register_guest, last_name=f"Gone {number}"))
                await asyncio.sleep(chance.random() * 0.02)
                task.cancel()
                # It is kept until the next one is through, as whoever looks at its error keeps it.
                await asyncio.wait([task])
                await waiting.run(register_guest, last_name=f"Stays {number}")
            async with desk.reading() as unit:
                page = await unit.run(
                    lambda uow: uow.guests.page(GuestFilter(last_name="Stays"), limit=100)
                )
            assert len(page.items) == 60

    asyncio.run(work())
