"""What goes to PostgreSQL together is answered as each by itself, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import Connection as Psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus
from psycopg.types.json import Jsonb, set_json_loads
from sqlalchemy import Connection, Engine, StaticPool, create_engine, event, make_url, select, text

from hotelcore import AsyncHotelCore, HotelCore
from hotelcore.errors import DatabaseFailure, InvalidInput
from hotelcore.lists import GuestFilter
from hotelcore.operations import register_guest
from hotelcore.sql.host import statements_of
from hotelcore.sql.repositories.guests import GUEST
from hotelcore.sql.seam import exchange as speaking
from hotelcore.sql.seam.engine import new_engine
from hotelcore.sql.seam.exchange import Answer, exchange
from hotelcore.sql.seam.statements import acting_hotel
from hotelcore.sql.unit_of_work import SqlUnitOfWork
from hotelcore.testing.faults import Fault, Faults
from hotelcore.testing.hotels import SampleHotel, open_sample_hotel
from tests.postgres_server import fresh_database

Value: TypeAlias = object

_PREPARED = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'hotelcore%'"


@pytest.fixture(scope="module")
def url(postgresql_server: Engine) -> Iterator[str]:
    """Return a database of this module's own."""
    with fresh_database(postgresql_server) as url:
        yield url


@contextmanager
def connected(url: str, **parameters: str) -> Generator[Connection]:
    """Lend a connection whose session has some settings."""
    engine = new_engine(make_url(url).update_query_dict(parameters))
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    """Return a connection of an engine of ours."""
    with connected(url) as connection:
        yield connection


def first(connection: Connection, sql: str, *parameters: Value) -> Any:  # of any type
    """Ask for one value."""
    return exchange(connection, [(sql, parameters)])[0].fetchone()[0]


def driver_of(connection: Connection) -> Psycopg[Any]:
    """Return psycopg's connection."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, Psycopg)
    return driver


# -- the same values as over a cursor -----------------------------------------------------------

words = st.text("aé '\\", max_size=3)  # which Latin-1 has too
# psycopg reads JSON as UTF-8 in any session, so there it can have ASCII alone.
keys = st.text("ab '\\", max_size=3)
objects = st.dictionaries(keys, st.none() | st.booleans() | st.integers() | keys, max_size=2)
moments = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


_SESSIONS: tuple[dict[str, str], ...] = (
    {},
    {"options": "-ctimezone=Asia/Kathmandu"},
    {"client_encoding": "latin1"},
)


@pytest.fixture(scope="module", params=_SESSIONS, ids=str)
def session(url: str, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """Return a connection whose session is not like ours."""
    with connected(url, **request.param) as connection:
        yield connection


@given(rows=st.lists(st.tuples(objects, moments, words, st.uuids()), min_size=1, max_size=5))
def test_rows_are_those_of_a_cursor(
    session: Connection, rows: list[tuple[object, datetime, str, object]]
) -> None:
    """JSON, instants, texts and ids come as psycopg's own cursor gives them, in any session."""
    sql = "SELECT {}::jsonb, {}::timestamptz, {}::text, {}::uuid"
    values = [(Jsonb(row[0]), *row[1:]) for row in rows]
    answers = exchange(session, [(sql.format("$1", "$2", "$3", "$4"), each) for each in values])
    cursor = driver_of(session).cursor()
    same: Any = sql.format(*["%s"] * 4)  # psycopg's type is that of a literal
    for answer, each in zip(answers, values, strict=True):
        expected = cursor.execute(same, each).fetchall()
        assert answer.fetchall() == expected == answer.fetchmany(2)
        assert answer.rowcount == 1
        assert [name for name, _ in answer.description] == ["jsonb", "timestamptz", "text", "uuid"]


def test_a_host_reads_json_in_its_own_way(url: str) -> None:
    """What a host has registered with the connection reads JSON here too."""
    with connected(url) as connection:
        set_json_loads(lambda data: f"{json.loads(data)}", driver_of(connection))
        assert first(connection, "SELECT '{\"a\": 1}'::jsonb") == "{'a': 1}"


def test_many_go_together(connection: Connection) -> None:
    """Far more than fits into the buffers of both ends is sent and answered."""
    long = "x" * 1_000
    answers = exchange(
        connection, [("SELECT $1::text, $2::int4", (long, n)) for n in range(20_000)]
    )
    assert [answer.fetchone() for answer in answers] == [(long, n) for n in range(20_000)]


# -- when one fails -----------------------------------------------------------------------------


@given(before=st.integers(0, 3), behind=st.integers(0, 3), opened=st.booleans())
def test_what_fails_ends_an_exchange(
    connection: Connection, before: int, behind: int, opened: bool
) -> None:
    """Without a transaction nothing of the exchange is kept; within one it has failed."""
    driver = driver_of(connection)
    driver.execute("CREATE TEMP TABLE IF NOT EXISTS kept (n int)")
    driver.commit()
    writes = [("INSERT INTO kept VALUES ($1::int4)", (n,)) for n in range(before + behind)]
    failing = [*writes[:before], ("SELECT 1 / $1::int4", (0,)), *writes[before:]]
    messages = [("BEGIN", ()), *failing] if opened else failing
    with pytest.raises(errors.DivisionByZero):
        exchange(connection, messages)
    expected = TransactionStatus.INERROR if opened else TransactionStatus.IDLE
    assert driver.pgconn.transaction_status == expected
    driver.rollback()
    assert first(connection, "SELECT count(*) FROM kept") == 0


def test_an_interrupt_throws_the_connection_away(connection: Connection) -> None:
    """Whoever is stopped while he waits leaves no connection that still has an answer to give."""
    driver = driver_of(connection)

    def stopped(waiting: Generator[Any], *_: object) -> None:
        next(waiting)
        raise KeyboardInterrupt

    driver.wait = stopped  # type: ignore[method-assign, assignment]  # as a signal would
    with pytest.raises(KeyboardInterrupt):
        first(connection, "SELECT 1")
    assert driver.closed
    connection.invalidate()


# -- what is prepared ---------------------------------------------------------------------------


def test_whatever_ends_an_exchange_lets_others_speak(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for ever for who was stopped at the last moment."""

    def stopped(_: object) -> None:
        raise KeyboardInterrupt  # as a signal would, behind the answer

    with monkeypatch.context() as patch:
        patch.setattr(speaking, "_leave_whole", stopped)
        with pytest.raises(KeyboardInterrupt):
            first(connection, "SELECT 1")
    assert not driver_of(connection).lock.locked()
    assert first(connection, "SELECT 1") == 1


def test_a_text_is_prepared_once(connection: Connection) -> None:
    """Each text once for each choice of types, however often and wherever it stands."""
    before = first(connection, _PREPARED)
    for _ in range(3):
        exchange(connection, [("SELECT $1::int8 + 1", (1,))] * 2)
        exchange(connection, [("SELECT $1::int8 + 1", (2**40,))])
    assert first(connection, _PREPARED) == before + 2


def test_a_server_is_not_filled(connection: Connection) -> None:
    """Texts that are made anew each time stop being prepared, and are answered all the same."""
    for n in range(400):
        assert first(connection, f"SELECT {n}") == n
    assert first(connection, _PREPARED) == 300


def test_a_long_list_is_planned_for_itself(connection: Connection) -> None:
    """A short list is prepared as anything else is, and one that PostgreSQL should hash is not."""
    for number in (30, 31):
        assert first(connection, f"SELECT {number} = ANY ($1::int8[])", [*range(99)][:number]) is (
            number < 30
        )
    assert first(connection, _PREPARED) == 2  # and that question itself


def test_nothing_is_prepared_where_a_pooler_is(url: str) -> None:
    """With ``prepare_threshold=none`` the server keeps nothing."""
    with connected(url, prepare_threshold="none") as connection:
        assert [first(connection, "SELECT $1::int8", n) for n in range(10)] == [*range(10)]
        assert first(connection, _PREPARED) == 0


def _by_the_server(driver: Psycopg[Any]) -> None:
    # As a pooler does it, or whoever else psycopg does not know of.
    driver.pgconn.exec_(b"DISCARD ALL")


def _by_psycopg(driver: Psycopg[Any]) -> None:
    # After a rollback, if it had prepared something itself.
    for _ in range(10):
        driver.execute("SELECT 1")
    driver.rollback()


@pytest.fixture
def hotel(url: str) -> Iterator[SampleHotel]:
    """Return a hotel of a core whose connections forget between their uses what was prepared."""
    with closing(HotelCore(url)) as core:
        core.create_schema()
        yield open_sample_hotel(core)


@pytest.mark.parametrize("forget", [_by_the_server, _by_psycopg])
def test_a_server_may_forget_between_two_units(
    hotel: SampleHotel, forget: Callable[[Psycopg[Any]], None]
) -> None:
    """Each kind of unit works at its first attempt: what is forgotten is told again."""
    lent: list[None] = []

    @event.listens_for(hotel.core.engine, "checkout")
    def check(pooled: Psycopg[Any], *_: object) -> None:
        forget(pooled)
        lent.append(None)

    for _ in range(3):
        hotel.desk.run(register_guest, last_name="Again")
        with hotel.desk.transaction() as uow:
            register_guest(uow, last_name="Once")
        with hotel.desk.reading() as uow:
            assert uow.guests.page(GuestFilter(last_name="Again")).items
    assert len(lent) == 9


def test_a_server_may_forget_within_a_unit(hotel: SampleHotel) -> None:
    """The unit runs again, since a transaction that has failed cannot go on."""
    attempts: list[None] = []

    def work(uow: SqlUnitOfWork) -> None:
        attempts.append(None)
        register_guest(uow, last_name="Twice")
        if len(attempts) == 1:
            driver_of(uow._run._connection).pgconn.exec_(b"DEALLOCATE ALL")
        register_guest(uow, last_name="Twice")

    hotel.desk.run(work)  # type: ignore[arg-type]  # in a unit's inner parts
    assert len(attempts) == 2
    with hotel.desk.reading() as uow:
        assert len(uow.guests.page(GuestFilter(last_name="Twice")).items) == 2


def test_a_savepoint_of_the_hosts_may_be_rolled_back(hotel: SampleHotel) -> None:
    """Psycopg has the server forget all in the midst of the transaction, and the unit knows it."""
    with hotel.core.engine.begin() as host, hotel.desk.joining(host) as uow:
        register_guest(uow, last_name="Joined")
        for _ in range(10):
            host.execute(text("SELECT 1"))
        host.begin_nested().rollback()
        register_guest(uow, last_name="Joined")
    with hotel.desk.reading() as uow:
        assert len(uow.guests.page(GuestFilter(last_name="Joined")).items) == 2


def test_a_migration_may_change_a_column(hotel: SampleHotel) -> None:
    """A process goes on that had a text prepared before: at once where it asks, else once more."""
    guests = select(GUEST.c.last_name).where(GUEST.c.hotel_id == acting_hotel())
    hotel.desk.run(register_guest, last_name="Wide")
    for length in (210, 220):
        with hotel.desk.reading() as uow:
            assert "Wide" in statements_of(uow).all(guests, lambda row: row[0])
        with hotel.core.engine.begin() as other:
            other.execute(text(f"ALTER TABLE hc_guest ALTER last_name TYPE varchar({length})"))
        with hotel.desk.reading() as uow:
            assert "Wide" in statements_of(uow).all(guests, lambda row: row[0])
        hotel.desk.run(lambda uow: statements_of(uow).all(guests, list))


def test_copy_is_refused(connection: Connection) -> None:
    """What would never end to answer ends the connection instead."""
    with pytest.raises(errors.NotSupportedError):
        exchange(connection, [("COPY (SELECT 1) TO STDOUT", ())])
    assert driver_of(connection).closed
    connection.invalidate()


def test_a_text_goes_in_the_sessions_own_encoding(url: str) -> None:
    """What stands in the text itself, and not only the parameters."""
    with connected(url, client_encoding="latin1") as connection:
        assert first(connection, "SELECT 'é' || $1::text", "é") == "éé"


# -- one connection, one speaker ----------------------------------------------------------------


def test_two_threads_take_turns_on_a_connection(connection: Connection) -> None:
    """Each gets its own answers, also where one unit of work is shared."""

    def ask(number: int) -> list[Any]:
        return [first(connection, "SELECT $1::int8", number * 1_000 + n) for n in range(100)]

    with ThreadPoolExecutor(4) as threads:
        for number, answers in enumerate(threads.map(ask, range(8))):
            assert answers == [number * 1_000 + n for n in range(100)]


@pytest.fixture
def impatient_threads() -> Iterator[None]:
    """Let Python go from one thread to another as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("impatient_threads")
def test_threads_may_read_their_answers_at_once(connection: Connection) -> None:
    """What turns results into rows is one for a connection, and serves one after the other."""
    answers = exchange(connection, [("SELECT $1::int8", (n,)) for n in range(4)])

    def read(answer: Answer) -> set[object]:
        return {answer.fetchone() for _ in range(20_000)}

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(read, answers)) == [{(n,)} for n in range(4)]


def test_two_tasks_take_turns_in_a_unit(url: str, hotel: SampleHotel) -> None:
    """To gather questions of one reading unit is an obvious thing to write."""

    async def work() -> None:
        core = AsyncHotelCore(url)
        async with core.acting_as(hotel.desk.actor).reading() as unit:
            ask = unit.run(lambda uow: uow.guests.page(GuestFilter()).items)
            others = [unit.run(lambda uow: uow.guests.page(GuestFilter()).items) for _ in range(9)]
            assert len(set(await asyncio.gather(ask, *others))) == 1
        await core.close()

    asyncio.run(work())


@pytest.mark.parametrize("moment", ["connect", "checkout"])
def test_a_transaction_that_a_listener_left_open_is_refused(url: str, moment: str) -> None:
    """Nobody is let work in another isolation than asked for, and the error says what to do."""
    with closing(HotelCore(url)) as core:
        core.create_schema()
        hotel = open_sample_hotel(core)
        core.engine.dispose()
        event.listen(core.engine, moment, lambda driver, *_: driver.execute("SELECT 1"))
        with pytest.raises(InvalidInput, match="end what a listener begins"):
            hotel.desk.within(isolation="SERIALIZABLE").run(register_guest, last_name="Never")
        core.engine.dispose()
        with pytest.raises(InvalidInput, match="end what a listener begins"):
            ask_for_guests(hotel)


def ask_for_guests(hotel: SampleHotel) -> object:
    """Read once."""
    with hotel.desk.reading() as uow:
        return uow.guests.page(GuestFilter()).items


def test_a_unit_within_another_on_one_connection_is_refused(url: str) -> None:
    """A pool that lends one connection twice lets no unit turn another into a reading one."""
    with closing(HotelCore(create_engine(url, poolclass=StaticPool))) as core:
        core.create_schema()
        hotel = open_sample_hotel(core)

        def outer() -> None:
            with hotel.desk.transaction() as uow:
                register_guest(uow, last_name="Outer")
                ask_for_guests(hotel)

        with pytest.raises(InvalidInput, match="one at a time"):
            outer()
        assert "Outer" not in str(ask_for_guests(hotel))


def test_a_listener_may_execute_something(hotel: SampleHotel) -> None:
    """Its statement is part of the unit's transaction, which has begun as it was asked to."""
    seen: list[str] = []

    @event.listens_for(hotel.core.engine, "before_cursor_execute")
    def tell(_: object, cursor: Any, *rest: object) -> None:
        cursor.execute("SHOW transaction_isolation")
        seen.append(cursor.fetchone()[0])

    hotel.desk.within(isolation="SERIALIZABLE").run(register_guest, last_name="Watched")
    assert set(seen) == {"serializable"}


def test_a_unit_ends_with_the_hosts_transaction(hotel: SampleHotel) -> None:
    """Whoever ends it inside the block writes nothing behind it, where nobody would commit it."""
    with hotel.core.engine.connect() as host:
        host.begin()

        def go_on() -> None:
            with hotel.desk.joining(host) as uow:
                host.rollback()
                register_guest(uow, last_name="Orphan")

        with pytest.raises(InvalidInput, match="ended by somebody else"):
            go_on()
    assert "Orphan" not in str(ask_for_guests(hotel))


# -- when a transaction begins ------------------------------------------------------------------


def test_a_first_statement_that_never_arrived_opens_nothing(url: str) -> None:
    """Whoever goes on after it writes in a transaction all the same, and loses all with it."""
    with closing(HotelCore(url)) as core:
        faults = Faults.on(core.engine)
        core.create_schema()
        hotel = open_sample_hotel(core)

        def go_on() -> None:
            with hotel.desk.transaction() as uow:
                with faults.failing(Fault(call=1)) as calls, suppress(DatabaseFailure):
                    uow.guests.page(GuestFilter())
                assert calls[0] == "exchange"
                register_guest(uow, last_name="Lost")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            go_on()
        with hotel.desk.reading() as uow:
            assert not uow.guests.page(GuestFilter(last_name="Lost")).items


def test_a_host_that_began_is_joined(connection: Connection) -> None:
    """What SQLAlchemy calls a transaction is one on the server before anything is exchanged."""
    with connection.begin() as transaction:
        exchange(connection, [("CREATE TABLE gone (n int)", ())])
        transaction.rollback()
    assert connection.scalar(text("SELECT to_regclass('gone')")) is None
