"""What is asked ahead is answered as if it had been asked when its answer is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from threading import Event
from typing import TypeAlias

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Engine, bindparam, event, func, select, text, update
from sqlalchemy.sql.base import Executable

from hotelcore import HotelCore
from hotelcore.access import Permission, Role
from hotelcore.clock import FixedClock
from hotelcore.errors import DatabaseFailure, InvalidInput, NotFound
from hotelcore.ids import GuestId, new_id
from hotelcore.lists import GuestFilter
from hotelcore.operations import operation, register_guest
from hotelcore.sql.repositories.guests import GUEST
from hotelcore.sql.repositories.rooms import ROOM, SqlRooms
from hotelcore.sql.seam.statements import Statements, acting_hotel
from hotelcore.testing.faults import Faults
from hotelcore.testing.hotels import NOON, SampleHotel, open_sample_hotel
from hotelcore.unit_of_work import UnitOfWork
from hotelcore.watching import StatementRan
from tests.sql.house import House, new_house

_g = GUEST.c
_OURS = (_g.hotel_id == acting_hotel(), _g.id == bindparam("key"))
_NAME = select(_g.last_name).where(*_OURS)
_LENGTH = select(func.length(_g.last_name)).where(*_OURS)
_LOCKED = _NAME.with_for_update()
_SOME = select(ROOM.c.id).where(
    ROOM.c.hotel_id == acting_hotel(), ROOM.c.id.in_(bindparam("keys", expanding=True))
)
_RENAME = update(GUEST).where(*_OURS).values(last_name=bindparam("name"))
_FAILING = select(func.length(_g.last_name) / bindparam("by")).where(*_OURS)

Step: TypeAlias = str | tuple[bool, list["Step"]]
"""Ask ahead or in earnest, write now or later, or go on in a savepoint that is kept or not."""

_KINDS = ["ahead: name", "ahead: length", "ahead: lock", "name", "length", "lock"]
_KINDS += ["now", "later", "many"]
steps = st.recursive(
    st.sampled_from(_KINDS),
    lambda step: st.tuples(st.booleans(), st.lists(step, max_size=5)),
    max_leaves=14,
)
_ASKED: dict[str, Executable] = {"name": _NAME, "length": _LENGTH, "lock": _LOCKED}


class _Undone(Exception):
    """Ends a savepoint."""


class Guest:
    """One guest's name in the database, and what it should be."""

    def __init__(self, run: Statements, house: House) -> None:
        self.run, self.key, self.name = run, house.guest_id, "First"
        self.rename("now")

    def take(self, step: Step) -> None:
        """Do one step."""
        if isinstance(step, tuple):
            self.within_savepoint(*step)
        elif step.startswith("ahead: "):
            self.run.ahead(lambda: self.ask(step.removeprefix("ahead: ")))
        elif step in _ASKED:
            expected = len(self.name) if step == "length" else self.name
            assert self.ask(step) == expected
        else:
            self.rename(step)

    def ask(self, what: str) -> object:
        """Ask for the name or its length."""
        return self.run.first(_ASKED[what], lambda row: row[0], key=self.key)

    def rename(self, when: str) -> None:
        """Store another name, now or with the next statement, as the last of many or alone."""
        first = self.name
        self.name = str(new_id())[: 1 + len(first) % 30]
        row = {"key": self.key, "name": self.name}
        if when == "now":
            assert self.run.write(_RENAME, **row) == 1
        else:
            before = [{**row, "name": first}] * 2 if when == "many" else []
            self.run.write_with_next(_RENAME, [*before, row])

    def within_savepoint(self, keep: bool, steps: Sequence[Step]) -> None:
        """Do some steps in a savepoint, and undo them unless they are kept."""
        before = self.name
        with suppress(_Undone), self.run.savepoint():
            for step in steps:
                self.take(step)
            if not keep:
                raise _Undone
        if not keep:
            self.name = before


@given(steps=st.lists(steps, max_size=10))
@example(steps=[(False, ["now", "ahead: name", "length"]), "name"])
def test_it_makes_no_difference(database: Engine, steps: list[Step]) -> None:
    """Whatever is asked ahead, and whatever is written between: each answer is the one of now."""
    house = new_house(database)
    with house.writing() as run:
        guest = Guest(run, house)
        for step in steps:
            guest.take(step)
    with house.reading() as run:
        assert run.first(_NAME, lambda row: row.last_name, key=house.guest_id) == guest.name


def test_a_question_may_fail_and_be_undone(database: Engine) -> None:
    """What the server refuses fails the question that it went with, and a savepoint mends it."""
    house = new_house(database)

    def ask_both(run: Statements) -> None:
        with run.savepoint():
            run.ahead(lambda: run.first(_FAILING, tuple, key=house.guest_id, by=0))
            run.first(_NAME, tuple, key=house.guest_id)
            run.first(_FAILING, tuple, key=house.guest_id, by=0)
            raise _Undone  # SQLite gives null for what is divided by nothing

    with house.writing() as run:
        with pytest.raises((DatabaseFailure, _Undone)):
            ask_both(run)
        assert run.first(_NAME, tuple, key=house.guest_id) is not None


def test_what_asks_ahead_writes_nothing(database: Engine) -> None:
    """A method that turns out to write is not called for it."""
    house = new_house(database)
    with house.writing() as run:
        run.ahead(lambda: run.write(_RENAME, key=house.guest_id, name="Ahead"))
        run.ahead(lambda: run.write_with_next(_RENAME, [{"key": house.guest_id, "name": "Ahead"}]))
    with house.reading() as run:
        assert run.first(_NAME, lambda row: row.last_name, key=house.guest_id) != "Ahead"


def test_only_what_can_be_sent_waits(database: Engine) -> None:
    """A text that the driver does not take fails where it is asked, and not who asks next."""
    house = new_house(database)
    named = select(_g.id).where(_g.hotel_id == acting_hotel(), _g.last_name == bindparam("name"))
    with house.writing() as run:
        run.ahead(lambda: run.first(named, tuple, name="\0"))
        assert run.first(_NAME, tuple, key=house.guest_id) is not None


def test_a_question_has_the_words_of_its_moment(database: Engine) -> None:
    """A list that grows between asking ahead and asking is another question."""
    house = new_house(database)
    keys = [house.room_ids[0]]
    with house.writing() as run:
        run.ahead(lambda: SqlRooms(run).lock(keys))
        assert len(SqlRooms(run).lock(keys)) == 1
        run.ahead(lambda: run.all(_SOME, tuple, keys=keys))
        keys.append(house.room_ids[1])
        assert len(run.all(_SOME, tuple, keys=keys)) == 2


# -- on PostgreSQL, where it goes together ------------------------------------------------------


@pytest.fixture
def hotel(postgresql_url: str) -> Iterator[SampleHotel]:
    """Return a hotel in a database of its own."""
    with closing(HotelCore(postgresql_url, clock=FixedClock(NOON))) as core:
        core.create_schema()
        yield open_sample_hotel(core)


@operation(Permission.BOOKINGS_CREATE)
def doing(uow: UnitOfWork, *, what: Callable[[UnitOfWork], None]) -> None:
    """Do something as a command."""
    what(uow)
    uow.changed("hotel", uow.hotel_id, None, None)


def three_questions(uow: UnitOfWork) -> None:
    """Ask for the hotel, the room types and a guest whom nobody knows."""
    nobody = GuestId(uow.new_id())
    uow.ahead(uow.hotels.current)
    uow.ahead(uow.room_types.all)
    uow.ahead(uow.guests.share, nobody)
    assert uow.hotel.id == uow.hotel_id
    assert len(uow.room_types.all()) == 1
    with pytest.raises(NotFound):
        uow.guests.share(nobody)


def test_questions_go_together(hotel: SampleHotel) -> None:
    """Three that are asked ahead take one exchange; then come the log and the commit."""
    faults = Faults.on(hotel.core.engine)
    with faults.counting() as calls:
        hotel.desk.run(doing, what=three_questions)
    assert [call for call in calls if call in ("exchange", "commit")] == [
        "exchange",
        "exchange",  # the end of the log
        "commit",
    ]


def test_each_question_is_told_of_once(hotel: SampleHotel) -> None:
    """Who watches is told of each statement in the order of asking, with its rows."""
    told: list[tuple[str, int]] = []

    def note(_: object, statement: StatementRan) -> None:
        told.append((statement.tables[0], statement.rows))

    with hotel.core.watch.statement_ran.connected_to(note):
        hotel.desk.run(doing, what=three_questions)
    assert told[:3] == [("hc_hotel", 1), ("hc_room_type", 1), ("hc_guest", 0)]
    assert [table for table, _ in told[3:]] == ["hc_audit_head", "hc_audit_log"]


def test_what_python_cannot_hold_is_an_error_of_ours(hotel: SampleHotel) -> None:
    """A date beyond Python's is refused in our words, asked ahead or not."""
    with hotel.core.engine.begin() as connection:
        connection.execute(text("UPDATE hc_guest SET created_at = 'infinity'"))

    def ask(uow: UnitOfWork) -> None:
        uow.ahead(uow.guests.get, hotel.guests[0].id)
        uow.room_types.all()

    with pytest.raises(DatabaseFailure):
        hotel.desk.run(doing, what=ask)


def test_nobody_is_refused_what_was_not_asked(hotel: SampleHotel) -> None:
    """To ask ahead for what one may not see leaves no refusal in the audit log."""
    before = refusals(hotel)
    with hotel.acting_as(Role.RECEPTION).transaction() as uow:
        uow.ahead(uow.pms.api_key)
    assert refusals(hotel) == before


def refusals(hotel: SampleHotel) -> int:
    """Count what the audit log says that somebody was not allowed."""
    with hotel.core.engine.connect() as connection:
        denied = text("SELECT count(*) FROM hc_audit_log WHERE outcome = 'denied'")
        return int(connection.execute(denied).scalar_one())


def test_a_command_is_no_question(database_url: str) -> None:
    """Whoever asks ahead for a command is told so, or nothing is done; and the unit goes on."""
    with closing(HotelCore(database_url, clock=FixedClock(NOON))) as core:
        core.create_schema()
        hotel = open_sample_hotel(core)
        with hotel.desk.transaction() as uow:
            with pytest.raises(InvalidInput, match="must be a method of a repository"):
                uow.ahead(register_guest, uow, last_name="Ahead")
            with pytest.raises(InvalidInput, match="must be a method of a repository"):
                uow.ahead("guests")  # type: ignore[arg-type]  # as a host without types may
            uow.ahead(lambda: register_guest(uow, last_name="Ahead"))
            register_guest(uow, last_name="Behind")
        with hotel.desk.reading() as uow:
            assert not uow.guests.page(GuestFilter(last_name="Ahead")).items
            assert uow.guests.page(GuestFilter(last_name="Behind")).items


def test_threads_that_share_a_unit_ask_for_themselves(hotel: SampleHotel) -> None:
    """What one thread asks ahead ends no question that another asks meanwhile."""
    first, second = (guest.id for guest in hotel.guests)
    begun, answered = Event(), Event()

    def ask_in_earnest(uow: UnitOfWork) -> GuestId:
        begun.wait(10)
        try:
            return uow.guests.get(second).id
        finally:
            answered.set()

    def ask_ahead(uow: UnitOfWork) -> None:
        begun.set()
        answered.wait(10)
        uow.guests.get(first)

    with hotel.desk.transaction() as uow, ThreadPoolExecutor(1) as thread:
        other = thread.submit(ask_in_earnest, uow)
        uow.ahead(ask_ahead, uow)
        assert other.result() == second
        assert uow.guests.get(first).id == first


def test_a_listener_may_come_between(hotel: SampleHotel) -> None:
    """Whoever begins to listen after something was asked ahead spoils no answer."""
    seen: list[str] = []

    def note(_: object, __: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    with hotel.desk.transaction() as uow:
        uow.ahead(uow.room_types.all)
        uow.ahead(uow.hotels.current)
        event.listen(hotel.core.engine, "before_cursor_execute", note)
        assert uow.hotel.id == uow.hotel_id
        assert len(uow.room_types.all()) == 1
    event.remove(hotel.core.engine, "before_cursor_execute", note)
    assert seen


_LOCK = text("SELECT FROM hc_guest WHERE id = :id FOR UPDATE NOWAIT")
_WAITS = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def test_records_are_locked_in_the_order_of_asking(hotel: SampleHotel) -> None:
    """While the first of two guests is waited for, the second one is free for everybody."""
    first, second = (guest.id for guest in hotel.guests)

    def lock_both() -> None:
        with hotel.desk.transaction() as uow:
            uow.ahead(uow.guests.lock, first)
            uow.ahead(uow.guests.lock, second)
            uow.guests.lock(first)

    with ThreadPoolExecutor(1) as thread:
        with hotel.core.engine.connect() as holder, hotel.core.engine.connect() as other:
            holder.execute(_LOCK, {"id": first})
            running = thread.submit(lock_both)
            while not (running.done() or other.scalar(_WAITS)):
                other.rollback()
            other.execute(_LOCK, {"id": second})
            assert not running.done()
        running.result()
