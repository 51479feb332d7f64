"""Who watches a core is told of each statement, each unit of work, and the pool."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, NullPool, create_engine, event, select

from hotelcore import AsyncHotelCore, HotelCore, Role, TableNames, new_id
from hotelcore.clock import FixedClock
from hotelcore.domain.rooms import RoomCondition
from hotelcore.errors import (
    AlreadyExists,
    DatabaseBusy,
    DatabaseFailure,
    NotFound,
    PermissionDenied,
    TransactionTimeout,
)
from hotelcore.ids import GuestId
from hotelcore.lists import GuestFilter
from hotelcore.operations import (
    add_rooms,
    amend_guest,
    bulk_update_room_status,
    register_guest,
)
from hotelcore.relay import Relay
from hotelcore.sql.host import statements_of
from hotelcore.sql.schema import METADATA
from hotelcore.sql.seam.statements import Statements, acting_hotel
from hotelcore.sql.unit_of_work import SqlUnitOfWork
from hotelcore.unit_of_work import UnitOfWork
from hotelcore.watching import Database, Ending, PoolUse, Watch
from tests.every_operation import NAMES, good_call
from tests.hindrances import SHORT, linger
from tests.small_hotel import (
    KEYS,
    SmallHotel,
    new_rows,
    open_hotel,
    opened,
    row_counts,
    shared_core,
)
from tests.test_units import end_other_sessions
from tests.watching.hearing import Told, watched

CANARY = "Zaunkönig-7"
GUEST = METADATA.tables["hc_guest"]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def core(request: pytest.FixtureRequest) -> Generator[HotelCore]:
    """Return a core that all tests share, on SQLite and PostgreSQL in turn."""
    with shared_core(request) as core:
        yield core


@pytest.fixture
def hotel(core: HotelCore) -> SmallHotel:
    """Return a new hotel."""
    return open_hotel(core)


# -- statements ---------------------------------------------------------------------------------

_NOT_TOLD = ("PRAGMA", "BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK", "SELECT set_config")


@contextmanager
def sent_statements(engine: Engine) -> Generator[list[str]]:
    """Collect what SQLAlchemy tells of the statements of the body, without what opens a unit."""
    seen: list[str] = []

    def look(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if not statement.startswith(_NOT_TOLD):
            seen.append(statement)

    event.listen(engine, "before_cursor_execute", look)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", look)


@pytest.mark.parametrize("name", NAMES)
def test_every_statement_of_an_operation_is_told(hotel: SmallHotel, name: str) -> None:
    """What SQLAlchemy sees is told too, in that order, with its verb and each of its tables."""
    call = good_call(name, hotel)
    with sent_statements(hotel.core.engine) as sent, watched(hotel.core) as told:
        call.run()
    assert len(told.statements) == len(sent) > 0
    for statement, text in zip(told.statements, sent, strict=True):
        assert statement.verb in text
        named = {table for table in METADATA.tables if re.search(rf"\b{table}\b", text)}
        assert set(statement.tables) == named
        assert statement.error is None
        assert statement.seconds > 0
    assert [(unit.name, unit.ending) for unit in told.units] == [(name, Ending.COMMITTED)]


def test_names_are_few_and_hold_no_value(hotel: SmallHotel) -> None:
    """A statement is named by its verb and tables; nothing that was said is in what is told."""
    with watched(hotel.core) as told:
        guest = hotel.desk.run(register_guest, last_name=CANARY, email=f"{CANARY}@example.com")
        hotel.desk.run(amend_guest, guest_id=guest.id, last_name=f"{CANARY}a")
        with hotel.desk.reading() as uow:
            uow.guests.page(GuestFilter(last_name=CANARY))
            uow.guests.get(guest.id)
    assert CANARY not in repr(told)
    assert str(guest.id) not in repr(told)
    for statement in told.statements:
        assert statement.verb in {"SELECT", "INSERT", "UPDATE", "DELETE"}
        assert METADATA.tables.keys() >= set(statement.tables) != set()
        assert statement.hotel_id == hotel.hotel_id


def test_names_are_the_librarys_own(database_url: str) -> None:
    """Whatever a host calls the tables, a statement is told under one name."""
    with closing(HotelCore(database_url, names=TableNames(prefix="inn_"))) as core:
        core.create_schema()
        hotel = open_hotel(core)
        with watched(core) as told:
            hotel.desk.run(register_guest, last_name="Second")
    assert told.rows("INSERT hc_guest") == [1]


def test_rows_are_those_that_were_given_or_changed(hotel: SmallHotel) -> None:
    """Rows are counted alike on both databases, also of a batch, of none, and of a page."""
    for name in ("Second", "Third"):
        hotel.desk.run(register_guest, last_name=name)
    with watched(hotel.core) as told, hotel.desk.reading() as uow:
        uow.guests.page(GuestFilter())
        uow.guests.page(GuestFilter(), limit=1)
        uow.guests.get(hotel.guest_id)
        with pytest.raises(LookupError):
            uow.guests.get(GuestId(new_id()))
    assert told.rows("SELECT hc_guest") == [3, 2, 1, 0]
    with watched(hotel.core) as told:
        hotel.desk.run(add_rooms, room_type_id=hotel.room_type_id, numbers=["7", "8", "9"])
        rooms = [room.id for room in hotel.rooms[:2]]
        hotel.desk.run(bulk_update_room_status, room_ids=rooms, condition=RoomCondition.DIRTY)
    [batch] = [each for each in told.statements if each.name == "INSERT hc_room"]
    assert (batch.rows, batch.calls) == (3, 3)
    assert told.rows("UPDATE hc_room") == [2]


def test_a_statement_that_fails_is_told(hotel: SmallHotel) -> None:
    """Its error is the class of the library's own, and its rows are none."""
    number = hotel.rooms[0].number
    with watched(hotel.core) as told, pytest.raises(AlreadyExists):
        hotel.desk.run(add_rooms, room_type_id=hotel.room_type_id, numbers=[number])
    failed = [each for each in told.statements if each.error is not None]
    assert [(each.name, each.rows) for each in failed] == [("INSERT hc_room", 0)]
    assert failed[0].error == "UniqueViolation"


def test_a_host_statement_is_told(hotel: SmallHotel) -> None:
    """A host's own statement is told like the library's, by the time of the core's clock."""
    clock = FixedClock(hotel.core._clock.now())
    core = HotelCore(hotel.core.engine, clock=clock)
    began = clock.now()

    def slowly(row: Any) -> str:  # a row of whatever statement
        clock.advance(timedelta(seconds=2))
        return str(row.last_name)

    statement = select(GUEST.c.last_name).where(GUEST.c.hotel_id == acting_hotel())
    with watched(core) as told, core.acting_as(hotel.desk.actor).reading() as uow:
        assert statements_of(uow).all(statement, slowly) == ["First"]
    [ran], [unit] = told.statements, told.units
    assert (ran.name, ran.rows, ran.at, unit.at) == ("SELECT hc_guest", 1, began, began)
    assert 2 <= ran.seconds <= unit.seconds < 3


# -- units of work ------------------------------------------------------------------------------


def busy(times: int, attempts: list[int] | None = None) -> Callable[[UnitOfWork], None]:
    """Make a unit that the database lets pass after some attempts, and that counts them."""
    attempts = [] if attempts is None else attempts

    def work(uow: UnitOfWork) -> None:
        attempts.append(1)
        register_guest(uow, last_name="Again")
        if len(attempts) <= times:
            raise DatabaseBusy

    return work


@pytest.mark.parametrize("times", [0, 2])
def test_attempts_are_counted(hotel: SmallHotel, times: int) -> None:
    """A unit that runs again is told once, with all its attempts and all their statements."""
    with watched(hotel.core) as told:
        hotel.desk.run(busy(times))
    [unit] = told.units
    assert (unit.attempts, unit.ending, unit.error) == (times + 1, Ending.COMMITTED, None)
    assert unit.name == "tests.watching.test_watching.busy.<locals>.work"
    assert told.rows("INSERT hc_guest") == [1] * (times + 1)
    # Statements that go in one exchange began at one moment, and each has the seconds of all.
    exchanges = {each.at: each.seconds for each in told.statements}
    assert unit.seconds > sum(exchanges.values())


@pytest.mark.long
def test_a_unit_that_is_always_busy_failed(hotel: SmallHotel) -> None:
    """A unit that never came through is told with the attempts that it had."""
    with watched(hotel.core) as told, pytest.raises(TransactionTimeout):
        hotel.desk.within(time_limit=4 * SHORT).run(busy(1_000))
    [unit] = told.units
    assert (unit.ending, unit.error) == (Ending.FAILED, "TransactionTimeout")
    assert unit.attempts == len(told.rows("INSERT hc_guest")) > 1


def refused(hotel: SmallHotel) -> None:
    """Ask for what a role may not do."""
    hotel.acting(Role.STAFF).run(register_guest, last_name=CANARY)


def unknown(hotel: SmallHotel) -> None:
    """Ask for what is not there."""
    hotel.desk.run(amend_guest, guest_id=GuestId(new_id()), last_name=CANARY)


def broken(hotel: SmallHotel) -> None:
    """Let the host fail after it wrote."""
    with hotel.desk.transaction() as uow:
        register_guest(uow, last_name=CANARY)
        raise ZeroDivisionError(CANARY)


def asked_again(hotel: SmallHotel) -> None:
    """Have the database ask for another attempt, where there is none."""
    with hotel.desk.transaction():
        raise DatabaseBusy


def written(hotel: SmallHotel) -> None:
    """Write in a transaction of several steps."""
    with hotel.desk.transaction() as uow:
        register_guest(uow, last_name=CANARY)


def looked(hotel: SmallHotel) -> None:
    """Only read."""
    with hotel.desk.reading() as uow:
        uow.guests.page(GuestFilter())


def joined(hotel: SmallHotel) -> None:
    """Take part in a transaction of the host's, which it takes back."""
    with hotel.core.engine.connect() as connection, connection.begin() as host:
        with hotel.desk.joining(connection) as uow:
            register_guest(uow, last_name=CANARY)
        host.rollback()


@pytest.mark.parametrize(
    ("work", "name", "ending", "error"),
    [
        (refused, "register_guest", Ending.REFUSED, PermissionDenied),
        (unknown, "amend_guest", Ending.REFUSED, NotFound),
        (broken, "transaction", Ending.FAILED, ZeroDivisionError),
        (asked_again, "transaction", Ending.FAILED, DatabaseBusy),
        (written, "transaction", Ending.COMMITTED, None),
        (looked, "reading", Ending.READ, None),
        (joined, "joining", Ending.JOINED, None),
    ],
)
def test_a_unit_is_told_by_its_ending(
    hotel: SmallHotel,
    work: Callable[[SmallHotel], None],
    name: str,
    ending: Ending,
    error: type[Exception] | None,
) -> None:
    """What became of a unit is told with the class of what it raised, and no word of that."""
    with watched(hotel.core) as told, nullcontext() if error is None else pytest.raises(error):
        work(hotel)
    [unit] = told.units
    assert (unit.name, unit.ending) == (name, ending)
    assert unit.error == (None if error is None else error.__name__)
    assert (unit.attempts, unit.hotel_id) == (1, hotel.hotel_id)
    assert CANARY not in repr(told)


def test_a_lost_connection_is_told(postgresql_url: str) -> None:
    """A unit whose session the server ended has failed, and so has the statement that found out."""

    def lose(uow: UnitOfWork) -> None:
        register_guest(uow, last_name="Lost")
        end_other_sessions(postgresql_url)
        uow.guests.page(GuestFilter())

    with opened(postgresql_url) as hotel, watched(hotel.core) as told:
        with pytest.raises(DatabaseFailure):
            hotel.desk.run(lose)
        [unit] = told.units
    assert (unit.ending, unit.error) == (Ending.FAILED, "DatabaseFailure")
    assert told.statements[-1].error == "DatabaseFailure"


def test_the_relay_is_watched(hotel: SmallHotel) -> None:
    """What the relay does with its own rows is told under its name, for whichever hotel."""
    hotel.booked()
    with watched(hotel.core) as told:
        Relay(hotel.core).run_until_idle()
    assert {unit.name for unit in told.units} == {"relay"}
    assert {unit.ending for unit in told.units} == {Ending.COMMITTED}
    assert None in {unit.hotel_id for unit in told.units}
    assert "UPDATE hc_outbox" in {statement.name for statement in told.statements}


# -- who watches --------------------------------------------------------------------------------


def test_a_failing_watcher_changes_nothing(
    hotel: SmallHotel, caplog: pytest.LogCaptureFixture
) -> None:
    """Each failure of it is logged by its class, others hear all the same, the work is done."""
    failures: list[object] = []

    def fail(watch: Watch, **facts: object) -> None:
        failures.append(facts)
        raise ZeroDivisionError(CANARY)

    before = row_counts(hotel.core.engine)
    hotel.core.watch.statement_ran.connect(fail)
    hotel.core.watch.unit_ended.connect(fail)
    with watched(hotel.core) as told:
        guest = hotel.desk.run(register_guest, last_name="Second")
    hotel.core.watch.statement_ran.disconnect(fail)
    hotel.core.watch.unit_ended.disconnect(fail)
    assert guest.last_name == "Second"
    assert new_rows(hotel.core.engine, since=before)["hc_guest"] == 1
    assert len(failures) == len(told.statements) + len(told.units) > 2
    assert [record.getMessage() for record in caplog.records] == [
        "receiver of a signal failed: ZeroDivisionError"
    ] * len(failures)


def test_nothing_is_told_where_nobody_watches(hotel: SmallHotel) -> None:
    """Who left hears nothing more, and the statements of a unit are the plain ones."""
    with watched(hotel.core) as told, hotel.desk.reading() as uow:
        assert isinstance(uow, SqlUnitOfWork)
        assert type(uow._run) is not Statements
    told_once = len(told.units)
    with hotel.desk.reading() as uow:
        uow.guests.page(GuestFilter())
        assert isinstance(uow, SqlUnitOfWork)
        assert type(uow._run) is Statements
    assert (len(told.units), told.statements) == (told_once, [])


def test_who_comes_late_hears_of_the_next_unit(hotel: SmallHotel) -> None:
    """A unit is told as a whole, or not at all."""
    with ExitStack() as stack:
        with hotel.desk.reading() as uow:
            told = stack.enter_context(watched(hotel.core))
            uow.guests.page(GuestFilter())
        assert told == Told()
        with hotel.desk.reading() as uow:
            uow.guests.page(GuestFilter())
    assert (len(told.units), len(told.statements)) == (1, 1)


# -- asyncio ------------------------------------------------------------------------------------


async def told_in_asyncio(hotel: SmallHotel) -> Told:
    """Do in asyncio what a test does without it too, and return what was told."""
    core = AsyncHotelCore(hotel.core.engine.url, keys=KEYS)
    desk = core.acting_as(hotel.desk.actor)
    with watched(core) as told:
        await desk.run(register_guest, last_name="Second")
        await desk.run(busy(2))
        async with desk.transaction() as unit:
            await unit.run(register_guest, last_name="Third")
        async with desk.reading() as unit:
            await unit.run(lambda uow: uow.guests.page(GuestFilter()))
        with pytest.raises(LookupError):
            await desk.run(amend_guest, guest_id=GuestId(new_id()), last_name=CANARY)
    await core.close()
    return told


def told_without(hotel: SmallHotel) -> Told:
    """Do the same through the synchronous handle."""
    desk = hotel.desk
    with watched(hotel.core) as told:
        desk.run(register_guest, last_name="Second")
        desk.run(busy(2))
        with desk.transaction() as uow:
            register_guest(uow, last_name="Third")
        with desk.reading() as uow:
            uow.guests.page(GuestFilter())
        with pytest.raises(LookupError):
            desk.run(amend_guest, guest_id=GuestId(new_id()), last_name=CANARY)
    return told


def test_asyncio_tells_the_same(core: HotelCore) -> None:
    """The same work is told in the same statements and units with asyncio and without."""
    plain, other = told_without(open_hotel(core)), asyncio.run(told_in_asyncio(open_hotel(core)))
    for told in (plain, other):
        assert [unit.attempts for unit in told.units] == [1, 3, 1, 1, 1]
    assert [(unit.name, unit.ending, unit.error) for unit in plain.units] == [
        (unit.name, unit.ending, unit.error) for unit in other.units
    ]
    assert [(each.name, each.rows, each.calls) for each in plain.statements] == [
        (each.name, each.rows, each.calls) for each in other.statements
    ]


def test_a_cancelled_task_is_told(hotel: SmallHotel) -> None:
    """A unit whose task is cancelled while it waits has failed."""
    attempts: list[int] = []

    async def work() -> Told:
        core = AsyncHotelCore(hotel.core.engine.url)
        with watched(core) as told:
            desk = core.acting_as(hotel.desk.actor)
            task = asyncio.create_task(desk.run(busy(1_000, attempts)))
            while len(attempts) < 2:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await core.close()
        return told

    [unit] = asyncio.run(work()).units
    assert (unit.ending, unit.error) == (Ending.FAILED, "CancelledError")
    assert unit.attempts >= len(attempts) > 1


# -- the pool -----------------------------------------------------------------------------------


def use_of(core: HotelCore | AsyncHotelCore) -> PoolUse:
    """Return how the pool of a core is used, which it knows."""
    use = core.watch.pool_use()
    assert use is not None
    return use


def test_the_use_of_a_pool_is_read(database_url: str) -> None:
    """It tells how many connections are in use, are idle, and may be open."""
    with closing(HotelCore(database_url)) as core:
        assert use_of(core) == PoolUse(in_use=0, idle=0, waiting=0, most=15)
        with core.engine.connect(), core.engine.connect():
            assert use_of(core) == PoolUse(in_use=2, idle=0, waiting=0, most=15)
        assert use_of(core) == PoolUse(in_use=0, idle=2, waiting=0, most=15)


def test_who_waits_for_a_connection_is_counted(database_url: str) -> None:
    """Units that found no connection free are counted until they have one."""
    with opened(database_url) as hotel, ThreadPoolExecutor(2) as threads:
        with ExitStack() as held:
            for _ in range(15):
                held.enter_context(hotel.desk.reading())
            waiting = [threads.submit(looked, hotel) for _ in range(2)]
            while use_of(hotel.core).waiting != 2:
                linger(0.001)
            assert use_of(hotel.core).in_use == 15
        assert [each.result() for each in waiting] == [None, None]
        assert use_of(hotel.core).waiting == 0


def test_a_task_that_waits_is_counted(hotel: SmallHotel) -> None:
    """The same holds for the tasks of asyncio."""

    async def work() -> None:
        core = AsyncHotelCore(hotel.core.engine.url)
        desk = core.acting_as(hotel.desk.actor)
        async with desk.reading():
            held = [await core.engine.connect() for _ in range(14)]
            task = asyncio.create_task(desk.run(register_guest, last_name="Second"))
            while use_of(core).waiting != 1:
                await asyncio.sleep(0.001)
            assert use_of(core) == PoolUse(in_use=15, idle=0, waiting=1, most=15)
        await task
        for connection in held:
            await connection.close()
        assert use_of(core) == PoolUse(in_use=0, idle=15, waiting=0, most=15)
        await core.close()

    asyncio.run(work())


def test_the_pool_of_a_host_is_read_as_far_as_it_counts(database_url: str) -> None:
    """A host's pool may have no bound, or not count at all; who waits there nobody knows."""
    engine = create_engine(database_url, pool_size=0)
    assert use_of(HotelCore(engine)) == PoolUse(in_use=0, idle=0, waiting=None, most=None)
    assert HotelCore(create_engine(database_url, poolclass=NullPool)).watch.pool_use() is None
    engine.dispose()


def test_the_database_is_named(sqlite_url: str, postgresql_url: str) -> None:
    """PostgreSQL's database is named with its server, SQLite's not, since paths name persons."""
    with closing(HotelCore(sqlite_url)) as core:
        assert core.watch.database == Database(system="sqlite")
    with closing(HotelCore(postgresql_url)) as core:
        assert core.watch.database.name == core.engine.url.database


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("postgresql://db.example/hotel", "db.example", None),
        ("postgresql://db.example:6432/hotel", "db.example", 6432),
        ("postgresql:///hotel?host=/run/postgresql", "/run/postgresql", None),
        ("postgresql:///hotel?host=a&host=b", None, None),
        ("postgresql:///hotel", None, None),
    ],
)
def test_the_server_is_named_as_the_url_has_it(
    url: str, host: str | None, port: int | None
) -> None:
    """An address or a socket's directory; of several servers none, as it may be any of them."""
    with closing(HotelCore(url)) as core:
        assert core.watch.database == Database(
            system="postgresql", host=host, port=port, name="hotel"
        )
