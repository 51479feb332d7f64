"""What PostgreSQL has begun with, while we make ready what comes next, is part of the latter."""

from __future__ import annotations

import sys
import time
from collections import UserDict
from collections.abc import Iterator, KeysView, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, suppress
from datetime import timedelta
from functools import partial
from threading import Event
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import bindparam, event, insert, select, text, update
from sqlalchemy.dialects.postgresql import JSONB

from hotelcore import HotelCore
from hotelcore.access import Permission
from hotelcore.clock import FixedClock, SystemClock
from hotelcore.domain.guests import Guest
from hotelcore.domain.rooms import RoomCondition
from hotelcore.errors import DatabaseFailure, InvalidInput, UnitAborted, WaitTimeout
from hotelcore.ids import GuestId, new_id
from hotelcore.lists import GuestFilter
from hotelcore.operations import operation
from hotelcore.sql.events import outbox
from hotelcore.sql.events.event_log import SqlEventLog
from hotelcore.sql.repositories.guests import GUEST
from hotelcore.sql.schema import TableNames
from hotelcore.sql.seam import calls
from hotelcore.sql.seam.limits import Deadline, Limits
from hotelcore.sql.seam.statements import Statements, acting_hotel
from hotelcore.sql.seam.translation import UniqueViolation
from hotelcore.testing.hotels import NOON, SampleHotel, open_sample_hotel
from hotelcore.unit_of_work import UnitOfWork
from tests.sql.house import House, new_house
from tests.sql.test_outbox import reported, write

_g = GUEST.c
_RENAME = (
    update(GUEST)
    .where(_g.hotel_id == acting_hotel(), _g.id == bindparam("key"))
    .values(last_name=bindparam("name"))
)
_DESCRIBE = (
    update(GUEST)
    .where(_g.hotel_id == acting_hotel())
    .values(attributes=bindparam("more", type_=JSONB))
)
_COUNT = (
    update(GUEST)
    .where(_g.hotel_id == acting_hotel(), _g.id == bindparam("key"))
    .values(version=_g.version + 1)
)
_VERSION = select(_g.version).where(_g.hotel_id == acting_hotel())
_ADD = insert(GUEST).values(
    hotel_id=acting_hotel(),
    id=bindparam("id"),
    last_name="Twice",
    first_name="",
    last_name_key="twice",
    vip=False,
    attributes={},
    created_at=NOON,
    version=1,
)
_NAME = select(_g.last_name).where(_g.hotel_id == acting_hotel())


pytestmark = pytest.mark.parametrize("schema_url", ["postgresql"], indirect=True)


@pytest.fixture(autouse=True)
def _many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take two rows for many."""
    monkeypatch.setattr(calls, "_MANY", 2)


def begin(run: Statements, house: House, name: str = "Begun") -> None:
    """Write twice, so that the server begins with the first, and has no answer asked of it."""
    run.first(_NAME, tuple)  # the transaction is open
    rows = [{"key": house.guest_id, "name": name}] * 2
    with run.together(later=True):
        run.must_write(_RENAME, rows)
        run.must_write(_RENAME, rows)
    assert run._begun


def backend_of(run: Statements) -> int:
    """Return the server's number of a unit's connection, without a word to the server."""
    driver: Any = run._connection.connection.driver_connection
    return int(driver.info.backend_pid)


def name_of(house: House) -> str:
    """Read the guest's name, in a unit of its own."""
    with house.reading() as run:
        [(name,)] = run.all(_NAME, tuple)
    return str(name)


def is_locked(house: House) -> bool:
    """Ask over another connection whether somebody changes the guest."""
    with house.engine.connect() as other:
        found = other.execute(
            text("SELECT id FROM hc_guest WHERE id = :id FOR UPDATE SKIP LOCKED"),
            {"id": house.guest_id},
        )
        return found.first() is None


def test_the_server_works_before_it_is_asked_for_an_answer(house: House) -> None:
    """The row is locked while nothing has been read of the connection."""
    with house.writing() as run:
        begin(run, house)
        until = time.monotonic() + 20
        while not is_locked(house):
            assert time.monotonic() < until
        assert run._begun
        assert run.first(_NAME, tuple) == ("Begun",)
    assert name_of(house) == "Begun"


class Stopped(Exception):
    """Ends a block."""


def test_a_server_that_waits_for_us_minds_how_long(house: House) -> None:
    """It is idle in the transaction as soon as it has done what was begun: that has a limit."""
    state = text("SELECT state FROM pg_stat_activity WHERE pid = :pid")
    with house.writing() as run:
        begin(run, house)
        pid, until = backend_of(run), time.monotonic() + 20
        with house.engine.connect() as other:
            while other.scalar(state, {"pid": pid}) != "idle in transaction":
                assert time.monotonic() < until


def test_a_unit_that_stops_leaves_its_connection_whole(house: House) -> None:
    """What was begun is undone, and the next unit works on the same connection."""
    backends: list[int] = []

    def stop() -> None:
        with house.writing() as run:
            try:
                begin(run, house)
                raise Stopped
            finally:
                backends.append(backend_of(run))
                run.leave()

    with pytest.raises(Stopped):
        stop()
    assert name_of(house) == "A"
    with house.writing() as run:
        run.first(_NAME, tuple)
        backends.append(backend_of(run))
    assert backends[0] == backends[1]


def test_a_savepoint_undoes_what_was_begun(house: House) -> None:
    """The unit goes on with what was there before."""
    with house.writing() as run:
        with suppress(Stopped), run.savepoint():
            begin(run, house)
            raise Stopped
        assert run.first(_NAME, tuple) == ("A",)
        run.write(_RENAME, key=house.guest_id, name="After")
    assert name_of(house) == "After"


def test_a_savepoint_ends_what_nothing_could_be_sent_behind(house: House) -> None:
    """A value that the driver refuses undoes the savepoint, and no more."""

    def send(run: Statements) -> None:
        with run.savepoint():
            begin(run, house)
            run.write(_RENAME, key=house.guest_id, name="\ud800")

    with house.writing() as run:
        with pytest.raises((DatabaseFailure, InvalidInput)):
            send(run)
        assert run.first(_NAME, tuple) == ("A",)
        run.write(_RENAME, key=house.guest_id, name="After")
    assert name_of(house) == "After"


def test_what_cannot_be_sent_is_not_forgotten(house: House) -> None:
    """Who swallows its error does not commit the rest."""

    def go_on() -> None:
        with house.writing() as run:
            run.first(_NAME, tuple)
            with run.together(later=True):
                run.must_write(_RENAME, [{"key": house.guest_id, "name": "First"}])
                # psycopg makes no JSON of it; that shows as it is sent.
                run.must_write(_DESCRIBE, [{"more": {"a": object()}}] * 2)
                with suppress(DatabaseFailure):
                    run.must_write(_RENAME, [{"key": house.guest_id, "name": "Last"}])
                run.first(_NAME, tuple)

    with pytest.raises(UnitAborted):
        go_on()
    assert name_of(house) == "A"


def test_what_was_begun_waits_no_longer_than_its_unit(house: House) -> None:
    """The server was told the unit's limits before, or with it."""
    limits = Limits(wait_limit=timedelta(seconds=0.2))
    deadline = Deadline.start(SystemClock(), limits, house.hotel_id)

    def wait() -> None:
        with house.engine.connect() as connection, connection.begin():
            names = TableNames()
            run = Statements(connection, house.hotel_id, deadline, read_only=False, names=names)
            run.alone = True
            begin(run, house)
            run.first(_NAME, tuple)

    with house.writing() as other:
        other.write(_RENAME, key=house.guest_id, name="Other")
        with pytest.raises(WaitTimeout):
            wait()
    assert name_of(house) == "Other"


def test_a_lost_connection_is_told_with_what_comes_next(house: House) -> None:
    """Nothing is kept, and the pool gives another connection."""

    def lose() -> None:
        with house.writing() as run:
            begin(run, house)
            with house.engine.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": backend_of(run)})
            run.first(_NAME, tuple)

    with pytest.raises(DatabaseFailure, match="connection was lost"):
        lose()
    assert name_of(house) == "A"


def test_a_listener_that_comes_meanwhile_is_told_of_the_rest(house: House) -> None:
    """It may execute something itself, behind what was begun."""
    seen: list[str] = []

    def tell(_: object, cursor: Any, *rest: object) -> None:
        assert not cursor.connection.pgconn.pipeline_status  # else it would wait for ever
        cursor.execute("SELECT last_name FROM hc_guest WHERE id = %s", (house.guest_id,))
        seen.append(cursor.fetchone()[0])

    with house.writing() as run:
        begin(run, house)
        event.listen(house.engine, "before_cursor_execute", tell)
        try:
            run.first(_NAME, tuple)
        finally:
            event.remove(house.engine, "before_cursor_execute", tell)
    assert seen == ["Begun"]
    assert name_of(house) == "Begun"


def test_an_error_behind_such_a_listener_is_its_own(house: House) -> None:
    """Its statement went apart from what was begun, and is not taken for that."""

    def take_a_key() -> None:
        with house.writing() as run:
            begin(run, house)
            event.listen(house.engine, "before_cursor_execute", lambda *_: None)
            run.write(_ADD, id=house.guest_id)

    with pytest.raises(UniqueViolation):
        take_a_key()


@pytest.mark.race
def test_threads_take_turns_in_one_unit(house: House) -> None:
    """While one takes its answer from the connection, what another writes waits."""
    reading, go_on = Event(), Event()

    def slowly(row: object) -> object:
        reading.set()
        assert go_on.wait(20)
        return row

    with house.writing() as run, run.together(), ThreadPoolExecutor(2) as pool:
        first = pool.submit(run.first, _NAME, slowly)
        assert reading.wait(20)
        second = pool.submit(run.must_write, _COUNT, [{"key": house.guest_id}])
        overtook, _ = wait([second], timeout=0.3)
        go_on.set()
        assert (first.result(), second.result(), overtook) == (("A",), None, set())


@pytest.mark.race
def test_an_answer_from_before_a_write_is_forgotten(house: House) -> None:
    """Also one that was asked ahead while another thread made its write ready."""
    reading, go_on = Event(), Event()

    class Slow(UserDict[str, object]):
        def keys(self) -> KeysView[str]:
            reading.set()
            assert go_on.wait(20)
            return super().keys()

    with house.writing() as run, ThreadPoolExecutor(1) as pool:
        run.first(_VERSION, tuple)  # the transaction is open
        writing = pool.submit(run.write_many, _RENAME, [Slow(key=house.guest_id, name="New")])
        assert reading.wait(20)
        run.ahead(lambda: run.first(_NAME, tuple))
        run.first(_VERSION, tuple)  # the other question went with this one
        go_on.set()
        assert writing.result() == 1
        assert run.first(_NAME, tuple) == ("New",)


@pytest.mark.race
def test_threads_may_ask_ahead_at_the_same_time(house: House) -> None:
    """What one of them asks stays a hint when the other has ended."""
    asking, go_on = Event(), Event()

    def slowly(run: Statements) -> None:
        asking.set()
        assert go_on.wait(20)
        run.first(_VERSION, tuple)

    with house.writing() as run, ThreadPoolExecutor(1) as pool:
        first = pool.submit(run.ahead, partial(slowly, run))
        assert asking.wait(20)
        run.ahead(lambda: run.first(_NAME, tuple))
        go_on.set()
        first.result()
        assert len(run._waiting) == 2
        run.first(_NAME, tuple)


def test_threads_may_write_in_one_unit(house: House) -> None:
    """None of what several write together at once is lost, and none is sent twice."""
    threads, times = 4, 200
    row = {"key": house.guest_id}

    def write(run: Statements) -> None:
        for _ in range(times):
            run.must_write(_COUNT, [row, row])

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with house.writing() as run:
            run.first(_NAME, tuple)
            with run.together(), ThreadPoolExecutor(threads) as pool:
                for done in [pool.submit(write, run) for _ in range(threads)]:
                    done.result()
            [(version,)] = run.all(_VERSION, tuple)
    finally:
        sys.setswitchinterval(before)
    assert version == 1 + threads * times * 2


@given(
    units=st.lists(
        st.lists(st.tuples(st.integers(0, 1), st.sampled_from(RoomCondition)), max_size=9),
        max_size=3,
    )
)
def test_events_in_parts_are_in_one_order(
    house: House, units: list[list[tuple[int, RoomCondition]]]
) -> None:
    """However many statements it takes, a record's events are counted without a gap."""
    here = new_house(house.engine)
    written = [
        [reported(here, here.room_ids[room], condition) for room, condition in unit]
        for unit in units
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "_CHUNK", 2)
        patch.setattr(outbox, "_FEW", 1)
        for events in written:
            with here.writing() as run:
                run.first(_NAME, tuple)
                write(run, events)
    told = [each for events in written for each in events]
    with here.reading() as run:
        for room_id in here.room_ids[:2]:
            read = SqlEventLog(run).of_record(room_id)
            assert [each.id for each in read] == [id for id, each in told if each.key == room_id]
            assert [each.sequence for each in read] == list(range(1, len(read) + 1))
        turns = run.all(_TURNS, tuple)
    assert [id for (id,) in turns] == [id for id, _ in told]


_TURNS = (
    select(outbox.OUTBOX.c.id)
    .where(outbox.OUTBOX.c.hotel_id == acting_hotel())
    .order_by(outbox.OUTBOX.c.turn)
)


# -- in operations ------------------------------------------------------------------------------


@pytest.fixture
def hotel(schema_url: str) -> Iterator[SampleHotel]:
    """Return a hotel in a database of its own."""
    with closing(HotelCore(schema_url, clock=FixedClock(NOON))) as core:
        yield open_sample_hotel(core)


@operation(Permission.GUESTS_EDIT)
def register_and_stop(uow: UnitOfWork, *, guests: Sequence[Guest]) -> None:
    """Store guests twice at once, and stop while the server is at the first."""
    first, *others = guests
    uow.guests.get(uow.guests.page(GuestFilter()).items[0].id)
    with uow.together(later=True):
        uow.guests.add_all(others)
        uow.guests.add_all([first])
        raise Stopped


def test_an_operation_that_stops_changes_nothing(hotel: SampleHotel) -> None:
    """Its connection goes back to the pool as it was, and only the log of refusals may grow."""
    guests = [new_guest_of(hotel, str(n)) for n in range(20)]
    with pytest.raises(Stopped):
        hotel.desk.run(register_and_stop, guests=guests)
    with hotel.desk.reading() as uow:
        assert not uow.guests.page(GuestFilter(last_name="Many")).items
    assert hotel.core.prove(hotel.desk.actor.hotel_id).ok


def new_guest_of(hotel: SampleHotel, first_name: str) -> Guest:
    """Build a guest who is not stored."""
    return attrs.evolve(
        hotel.guests[0], id=GuestId(new_id()), last_name="Many", first_name=first_name
    )
