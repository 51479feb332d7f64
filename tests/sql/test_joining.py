"""Work inside a host's own transaction, on its connection or its session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import (
    AbstractContextManager,
    ExitStack,
    closing,
    contextmanager,
    nullcontext,
    suppress,
)
from datetime import timedelta
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.util import greenlet_spawn

from hotelcore import operations as op
from hotelcore.access import Role
from hotelcore.clock import FixedClock
from hotelcore.core import AsyncHotelCore, HotelCore
from hotelcore.domain.bookings import Booking
from hotelcore.domain.rooms import RoomCondition
from hotelcore.domain.stays import Stay
from hotelcore.errors import (
    AlreadyExists,
    DatabaseFailure,
    HotelcoreError,
    InvalidInput,
    NotFound,
    PermissionDenied,
    SoldOut,
    UnitAborted,
)
from hotelcore.events.catalogue import BookingCreated, RoomStatusChanged
from hotelcore.ids import GuestId, new_id
from hotelcore.tenancy import Actor
from hotelcore.unit_of_work import UnitOfWork
from tests.operations.small_hotel import DAY, NOON, TODAY, SmallHotel, open_hotel

Opening = Callable[[Engine], AbstractContextManager[Connection | Session]]


@contextmanager
def host_connection(engine: Engine) -> Generator[Connection]:
    """Open a transaction as a host does that works with Core."""
    with engine.begin() as connection:
        yield connection


@contextmanager
def host_session(engine: Engine) -> Generator[Session]:
    """Open a transaction as a host does that works with the ORM."""
    with Session(engine) as session, session.begin():
        yield session


openings = pytest.mark.parametrize("opening", [host_connection, host_session])


class Change(Exception):
    """The host changes its mind."""


Step: TypeAlias = "str | tuple[str, list[Step]]"
"""To join and make a room dirty; to fail in that; or a savepoint of the host's around steps."""

STEPS: st.SearchStrategy[Step] = st.recursive(
    st.sampled_from(["join", "fail"]),
    lambda steps: st.tuples(st.sampled_from(["keep", "undo"]), st.lists(steps, max_size=3)),
    max_leaves=6,
)


def carried_out(hotel: SmallHotel, host: Connection, steps: Sequence[Step]) -> int:
    """Do the steps in the host's transaction and return how many events are kept of them."""
    kept = 0
    for step in steps:
        if isinstance(step, tuple):
            then, inner = step
            savepoint = host.begin_nested()
            within = carried_out(hotel, host, inner)
            kept += within if then == "keep" else 0
            savepoint.commit() if then == "keep" else savepoint.rollback()
            continue
        with suppress(Change), hotel.desk().joining(host) as uow:
            condition = uow.rooms.get(hotel.room_ids[0]).condition
            other = RoomCondition.CLEAN if condition is RoomCondition.DIRTY else RoomCondition.DIRTY
            op.bulk_update_room_status(uow, room_ids=hotel.room_ids[:1], condition=other)
            if step == "fail":
                raise Change
            kept += 1
    return kept


@pytest.fixture
def engine(schema_url: str) -> Iterator[Engine]:
    """Return the host's engine on a database with a table of its own."""
    engine = create_engine(schema_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE newsletter (email VARCHAR(99) PRIMARY KEY)"))
    yield engine
    engine.dispose()


@pytest.fixture
def hotel(engine: Engine) -> SmallHotel:
    """Return a hotel in the host's database, reached over the host's engine."""
    clock = FixedClock(NOON)
    core = HotelCore(engine, clock=clock)
    core.create_schema()
    return open_hotel(core, clock, rooms=1)


def book(uow: UnitOfWork, hotel: SmallHotel, **changes: object) -> Booking:
    """Sell the hotel's one room for the first night of June."""
    values: dict[str, object] = {
        "guest_id": hotel.guest_id,
        "room_type_id": hotel.type_id,
        "stay": Stay(TODAY, TODAY + DAY),
        **changes,
    }
    return op.create_booking_with_folio(uow, **values)[0]  # type: ignore[arg-type]  # as an editor would complete them


def subscribe(host: Connection | Session, email: str) -> None:
    """Write a row of the host's own."""
    host.execute(text("INSERT INTO newsletter VALUES (:email)"), {"email": email})


def subscribers(engine: Engine) -> list[str]:
    """Read the host's own rows on another connection."""
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT email FROM newsletter ORDER BY email")))


def stored(hotel: SmallHotel) -> dict[str, int]:
    """Count the rows of bookings, audit entries and events on another connection."""
    tables = ("hc_booking", "hc_folio", "hc_audit_log", "hc_outbox")
    with hotel.core.engine.connect() as connection:
        return {table: connection.scalar(text(f"SELECT count(*) FROM {table}")) for table in tables}


# -- the host's commit ------------------------------------------------------------------------


@openings
def test_the_hosts_commit_keeps_both_parts(
    engine: Engine, hotel: SmallHotel, opening: Opening
) -> None:
    """The host's row and our booking, audit entry and event appear together, after the commit."""
    before = stored(hotel)
    with opening(engine) as host:
        subscribe(host, "ada@example.org")
        with hotel.desk().joining(host) as uow:
            booking = book(uow, hotel)
        if engine.dialect.name == "postgresql":  # SQLite's second connection may not write here
            assert stored(hotel) == before
            assert subscribers(engine) == []
    assert subscribers(engine) == ["ada@example.org"]
    assert hotel.booking(booking.id) == booking
    assert stored(hotel) == {table: number + 1 for table, number in before.items()}


@openings
def test_the_hosts_rollback_removes_everything(
    engine: Engine, hotel: SmallHotel, opening: Opening
) -> None:
    """Nothing of ours stays: no booking, no counter, no audit entry, no event."""
    before = hotel.rows()

    def attempt() -> None:
        with opening(engine) as host:
            subscribe(host, "ada@example.org")
            with hotel.desk().joining(host) as uow:
                book(uow, hotel)
            raise Change

    with pytest.raises(Change):
        attempt()
    assert hotel.rows() == before
    assert subscribers(engine) == []
    hotel.book()


@openings
def test_joining_never_commits(engine: Engine, hotel: SmallHotel, opening: Opening) -> None:
    """No COMMIT is sent before the host's own, whether our part ends well or not."""
    commits: list[Connection] = []
    with opening(engine) as host:
        event.listen(engine, "commit", commits.append)
        with hotel.desk().joining(host) as uow:
            book(uow, hotel)
        with pytest.raises(SoldOut), hotel.desk().joining(host) as uow:
            book(uow, hotel)
        assert commits == []
    assert len(commits) == 1


@openings
@pytest.mark.parametrize("goes_on", [False, True])
def test_nothing_is_committed_in_the_midst_of_a_block(
    engine: Engine, hotel: SmallHotel, opening: Opening, goes_on: bool
) -> None:
    """Neither then nor by a later commit, or a booking could have no audit entry and no event."""
    before = hotel.rows()

    def attempt() -> None:
        with opening(engine) as host:
            subscribe(host, "ada@example.org")
            with hotel.desk().joining(host) as uow:
                book(uow, hotel)
                with suppress(InvalidInput) if goes_on else nullcontext():
                    host.commit()

    with pytest.raises(InvalidInput, match="leave the block first" if not goes_on else "is over"):
        attempt()
    assert hotel.rows() == before
    assert subscribers(engine) == []
    hotel.book()


@pytest.mark.parametrize("goes_on", [False, True])
def test_nothing_around_a_block_is_kept_in_the_midst_of_it(
    engine: Engine, hotel: SmallHotel, goes_on: bool
) -> None:
    """A savepoint of the host's does not end before the block, which is kept whole or not."""
    before = stored(hotel)
    with engine.begin() as host, suppress(InvalidInput):
        around = host.begin_nested()
        with hotel.desk().joining(host) as uow:
            book(uow, hotel)
            with pytest.raises(InvalidInput, match="leave the block first") as refused:
                around.commit()
            if not goes_on:
                raise refused.value
    kept = 1 if goes_on else 0
    assert stored(hotel) == {table: number + kept for table, number in before.items()}


@openings
def test_what_a_host_does_inside_of_a_block_is_its_own(
    engine: Engine, hotel: SmallHotel, opening: Opening
) -> None:
    """A savepoint that it opens and ends there, and a block within the block, are kept as ever."""
    before = stored(hotel)
    with opening(engine) as host, hotel.desk().joining(host) as uow:
        with host.begin_nested():
            subscribe(host, "ada@example.org")
        booking = book(uow, hotel)
        with hotel.desk().joining(host) as within:
            within.bookings.get(booking.id)
    assert subscribers(engine) == ["ada@example.org"]
    assert stored(hotel) == {table: number + 1 for table, number in before.items()}


@openings
def test_listeners_are_told_right_after_the_host_commits(
    engine: Engine, hotel: SmallHotel, opening: Opening
) -> None:
    """Not at the end of our part, but at the host's commit; by then everybody can read it."""
    seen: list[Booking] = []

    @hotel.core.events.on(BookingCreated)
    def look(event: BookingCreated) -> None:
        with hotel.desk().reading() as uow:
            seen.append(uow.bookings.get(event.booking_id))

    with opening(engine) as host:
        with hotel.desk().joining(host) as uow:
            booking = book(uow, hotel)
        assert seen == []
    assert seen == [booking]


@given(steps=st.lists(STEPS, max_size=4), commits=st.booleans())
def test_listeners_hear_of_exactly_what_the_host_kept(
    hotel: SmallHotel, engine: Engine, steps: Sequence[Step], commits: bool
) -> None:
    """Over any savepoints of the host, kept and undone, listeners hear what the outbox then has."""
    heard: list[RoomStatusChanged] = []
    hotel.core.events.subscribe(RoomStatusChanged, heard.append)
    kept = 0
    with suppress(Change), engine.begin() as host:
        kept = carried_out(hotel, host, steps)
        assert heard == []
        if not commits:
            raise Change
    hotel.core.events.unsubscribe(RoomStatusChanged, heard.append)
    assert len(heard) == (kept if commits else 0)
    with hotel.desk().reading() as uow:
        stored = uow.events.of_record(hotel.room_ids[0])
    assert [each.event() for each in stored[len(stored) - len(heard) :]] == heard


# -- our failure ------------------------------------------------------------------------------


def unknown_guest(uow: UnitOfWork, hotel: SmallHotel) -> None:
    """Fail at the first look."""
    book(uow, hotel, guest_id=GuestId(new_id()))


def taken_number(uow: UnitOfWork, hotel: SmallHotel) -> None:
    """Fail in the database, which on PostgreSQL spoils what is not in a savepoint."""
    stay = Stay(TODAY + 7 * DAY, TODAY + 8 * DAY)
    book(uow, hotel, stay=stay, confirmation_number="ONE")
    book(uow, hotel, stay=Stay(TODAY + 9 * DAY, TODAY + 10 * DAY), confirmation_number="ONE")


def sold_twice(uow: UnitOfWork, hotel: SmallHotel) -> None:
    """Fail after a command that succeeded."""
    book(uow, hotel)
    book(uow, hotel)


def swallowed(uow: UnitOfWork, hotel: SmallHotel) -> None:
    """Fail at the end, because a failed command was passed over in silence."""
    try:
        sold_twice(uow, hotel)
    except SoldOut:
        return


def changed_mind(uow: UnitOfWork, hotel: SmallHotel) -> None:
    """Fail by an exception of the host's own."""
    book(uow, hotel)
    raise Change


FAILURES: list[tuple[Callable[[UnitOfWork, SmallHotel], None], type[Exception]]] = [
    (unknown_guest, NotFound),
    (taken_number, AlreadyExists),
    (sold_twice, SoldOut),
    (swallowed, UnitAborted),
    (changed_mind, Change),
]


@openings
@pytest.mark.parametrize(("attempt", "error"), FAILURES)
def test_our_failure_undoes_our_part_alone(
    engine: Engine,
    hotel: SmallHotel,
    opening: Opening,
    attempt: Callable[[UnitOfWork, SmallHotel], None],
    error: type[Exception],
) -> None:
    """The host's rows before and after it are kept, and a second try may succeed."""
    before = hotel.rows()
    with opening(engine) as host:
        subscribe(host, "ada@example.org")
        with pytest.raises(error), hotel.desk().joining(host) as uow:
            attempt(uow, hotel)
        subscribe(host, "bob@example.org")
    assert subscribers(engine) == ["ada@example.org", "bob@example.org"]
    assert hotel.rows() == before
    with opening(engine) as host:
        with pytest.raises(error), hotel.desk().joining(host) as uow:
            attempt(uow, hotel)
        with hotel.desk().joining(host) as uow:
            booking = book(uow, hotel)
    assert hotel.booking(booking.id) == booking


def test_the_actors_role_counts_in_a_joined_unit_too(engine: Engine, hotel: SmallHotel) -> None:
    """A host's transaction opens no door: a reader books nothing in it."""
    before = hotel.rows_beside_the_audit()
    reader = hotel.desk(Role.STAFF)
    with engine.begin() as host, pytest.raises(PermissionDenied), reader.joining(host) as uow:
        book(uow, hotel)
    assert hotel.rows_beside_the_audit() == before


def test_a_savepoint_of_ours_works_inside_the_hosts(engine: Engine, hotel: SmallHotel) -> None:
    """A step that may fail goes into a savepoint, within our part, within the host's savepoint."""
    with engine.begin() as host, host.begin_nested(), hotel.desk().joining(host) as uow:
        booking = book(uow, hotel)
        with pytest.raises(SoldOut), uow.savepoint():
            book(uow, hotel)
    assert hotel.booking(booking.id) == booking
    assert stored(hotel)["hc_booking"] == 1


# -- the host's connection --------------------------------------------------------------------


@pytest.mark.parametrize("fails", [False, True])
def test_the_hosts_transaction_keeps_its_own_limits(postgresql_url: str, fails: bool) -> None:
    """Afterwards the host's statements wait and run as long as the host said, as before."""
    engine = create_engine(postgresql_url)
    core = HotelCore(engine, clock=FixedClock(NOON))
    core.create_schema()
    hotel = open_hotel(core, FixedClock(NOON), rooms=1)
    settings = text(
        "SELECT name, setting FROM pg_settings WHERE name IN ('statement_timeout',"
        " 'lock_timeout', 'idle_in_transaction_session_timeout', 'search_path') ORDER BY name"
    )
    with engine.begin() as host:
        host.execute(text("SET LOCAL statement_timeout = '7min'"))
        before = host.execute(settings).all()
        joining = hotel.desk().within(time_limit=timedelta(seconds=30)).joining(host)
        if fails:
            with pytest.raises(NotFound), joining as uow:
                unknown_guest(uow, hotel)
        else:
            with joining as uow:
                book(uow, hotel)
                assert host.execute(settings).all() != before
        assert host.execute(settings).all() == before
    engine.dispose()


def test_only_a_connection_of_the_same_engine_is_joined(
    schema_url: str, engine: Engine, hotel: SmallHotel
) -> None:
    """Another engine's connection is another database for all we know, so it is refused."""
    other = create_engine(schema_url)
    with other.begin() as host, pytest.raises(InvalidInput, match="this core's engine"):
        hotel.desk().joining(host).__enter__()
    other.dispose()


def test_a_connection_without_a_transaction_is_not_joined(
    engine: Engine, hotel: SmallHotel
) -> None:
    """Somebody must be there to commit."""
    with engine.connect() as host, pytest.raises(InvalidInput, match="transaction"):
        hotel.desk().joining(host).__enter__()


def test_an_async_session_is_joined_within_run_sync(schema_url: str) -> None:
    """The host's asyncio session lends its sync side; its rollback takes our part with it."""

    async def work() -> None:
        clock = FixedClock(NOON)
        sync_core = HotelCore(schema_url, clock=clock)
        sync_core.create_schema()
        hotel = open_hotel(sync_core, clock, rooms=1)
        core = AsyncHotelCore(schema_url, clock=clock)
        actor = Actor(hotel_id=hotel.hotel_id, subject="ana", role=Role.ADMIN)

        def join(session: Session) -> Booking:
            with core.acting_as(actor).joining(session) as uow:
                return book(uow, hotel)

        before = hotel.rows()
        async with AsyncSession(core.engine) as session:
            await session.run_sync(join)
            await session.rollback()
        assert hotel.rows() == before
        async with AsyncSession(core.engine) as session, session.begin():
            booking = await session.run_sync(join)
        assert hotel.booking(booking.id) == booking
        await core.close()
        sync_core.close()

    asyncio.run(work())


def test_several_joins_share_one_transaction(engine: Engine, hotel: SmallHotel) -> None:
    """Two handles of one hotel work in turn in the host's transaction and see each other's part."""
    with engine.begin() as host:
        with hotel.desk().joining(host) as uow:
            booking = book(uow, hotel)
        with hotel.desk(Role.RECEPTION).joining(host) as uow:
            checked_in, _ = op.check_in_guest(uow, booking_id=booking.id)
            assert isinstance(checked_in, Booking)
        with pytest.raises(HotelcoreError), hotel.desk().joining(host) as uow:
            op.check_in_guest(uow, booking_id=booking.id)
    assert hotel.booking(booking.id) == checked_in


# -- what a host leaves open ----------------------------------------------------------------------


def leave_open(engine: Engine) -> None:
    """Give a connection back in the midst of a transaction that the driver knows, and no other."""
    raw = engine.raw_connection()
    cursor = raw.cursor()
    if engine.dialect.name == "sqlite":
        cursor.execute("BEGIN IMMEDIATE")
    cursor.execute("UPDATE hc_hotel SET name = 'Left open'")
    cursor.close()
    raw.close()


def name_of(uow: UnitOfWork) -> str:
    """Return the name of the acting hotel."""
    return uow.hotel.name


def test_what_a_host_leaves_open_is_rolled_back(engine: Engine, hotel: SmallHotel) -> None:
    """A connection that goes back to the pool in a transaction takes nothing along."""
    leave_open(engine)
    assert hotel.desk().run(name_of) != "Left open"


def test_asyncio_rolls_back_what_a_host_leaves_open(engine: Engine, hotel: SmallHotel) -> None:
    """It is the same with asyncio, where the pool has to wait for that."""

    async def work() -> str:
        core = AsyncHotelCore(engine.url)
        await greenlet_spawn(leave_open, core.engine.sync_engine)
        name = await core.acting_as(hotel.desk().actor).run(name_of)
        await core.close()
        return name

    assert asyncio.run(work()) != "Left open"


def test_a_connection_that_leaves_its_pool_is_closed(postgresql_url: str) -> None:
    """A pool that no longer knows a connection still ends it."""
    with closing(HotelCore(postgresql_url)) as core, core.engine.connect() as connection:
        driver = connection.connection.driver_connection
        connection.detach()
    assert driver is not None
    assert driver.closed


# -- what cannot be joined ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "said"),
    [
        (lambda engine: AsyncSession(), "is for asyncio: await its run_sync"),
        (lambda engine: Session(), "is a Session without an engine"),
        (lambda engine: engine, "must be a Connection or a Session"),
        (lambda engine: None, "must be a Connection or a Session"),
    ],
)
def test_what_cannot_be_joined_is_told(
    engine: Engine, hotel: SmallHotel, host: Callable[[Engine], Any], said: str
) -> None:
    """A host that gives something else is told what to give."""
    with pytest.raises(InvalidInput, match=said) as refused, hotel.desk().joining(host(engine)):
        pass
    assert refused.value.field == "host"


def test_a_connection_that_commits_each_statement_is_not_joined(
    engine: Engine, hotel: SmallHotel
) -> None:
    """Without a transaction of the host's there is nothing to join, on either database."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SELECT 1"))
        with pytest.raises(InvalidInput, match="AUTOCOMMIT"), hotel.desk().joining(connection):
            pass


def test_a_failed_statement_of_the_hosts_is_told_as_such(engine: Engine, hotel: SmallHotel) -> None:
    """PostgreSQL takes nothing after it, SQLite does; the host's savepoint helps on both."""
    twice = text("INSERT INTO newsletter VALUES ('a@example.org')")
    with engine.connect() as connection:
        with connection.begin():
            connection.execute(twice)
        with connection.begin(), hotel.desk().joining(connection) as uow:
            with suppress(IntegrityError), connection.begin_nested():
                connection.execute(twice)
            uow.rooms.get(hotel.room_ids[0])
        with connection.begin(), ExitStack() as told:
            if engine.dialect.name == "postgresql":
                told.enter_context(pytest.raises(DatabaseFailure, match="into a savepoint"))
            with hotel.desk().joining(connection) as uow:
                with suppress(IntegrityError):
                    connection.execute(twice)
                uow.rooms.get(hotel.room_ids[0])
