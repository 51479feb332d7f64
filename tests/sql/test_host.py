"""A host's own statements run in a unit of work under the rules of the library's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Table,
    TypeDecorator,
    Uuid,
    bindparam,
    delete,
    select,
    update,
)
from sqlalchemy.sql.dml import UpdateBase

from hotelcore import HotelCore, Permission, new_id
from hotelcore.access import Role
from hotelcore.clock import FixedClock
from hotelcore.errors import (
    AlreadyExists,
    DatabaseFailure,
    InvalidInput,
    PermissionDenied,
    ReadOnly,
    UnboundStatement,
)
from hotelcore.lists import AuditFilter
from hotelcore.operations import operation
from hotelcore.sql.host import (
    HostStatements,
    Listing,
    UniqueViolation,
    acting_hotel,
    insert_into,
    rows_into,
    statements_of,
    upsert_into,
    versioned_update,
)
from hotelcore.sql.repositories.guests import GUEST
from hotelcore.testing.hotels import NOON, SampleHotel, open_sample_hotel
from hotelcore.unit_of_work import UnitOfWork

METADATA = MetaData()
VISIT = Table(
    "spa_visit",
    METADATA,
    Column("hotel_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("minutes", Integer, nullable=False),
)
ADD = insert_into(VISIT)
WITHOUT_HOTEL = Table("spa", METADATA, Column("id", Uuid, primary_key=True))
OF_BAYS = Table(
    "spa_bay",
    METADATA,
    Column("hotel_id", Uuid, primary_key=True),
    Column("floor", Integer, primary_key=True),
    Column("bay", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
)
OF_NOTHING = Table("spa_hours", METADATA, Column("hotel_id", Uuid), Column("version", Integer))
CANARY = "Zaunkönig-7"
MINUTES = select(VISIT.c.minutes).where(VISIT.c.hotel_id == acting_hotel())


class Minutes(TypeDecorator[int]):
    """A host's own type, which refuses a text and shows it."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: object) -> Any:  # of whatever type
        """Refuse a text."""
        del dialect
        if value == CANARY:
            raise ValueError(value)
        return value


@pytest.fixture
def hotels(schema_url: str) -> Iterator[tuple[SampleHotel, SampleHotel]]:
    """Return two hotels of one database that has the host's table too."""
    core = HotelCore(schema_url, clock=FixedClock(NOON))
    core.create_schema()
    METADATA.create_all(core.engine)
    yield open_sample_hotel(core), open_sample_hotel(core)
    core.close()


def add(uow: UnitOfWork, minutes: int, visit_id: UUID | None = None) -> int:
    """Store a visit, outside any command."""
    return statements_of(uow).write(ADD, id=visit_id or new_id(), minutes=minutes)


def write(uow: UnitOfWork, statement: UpdateBase) -> int:
    """Run a statement that changes rows."""
    return statements_of(uow).write(statement)


def in_a_command(uow: UnitOfWork, work: Callable[[UnitOfWork], int]) -> int:
    """Do some work as a command."""
    with uow.command("visit_spa", Permission.FRONT_DESK):
        return work(uow)


@operation(Permission.FRONT_DESK)
def book_visits(uow: UnitOfWork, *, minutes: tuple[int, ...]) -> int:
    """Store visits of some minutes each, and return how many."""
    rows = [{"id": new_id(), "minutes": each} for each in minutes]
    return statements_of(uow).write_many(ADD, rows)


def minutes_of(hotel: SampleHotel) -> list[int]:
    """Read the minutes of all visits of a hotel."""
    with hotel.desk.reading() as uow:
        return sorted(statements_of(uow).all(MINUTES, lambda row: row.minutes))


def test_each_hotel_has_its_own_rows(hotels: tuple[SampleHotel, SampleHotel]) -> None:
    """What an operation writes is the acting hotel's, read back there and nowhere else."""
    here, there = hotels
    assert here.desk.run(book_visits, minutes=(30, 60)) == 2
    assert there.desk.run(book_visits, minutes=(90,)) == 1
    assert minutes_of(here) == [30, 60]
    assert minutes_of(there) == [90]
    with there.desk.reading() as uow:
        assert statements_of(uow).first(MINUTES, lambda row: row.minutes) == 90
        assert statements_of(uow).dialect in ("sqlite", "postgresql")


def test_what_a_host_writes_is_audited(hotels: tuple[SampleHotel, SampleHotel]) -> None:
    """The operation that wrote has its entry; without its permission nothing is written."""
    here, _ = hotels
    here.desk.run(book_visits, minutes=(30,))
    with here.desk.reading() as uow:
        assert uow.audit.page(AuditFilter(), limit=1).items[0].operation == "book_visits"
    with pytest.raises(PermissionDenied):
        here.acting_as(Role.STAFF).run(book_visits, minutes=(60,))
    assert minutes_of(here) == [30]


def test_nothing_is_written_outside_an_operation(hotels: tuple[SampleHotel, SampleHotel]) -> None:
    """A reading unit, a plain function and a SELECT that inserts are all refused."""
    here, _ = hotels
    inside = insert_into(VISIT).returning(VISIT.c.hotel_id, VISIT.c.id).cte()
    sly = select(inside.c.id)
    with here.desk.reading() as uow, pytest.raises(ReadOnly, match="only reads"):
        add(uow, 30)
    with here.desk.reading() as uow, pytest.raises(ReadOnly, match="only reads"):
        statements_of(uow).all(sly, list, id=new_id(), minutes=30)
    with pytest.raises(ReadOnly, match="only an operation"):
        here.desk.run(add, 30)
    with pytest.raises(ReadOnly, match="only an operation"):
        here.desk.run(lambda uow: statements_of(uow).all(sly, list, id=new_id(), minutes=30))
    assert minutes_of(here) == []


@pytest.mark.parametrize(
    "statement",
    [
        insert_into(GUEST),
        update(GUEST).where(GUEST.c.hotel_id == acting_hotel()).values(vip=True),
        delete(GUEST).where(GUEST.c.hotel_id == acting_hotel()),
        select(
            update(GUEST)
            .where(GUEST.c.hotel_id == acting_hotel())
            .values(vip=True)
            .returning(GUEST.c.hotel_id, GUEST.c.id)
            .cte()
            .c.id
        ),
    ],
)
def test_the_librarys_tables_are_not_changed(
    hotels: tuple[SampleHotel, SampleHotel],
    statement: Any,  # of any kind
) -> None:
    """A host's statement reads our tables; it changes none, in an operation neither."""
    here, _ = hotels
    with pytest.raises(ReadOnly, match="hc_guest is the library's"):
        here.desk.run(in_a_command, lambda uow: len(statements_of(uow).all(statement, list)))
    names = select(GUEST.c.last_name).where(GUEST.c.hotel_id == acting_hotel())
    with here.desk.reading() as uow:
        assert len(statements_of(uow).all(names, lambda row: row.last_name)) == 2


def test_an_unbound_statement_is_refused(hotels: tuple[SampleHotel, SampleHotel]) -> None:
    """A statement that would reach another hotel's rows does not run, reading or writing."""
    here, there = hotels
    there.desk.run(book_visits, minutes=(90,))
    with here.desk.reading() as uow, pytest.raises(UnboundStatement, match="spa_visit"):
        statements_of(uow).all(select(VISIT.c.minutes), list)
    for unbound in update(VISIT).values(minutes=1), delete(VISIT):
        work = partial(write, statement=unbound)
        with pytest.raises(UnboundStatement, match="spa_visit"):
            here.desk.run(in_a_command, work)
    assert minutes_of(there) == [90]


def test_a_text_is_no_statement(hotels: tuple[SampleHotel, SampleHotel]) -> None:
    """SQL as it is written cannot be judged, and is refused like what is not bound."""
    here, _ = hotels
    words: Any = "SELECT minutes FROM spa_visit"  # as somebody without a type checker does it
    with here.desk.reading() as uow, pytest.raises(UnboundStatement, match=r"select\(\)"):
        statements_of(uow).all(words, list)


VISITS = Listing(
    select(VISIT).where(VISIT.c.hotel_id == acting_hotel()),
    lambda row: row.minutes,
    keys=(VISIT.c.minutes, VISIT.c.id),
    conditions={"minutes": VISIT.c.minutes == bindparam("minutes")},
)


def test_a_list_is_asked_for_what_it_has(hotels: tuple[SampleHotel, SampleHotel]) -> None:
    """A condition that is misspelt is refused, as it would show everything."""
    here, _ = hotels
    here.desk.run(book_visits, minutes=(30, 60, 60))
    with here.desk.reading() as uow:
        run = statements_of(uow)
        assert VISITS.page(run, after=None, limit=9, minutes=60).items == (60, 60)
        assert VISITS.page(run, after=None, limit=9, minutes=None).items == (30, 60, 60)
        with pytest.raises(InvalidInput, match=r"mintues: .* which is minutes"):
            VISITS.page(run, after=None, limit=9, mintues=60)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ((), "at least one"),
        ((GUEST.c.last_name,), "last_name is not"),
        ((VISIT.c.id,), "id is not"),
    ],
)
def test_a_list_has_keys_to_go_on_from(keys: tuple[Column[Any], ...], reason: str) -> None:
    """Keys that are missing, or that the statement does not select, are refused at once."""
    with pytest.raises(InvalidInput, match=reason):
        Listing(MINUTES, list, keys=keys, conditions={})


def test_many_rows_are_written_at_once(hotels: tuple[SampleHotel, SampleHotel]) -> None:
    """A host's repository inserts many rows as the library's do, into columns of any type."""
    here, there = hotels
    rows = [{"id": new_id(), "minutes": number} for number in range(20)]

    def book(uow: UnitOfWork) -> int:
        return rows_into(VISIT).write(statements_of(uow), rows)

    assert here.desk.run(in_a_command, book) == 20
    assert (minutes_of(here), minutes_of(there)) == ([*range(20)], [])


def test_a_taken_key_is_told_and_undone(hotels: tuple[SampleHotel, SampleHotel]) -> None:
    """The host's repository is told of a taken key, and the unit leaves nothing behind."""
    here, there = hotels
    visit_id = new_id()

    def twice(uow: UnitOfWork) -> int:
        return add(uow, 30, visit_id) + add(uow, 60, visit_id)

    with pytest.raises(UniqueViolation):
        here.desk.run(in_a_command, twice)
    assert minutes_of(here) == []
    for hotel in hotels:  # the same id in another hotel is nobody's business
        hotel.desk.run(in_a_command, lambda uow: add(uow, 30, visit_id))
    assert minutes_of(there) == [30]


@pytest.mark.parametrize(
    "values",
    [
        {"id": CANARY, "minutes": 30},
        {"id": new_id(), "minutes": CANARY},
        {"id": new_id(), "minutes": 7**70},
        {"id": new_id(), "minutes": "\ud8007"},
        {"id": new_id(), "minutes": object()},
    ],
)
def test_a_value_of_another_type_is_not_shown(
    hotels: tuple[SampleHotel, SampleHotel], values: dict[str, object]
) -> None:
    """What neither column nor driver takes is refused in our words, with nothing behind them."""
    here, _ = hotels
    statement = ADD.values(minutes=bindparam("minutes", type_=Minutes))
    with pytest.raises((DatabaseFailure, InvalidInput)) as caught:
        here.desk.run(in_a_command, lambda uow: statements_of(uow).write(statement, **values))
    assert CANARY not in str(caught.value)
    assert "does not take" in str(caught.value) or "text:" in str(caught.value)
    assert caught.value.__cause__ is None
    behind = caught.value.__context__
    assert behind is None or not (behind.args or behind.__context__)
    assert minutes_of(here) == []


def test_a_lacking_value_is_named(hotels: tuple[SampleHotel, SampleHotel]) -> None:
    """A statement without one of its values says which, also where that is a list."""
    here, _ = hotels
    among = MINUTES.where(VISIT.c.minutes.in_(bindparam("among", expanding=True)))
    with here.desk.reading() as uow, pytest.raises(InvalidInput, match="among: is a parameter"):
        statements_of(uow).all(among, list)
    with pytest.raises(InvalidInput, match="minutes: is a parameter"):
        here.desk.run(in_a_command, lambda uow: statements_of(uow).write(ADD, id=new_id()))


def test_statements_end_with_their_unit(hotels: tuple[SampleHotel, SampleHotel]) -> None:
    """What was kept of a unit that is over runs nothing; what is no such unit gives none."""
    here, _ = hotels
    with here.desk.reading() as uow:
        kept: HostStatements = statements_of(uow)
    with pytest.raises(InvalidInput, match="over"):
        kept.all(MINUTES, list)
    with pytest.raises(InvalidInput, match="uow"):
        statements_of(here.desk)  # type: ignore[arg-type]  # what a caller may mix up


UPSERT = partial(upsert_into, changing=())
NONE: Any = "parking"  # no table, nor anything else of what is asked for


@pytest.mark.parametrize(
    ("field", "build"),
    [
        *[
            ("table", partial(build, NONE))
            for build in (rows_into, insert_into, versioned_update, UPSERT)
        ],
        *[
            ("table", partial(versioned_update, table))
            for table in (VISIT, WITHOUT_HOTEL, OF_BAYS, OF_NOTHING)
        ],
        ("statement", partial(Listing, NONE, tuple, keys=[VISIT.c.id], conditions={})),
        ("build", partial(Listing, MINUTES, NONE, keys=[VISIT.c.id], conditions={})),
        ("conditions", partial(Listing, MINUTES, tuple, keys=[VISIT.c.id], conditions=NONE)),
    ],
)
def test_statements_are_built_of_tables(field: str, build: Callable[[], object]) -> None:
    """What is no table, or has no column that a statement needs, is refused by the argument."""
    with pytest.raises(InvalidInput) as refused:
        build()
    assert refused.value.field == field


@pytest.mark.parametrize("name", ["taken", "missed"])
def test_an_error_is_given_by_a_function(
    hotels: tuple[SampleHotel, SampleHotel], name: str
) -> None:
    """An error itself, where what makes one is asked for, is refused before anything is sent."""
    wrong: Any = {name: AlreadyExists("visit", "id")}
    row = {"id": new_id(), "minutes": 5}
    with hotels[0].desk.transaction() as uow, pytest.raises(InvalidInput) as refused:
        statements_of(uow).must_write(ADD, [row], **wrong)
    assert refused.value.field == name
