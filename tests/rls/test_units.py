"""Units of work as the application's role: each statement of each is held to its own hotel."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from typing import Any

import pytest
from attrs import frozen
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DataError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Session

from hotelcore import HotelCore, TableNames, new_id
from hotelcore.core import AsyncDesk, AsyncHotelCore, AsyncUnit
from hotelcore.errors import DatabaseBusy, DatabaseFailure, InvalidInput, NotFound
from hotelcore.events.catalogue import BookingCreated
from hotelcore.ids import HotelId
from hotelcore.operations import register_guest
from hotelcore.relay import Relay
from hotelcore.relay.backlog import backlog
from hotelcore.relay.feeding import Feeder
from hotelcore.sql.seam.limits import EVERY_HOTEL
from hotelcore.subscriptions import Delivery, Subscriptions
from hotelcore.unit_of_work import UnitOfWork
from tests.every_operation import good_call
from tests.operations.small_hotel import counted_statements
from tests.relay.scene import MINUTE
from tests.rls.land import Land, asked, connection_of, new_land, run_of, tell, told
from tests.small_hotel import SmallHotel, open_hotel


@frozen
class Two:
    """Two hotels that one core of the application serves."""

    core: HotelCore
    ours: SmallHotel
    theirs: SmallHotel


@pytest.fixture(scope="module")
def two(land: Land) -> Iterator[Two]:
    """Return two hotels over one engine of the host's with a single connection."""
    engine = create_engine(land.app, pool_size=1, max_overflow=0, pool_timeout=5)
    core = HotelCore(engine, row_security=True)
    yield Two(core, open_hotel(core), open_hotel(core))
    engine.dispose()


_OWNERS = "SELECT DISTINCT hotel_id FROM hc_guest"


def shown(connection: Connection) -> set[object]:
    """Return whose guests raw SQL is shown."""
    return set(connection.scalars(text(_OWNERS)))


def sees_its_own(uow: UnitOfWork, hotel: SmallHotel) -> None:
    """Assert that the unit is shown its guests and no other hotel's, also by raw SQL."""
    assert set(asked(run_of(uow), _OWNERS)) == {hotel.hotel_id}
    assert uow.guests.get(hotel.guest_id).hotel_id == hotel.hotel_id
    assert set(asked(run_of(uow), _OWNERS)) == {hotel.hotel_id}


# -- each kind of unit --------------------------------------------------------------------------


def test_every_kind_of_unit_begins_with_its_hotel(two: Two) -> None:
    """From the unit's first statement on it is shown its hotel's rows.

    A reading unit names the hotel with each of its own statements: other SQL is shown nothing.
    """
    for hotel in (two.ours, two.theirs, two.ours):
        hotel.desk.run(sees_its_own, hotel)
        with hotel.desk.transaction() as uow:
            sees_its_own(uow, hotel)
            assert shown(connection_of(uow)) == {hotel.hotel_id}
        with hotel.desk.reading() as uow:
            sees_its_own(uow, hotel)
            assert shown(connection_of(uow)) == set()
        with two.core.engine.begin() as host, hotel.desk.joining(host) as uow:
            assert shown(host) == {hotel.hotel_id}


_LEFT_SET = text("SELECT name FROM pg_settings WHERE name ~ '_timeout$' AND setting <> reset_val")


def nothing_is_left(two: Two) -> None:
    """Assert that the pool's one connection names no hotel, shows no row, and has no limits."""
    with two.core.engine.connect() as connection:
        assert connection.scalars(_LEFT_SET).all() == []
        assert told(connection) == ""
        assert shown(connection) == set()


def test_nothing_is_left_on_the_pooled_connection(two: Two) -> None:
    """However a unit ends, who takes its connection next has named nobody."""
    for hotel in (two.ours, two.theirs):
        hotel.desk.run(register_guest, last_name="Kept")
        nothing_is_left(two)
        with suppress(NotFound), hotel.desk.transaction() as uow:
            uow.guests.get(new_id())  # type: ignore[arg-type]  # of no guest
        nothing_is_left(two)
        with hotel.desk.reading() as uow:
            uow.guests.get(hotel.guest_id)
        nothing_is_left(two)
        abandoned = hotel.desk.transaction()
        abandoned.__enter__().guests.get(hotel.guest_id)
        del abandoned
        nothing_is_left(two)
        two.core.prove(hotel.hotel_id)
        nothing_is_left(two)
        assert two.core.verify_audit(hotel.hotel_id).entries
        nothing_is_left(two)
        with two.core._serving() as run:
            assert run.dialect == "postgresql"
        nothing_is_left(two)


def test_a_savepoint_that_is_undone_keeps_the_hotel(two: Two) -> None:
    """After the library's own savepoint, and after the host's around a joined unit."""
    with two.ours.desk.transaction() as uow:
        with suppress(NotFound), uow.savepoint():
            uow.guests.get(new_id())  # type: ignore[arg-type]  # of no guest
        sees_its_own(uow, two.ours)
    with two.core.engine.begin() as host:
        savepoint = host.begin_nested()
        with two.theirs.desk.joining(host) as uow:
            sees_its_own(uow, two.theirs)
        savepoint.rollback()
        with two.ours.desk.joining(host) as uow:
            sees_its_own(uow, two.ours)


def test_a_second_attempt_names_its_hotel_again(two: Two) -> None:
    """A unit that the database wants again runs on a new transaction, which knows nothing."""
    attempts: list[str] = []

    def busy_at_first(uow: UnitOfWork) -> None:
        sees_its_own(uow, two.ours)
        attempts.append(told(connection_of(uow)))
        if len(attempts) < 3:
            raise DatabaseBusy

    two.ours.desk.run(busy_at_first)
    assert attempts == [str(two.ours.hotel_id)] * 3


def test_a_new_connection_is_told_too(two: Two, land: Land) -> None:
    """After the server ended the session, the next unit works on another, and sees its own."""

    def lost(uow: UnitOfWork) -> None:
        [pid] = asked(run_of(uow), "SELECT pg_backend_pid()")
        land.execute(f"SELECT pg_terminate_backend({pid})")
        uow.guests.get(two.ours.guest_id)

    with pytest.raises(DatabaseFailure):
        two.ours.desk.run(lost)
    two.theirs.desk.run(sees_its_own, two.theirs)
    nothing_is_left(two)


# -- in a host's transaction --------------------------------------------------------------------


def test_the_host_has_its_own_hotel_back(two: Two) -> None:
    """What the host had named for itself stands again after the unit, whether it went well."""
    mine = new_id()
    for named, expected in ((None, ""), (mine, str(mine)), (two.ours.hotel_id, None)):
        with two.core.engine.begin() as host:
            if named is not None:
                tell(host, named)
            with two.theirs.desk.joining(host) as uow:
                sees_its_own(uow, two.theirs)
            assert told(host) == (expected if expected is not None else str(named))
            with suppress(NotFound), two.theirs.desk.joining(host) as uow:
                uow.guests.get(new_id())  # type: ignore[arg-type]  # of no guest
            assert told(host) == (expected if expected is not None else str(named))


def test_two_units_in_one_transaction_take_turns(two: Two) -> None:
    """Nested, each reads its own hotel at every turn, and the inner leaves the outer as it was."""
    with two.core.engine.begin() as host, two.ours.desk.joining(host) as outer:
        for failing in (False, True):
            with suppress(ZeroDivisionError), two.theirs.desk.joining(host) as inner:
                assert shown(host) == {two.theirs.hotel_id}
                for _ in range(2):
                    sees_its_own(inner, two.theirs)
                    sees_its_own(outer, two.ours)
                # What is told inside a savepoint is taken back with it: the inner hotel stands.
                sees_its_own(inner, two.theirs)
                with host.begin_nested() as savepoint:
                    sees_its_own(outer, two.ours)
                    savepoint.rollback()
                sees_its_own(outer, two.ours)
                if failing:
                    raise ZeroDivisionError
            assert told(host) == str(two.ours.hotel_id)
            sees_its_own(outer, two.ours)
        register_guest(outer, last_name="Outer")
    nothing_is_left(two)


def test_a_unit_in_a_session_is_held_too(two: Two) -> None:
    """The ORM's session is a host like any other."""
    with Session(two.core.engine) as session, session.begin():
        with two.ours.desk.joining(session) as uow:
            sees_its_own(uow, two.ours)
        assert told(session.connection()) == ""


def test_a_host_that_names_another_hotel_is_shown_nothing(two: Two) -> None:
    """Whatever the host does to the setting, the unit never reads the other hotel's rows."""
    with two.core.engine.begin() as host, two.ours.desk.joining(host) as uow:
        uow.guests.get(two.ours.guest_id)
        tell(host, two.theirs.hotel_id)
        for guest_id in (two.ours.guest_id, two.theirs.guest_id):
            with pytest.raises(NotFound):
                uow.guests.get(guest_id)


# -- what it costs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["create_booking_with_folio", "check_out_guest", "close_business_day", "purge_events"]
)
def test_an_operation_takes_as_many_statements_as_without(two: Two, land: Land, name: str) -> None:
    """The hotel is named together with the first statement."""
    sent: list[Sequence[str]] = []
    with closing(land.core()) as held, closing(HotelCore(land.root)) as free:
        for core in (held, free):
            call = good_call(name, open_hotel(core))
            with counted_statements(core) as statements:
                call.run()
            sent.append(tuple(statements))
    assert sent[0] == sent[1]


def test_a_batch_of_the_relay_takes_as_many_statements_as_without(two: Two, land: Land) -> None:
    """Whose rows the relay reads is said with its first statement."""
    sent: list[int] = []
    with closing(HotelCore(land.root)) as other:
        for core in (two.core, other):
            feeder = Feeder(core, transport=None, batch=100, lease=MINUTE)
            while feeder.feed():
                pass
            open_hotel(core).booked()
            with counted_statements(core) as statements:
                assert feeder.feed() > 0
            sent.append(len(statements))
    assert sent == [2, 2]


# -- the relay ----------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [TableNames(), TableNames(prefix="inn_", schema="hotel")])
def test_the_relay_serves_every_hotel(postgresql_server: Engine, names: TableNames) -> None:
    """As the application's role, under whatever names, it delivers, retries and counts for all."""
    heard: list[HotelId] = []
    on = Subscriptions()

    @on.durable(BookingCreated, name="letters", attempts=1)
    def write(delivery: Delivery[BookingCreated]) -> None:
        hotel_id = delivery.event.hotel_id
        heard.append(hotel_id)
        if heard.count(hotel_id) == 1:
            raise ValueError
        with delivery.transaction() as uow:
            assert shown_in(uow, names) == {hotel_id}

    with new_land(postgresql_server, names) as land, closing(land.core(subscriptions=on)) as core:
        hotels = [open_hotel(core) for _ in range(3)]
        for hotel in hotels:
            hotel.booked()
        waiting = backlog(core)
        assert {each.hotel_id for each in waiting.hotels} == {each.hotel_id for each in hotels}
        Relay(core).run_until_idle()
        assert sorted(heard) == sorted(hotel.hotel_id for hotel in hotels)
        assert sum(each.dead_letters for each in backlog(core).subscriptions) == len(hotels)
        for hotel in hotels:
            good_call("retry_dead_letters", hotel).run(event_ids=None)
        Relay(core).run_until_idle()
        assert sorted(heard) == sorted([hotel.hotel_id for hotel in hotels] * 2)
        assert backlog(core).hotels == ()
        for hotel in hotels:
            assert core.prove(hotel.hotel_id).ok


def shown_in(uow: UnitOfWork, names: TableNames) -> set[object]:
    """Return whose guests raw SQL on a unit's connection is shown, under other names."""
    place = f"{names.schema or 'public'}.{names.prefix}guest"
    return set(asked(run_of(uow), f"SELECT DISTINCT hotel_id FROM {place}"))


def test_the_relay_is_shown_events_alone(two: Two) -> None:
    """For all hotels at once it reads what it delivers; of one hotel, only that hotel's."""
    seen = "SELECT DISTINCT hotel_id FROM hc_outbox"
    ours = two.ours.hotel_id
    for hotel in (two.ours, two.theirs):
        hotel.booked()
    with two.core._serving() as run:
        assert {ours, two.theirs.hotel_id} <= set(asked(run, seen))
        assert told(run._connection) == EVERY_HOTEL
        for table in ("hc_hotel", "hc_guest", "hc_booking", "hc_folio", "hc_audit_log"):
            # The relay's word for all hotels is the name of none.
            with pytest.raises(DataError), run._connection.begin_nested():
                run._connection.execute(text(f"SELECT 1 FROM {table}"))
    with two.core._serving(ours) as run:
        assert set(asked(run, seen)) == {ours} == shown(run._connection)


# -- asyncio ------------------------------------------------------------------------------------


def test_asyncio_units_are_held_too(land: Land, two: Two) -> None:
    """Many at once over few connections, each sees its own hotel, and nothing is left behind."""

    async def work() -> None:
        core = AsyncHotelCore(land.app, row_security=True)
        desks = [(core.acting_as(hotel.desk.actor), hotel) for hotel in (two.ours, two.theirs)]
        await asyncio.gather(*(all_kinds(*desk, core) for desk in desks * 10))
        async with core.engine.connect() as connection:
            assert await connection.run_sync(shown) == set()
        assert (await core.prove(two.ours.hotel_id)).ok
        await core.close()

    async def all_kinds(desk: AsyncDesk, hotel: SmallHotel, core: AsyncHotelCore) -> None:
        await desk.run(sees_its_own, hotel)
        async with desk.transaction() as unit:
            await looks(unit, hotel)
        async with desk.reading() as unit:
            await looks(unit, hotel)
        async with core.engine.begin() as host:
            await joins(host, desk, hotel)

    async def looks(unit: AsyncUnit, hotel: SmallHotel) -> None:
        for _ in range(3):
            await unit.run(sees_its_own, hotel)

    async def joins(host: AsyncConnection, desk: AsyncDesk, hotel: SmallHotel) -> None:
        def join(connection: Connection) -> None:
            with desk.joining(connection) as uow:
                sees_its_own(uow, hotel)
            assert told(connection) == ""

        await host.run_sync(join)

    asyncio.run(work())


# -- behind a pooler ----------------------------------------------------------------------------


def test_the_url_keeps_the_driver_from_preparing_statements(land: Land) -> None:
    """A pooler between transactions would send them to another session, so they are not made."""
    url = f"{land.app}{'&' if '?' in land.app else '?'}prepare_threshold=none"

    def threshold(connection: Connection) -> object:
        driver: Any = connection.connection.driver_connection  # psycopg's, of either core
        return driver.prepare_threshold

    async def of_the_asyncio_core() -> object:
        core = AsyncHotelCore(url, row_security=True)
        async with core.engine.connect() as connection:
            found = await connection.run_sync(threshold)
        await core.close()
        return found

    with closing(HotelCore(url, row_security=True)) as core, core.engine.connect() as connection:
        assert threshold(connection) is None
    assert asyncio.run(of_the_asyncio_core()) is None
    with pytest.raises(InvalidInput, match="prepare_threshold"):
        HotelCore(url.replace("none", "5"))
