"""What is written with the next statement is written as if it had been sent at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import timedelta

import pytest
from sqlalchemy import Engine, bindparam, event, select, text, update

from hotelcore import AsyncHotelCore, HotelCore
from hotelcore.access import Permission
from hotelcore.clock import FixedClock
from hotelcore.core import AsyncUnit
from hotelcore.domain.stays import Stay
from hotelcore.errors import DatabaseFailure, HotelcoreError, TransactionTimeout, UnitAborted
from hotelcore.lists import GuestFilter
from hotelcore.operations import operation, register_guest
from hotelcore.sql.repositories.guests import GUEST
from hotelcore.sql.seam.statements import Statements, acting_hotel
from hotelcore.testing.faults import Fault, Faults
from hotelcore.testing.hotels import NOON, TODAY, SampleHotel, open_sample_hotel
from hotelcore.unit_of_work import UnitOfWork
from tests.sql.house import DAY, new_house

_g = GUEST.c
_WRITE = (
    update(GUEST)
    .where(_g.hotel_id == acting_hotel(), _g.id == bindparam("key"))
    .values(last_name=bindparam("name"))
)
_READ = select(_g.last_name).where(_g.hotel_id == acting_hotel(), _g.id == bindparam("key"))
_MOVE = (
    update(GUEST)
    .where(_g.hotel_id == acting_hotel(), _g.id == bindparam("key"))
    .values(id=bindparam("new_key"))
)


def test_what_cannot_be_written_fails_the_next_statement(database: Engine) -> None:
    """Its failure is told in the same words, at the latest with what follows."""
    house = new_house(database)

    def write_both() -> None:
        with house.writing() as run:
            rows = [{"key": house.guest_id, "new_key": None}]
            run.write_with_next(_MOVE, rows)
            run.first(_READ, lambda row: row, key=house.guest_id)

    with pytest.raises(DatabaseFailure, match="rule that the tables hold"):
        write_both()


@pytest.mark.parametrize("follows", [False, True])
def test_a_savepoint_undoes_what_failed(database: Engine, follows: bool) -> None:
    """Once a savepoint is rolled back the unit goes on with what was there before it."""
    house = new_house(database)

    def write_both(run: Statements) -> None:
        with run.savepoint():
            run.write_with_next(_MOVE, [{"key": house.guest_id, "new_key": None}])
            if follows:
                run.first(_READ, lambda row: row, key=house.guest_id)

    with house.writing() as run:
        run.write(_WRITE, key=house.guest_id, name="Before")
        with pytest.raises(DatabaseFailure):
            write_both(run)
        assert run.first(_READ, lambda row: row.last_name, key=house.guest_id) == "Before"


# -- on PostgreSQL, where something waits -------------------------------------------------------


@pytest.fixture
def hotel(postgresql_url: str) -> Iterator[SampleHotel]:
    """Return a hotel in a database of its own."""
    with closing(HotelCore(postgresql_url, clock=FixedClock(NOON))) as core:
        core.create_schema()
        yield open_sample_hotel(core)


@operation(Permission.BOOKINGS_CREATE)
def sell_a_night(uow: UnitOfWork, *, then: Callable[[UnitOfWork], object]) -> None:
    """Sell a night of the only type, which waits for the next statement, and do something."""
    [of_type] = uow.room_types.all()
    uow.inventory.sell(of_type.id, Stay(TODAY + 9 * DAY, TODAY + 10 * DAY).nights, held=False)
    then(uow)
    uow.changed("hotel", uow.hotel_id, None, None)


@operation(Permission.BOOKINGS_CREATE)
def give_back(uow: UnitOfWork) -> None:
    """Give back the night that was sold."""
    [of_type] = uow.room_types.all()
    uow.inventory.release(of_type.id, Stay(TODAY + 9 * DAY, TODAY + 10 * DAY).nights, held=False)
    uow.changed("hotel", uow.hotel_id, None, None)


def sold(hotel: SampleHotel) -> int:
    """Count the units sold of that night."""
    night = TODAY + 9 * DAY
    with hotel.desk.reading() as uow:
        [row] = uow.inventory.nights(Stay(night, night + DAY))
    return row.committed


def look(uow: UnitOfWork) -> None:
    """Ask something, which sends what waits."""
    uow.guests.page(GuestFilter())


def begin_savepoint(uow: UnitOfWork) -> None:
    """Begin a savepoint, before which what waits is sent."""
    with uow.savepoint():
        pass


@pytest.mark.parametrize("go_on", [look, begin_savepoint])
@pytest.mark.parametrize("after", [False, True])
def test_what_nobody_knows_of_is_not_kept(
    hotel: SampleHotel, go_on: Callable[[UnitOfWork], None], after: bool
) -> None:
    """If the exchange fails and the connection lives, the unit does not commit the rest."""
    hotel.desk.run(sell_a_night, then=look)  # one statement waits the next time, and not two
    faults = Faults.on(hotel.core.engine)

    def fail(uow: UnitOfWork) -> None:
        with faults.failing(Fault(call=1, after=after)), suppress(DatabaseFailure):
            go_on(uow)

    with pytest.raises(UnitAborted):
        hotel.desk.run(sell_a_night, then=fail)
    assert sold(hotel) == 1


def test_tasks_may_share_a_unit_that_writes(hotel: SampleHotel) -> None:
    """While one task's statement is under way another's waits for it, and finds nothing wrong."""

    async def keep_looking(unit: AsyncUnit, pause: float) -> None:
        for _ in range(10):
            await unit.run(look)
            await asyncio.sleep(pause)

    async def work() -> None:
        core = AsyncHotelCore(hotel.core.engine.url, clock=FixedClock(NOON))
        desk = core.acting_as(hotel.desk.actor)
        for number in range(20):
            async with desk.transaction() as unit:
                looking = (keep_looking(unit, number * factor / 10_000) for factor in (1, 2))
                await asyncio.gather(unit.run(sell_a_night, then=look), *looking)
                await unit.run(give_back)
        await core.close()

    asyncio.run(work())
    assert sold(hotel) == 0


def test_a_host_sees_it_at_once_in_its_own_transaction(hotel: SampleHotel) -> None:
    """Whoever else uses the connection finds what the operations have written so far."""
    committed: list[int] = []
    with hotel.core.engine.begin() as connection, hotel.desk.joining(connection) as uow:
        look = text("SELECT committed FROM hc_room_availability WHERE night = :night")
        night = {"night": TODAY + 9 * DAY}
        sell_a_night(uow, then=lambda _: committed.append(connection.scalar(look, night) or 0))
    assert committed == [1]
    assert sold(hotel) == 1


def test_a_listener_is_told_of_each_statement_in_its_turn(hotel: SampleHotel) -> None:
    """Whoever listens to the driver's cursor sees all, and the commit after them."""
    seen: list[str] = []

    @event.listens_for(hotel.core.engine, "before_cursor_execute")
    def tell(_: object, __: object, statement: str, *rest: object) -> None:
        seen.append(" ".join(statement.split()[:3]))

    hotel.desk.run(sell_a_night, then=lambda _: seen.append("then"))
    assert "UPDATE hc_room_availability SET" in seen[: seen.index("then")]
    assert seen[-1] == "INSERT INTO hc_audit_log"


def test_a_host_may_prevent_a_commit(hotel: SampleHotel) -> None:
    """A listener that is told before a commit, and raises, is heard in time."""

    @event.listens_for(hotel.core.engine, "commit")
    def refuse(_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        hotel.desk.run(register_guest, last_name="Never")
    event.remove(hotel.core.engine, "commit", refuse)
    with hotel.desk.reading() as uow:
        assert not uow.guests.page(GuestFilter(last_name="Never")).items


# -- a commit that fails ------------------------------------------------------------------------

_FAILS_AT_COMMIT = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{}'; END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON hc_guest
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()
"""


def counted(hotel: SampleHotel) -> tuple[int, int]:
    """Count the guests and what the audit log says of the house."""
    with hotel.core.engine.connect() as connection:
        tables = ("hc_guest", "hc_audit_log")
        first, second = (connection.scalar(text(f"SELECT count(*) FROM {t}")) for t in tables)
    assert isinstance(first, int)
    assert isinstance(second, int)
    return first, second


@pytest.mark.long
@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("23514", DatabaseFailure),
        ("0A000", DatabaseFailure),
        ("26000", TransactionTimeout),  # asks for the whole unit again, as the next one does
        ("40001", TransactionTimeout),
    ],
)
def test_a_commit_that_fails_keeps_nothing(
    hotel: SampleHotel, state: str, told: type[HotelcoreError]
) -> None:
    """Whatever a host's own rule says at the commit, nothing is sent again outside of it."""
    with hotel.core.engine.begin() as connection:
        connection.execute(text(_FAILS_AT_COMMIT.format(state)))
    before = counted(hotel)
    desk = hotel.desk.within(time_limit=timedelta(seconds=1))
    for _ in range(2):  # the second time the server has prepared all of it
        with pytest.raises(told):
            desk.run(register_guest, last_name="Never")
    assert counted(hotel) == before
    assert hotel.core.prove(hotel.hotel_id).ok


def test_a_taken_key_may_show_at_the_commit(hotel: SampleHotel) -> None:
    """A host's deferred unique key is told in words that do not blame the library."""
    with hotel.core.engine.begin() as connection:
        unique = "UNIQUE (hotel_id, last_name) DEFERRABLE INITIALLY DEFERRED"
        connection.execute(text(f"ALTER TABLE hc_guest ADD {unique}"))
    hotel.desk.run(register_guest, last_name="Once")
    before = counted(hotel)
    with pytest.raises(DatabaseFailure, match="no repository answers for"):
        hotel.desk.run(register_guest, last_name="Once")
    assert counted(hotel) == before


def test_a_commit_that_nobody_hears_of_is_no_timeout(postgresql_url: str) -> None:
    """However late the connection is lost, the caller is told that all may be there."""
    calls: Sequence[str] = ()

    class Late(FixedClock):
        def monotonic(self) -> float:
            return super().monotonic() + (1_000 if "commit" in calls else 0)

    with closing(HotelCore(postgresql_url, clock=Late(NOON))) as core:
        faults = Faults.on(core.engine)
        core.create_schema()
        hotel = open_sample_hotel(core)
        with faults.counting() as clean:
            hotel.desk.run(register_guest, last_name="Heard")
        fault = Fault(call=clean.index("commit") + 1, after=True, disconnect=True)
        with faults.failing(fault) as calls, pytest.raises(DatabaseFailure, match="may be there"):
            hotel.desk.run(register_guest, last_name="Unheard")
        calls = ()
        with hotel.desk.reading() as uow:
            assert uow.guests.page(GuestFilter(last_name="Unheard")).items
