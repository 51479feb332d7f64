"""A statement on the driver's own cursor does what it does through SQLAlchemy, seen by all."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from itertools import count
from typing import Any, cast
from weakref import ref

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import (
    BindParameter,
    Column,
    Connection,
    CursorResult,
    Dialect,
    Engine,
    Integer,
    MetaData,
    StaticPool,
    Table,
    Uuid,
    bindparam,
    create_engine,
    event,
    insert,
    literal,
    select,
    text,
    tuple_,
    type_coerce,
    update,
)
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.types import NullType

from hotelcore.clock import SystemClock
from hotelcore.domain.bookings import Booking
from hotelcore.domain.housekeeping import TaskKind
from hotelcore.domain.stays import Stay
from hotelcore.errors import UnboundStatement
from hotelcore.ids import HotelId, new_id
from hotelcore.lists import BookingFilter, FolioFilter, GuestFilter, RoomFilter, TaskFilter
from hotelcore.operations import (
    add_rooms,
    check_in_guest,
    close_business_day,
    create_housekeeping_task,
)
from hotelcore.sql.repositories.bookings import BOOKING
from hotelcore.sql.repositories.rooms import ROOM
from hotelcore.sql.schema import METADATA, TableNames
from hotelcore.sql.seam.engine import new_engine
from hotelcore.sql.seam.forms import forms_of
from hotelcore.sql.seam.limits import Deadline, Limits
from hotelcore.sql.seam.statements import Statements, acting_hotel
from tests.small_hotel import TODAY, SmallHotel, opened
from tests.sql.statement_strategies import (
    OURS,
    RATES,
    ROOMS,
    STAYS,
    WORLD,
    Statement,
    changes,
    selects,
)
from tests.sql.test_binding import is_bound

# mypy: disable-error-code="arg-type"
# The hotels of the random statements are numbers.


@pytest.fixture
def house(database_url: str) -> Iterator[SmallHotel]:
    """Open a small hotel on each database."""
    with opened(database_url) as hotel:
        yield hotel


# -- the same answers ---------------------------------------------------------------------------

rows = st.lists(st.tuples(st.integers(1, 2), st.integers(1, 3)), max_size=4)


@pytest.fixture(scope="module")
def memory() -> Iterator[Engine]:
    """Return a SQLite database with the tables of the random statements, empty."""
    engine = create_engine("sqlite://", poolclass=StaticPool, enable_from_linting=False)
    WORLD.create_all(engine)
    yield engine
    engine.dispose()


@given(statement=selects(0, ()) | changes(), rooms=rows, stays=rows)
def test_a_statement_answers_as_through_sqlalchemy(
    memory: Engine, statement: Statement, rooms: list[tuple[int, int]], stays: list[tuple[int, int]]
) -> None:
    """Random statements give the same rows and leave the same rows behind."""
    if not is_bound(statement):
        return

    def through_sqlalchemy(connection: Connection) -> object:
        result = cast("CursorResult[Any]", connection.execute(statement, {"acting_hotel": OURS}))
        return sorted(map(str, result)) if result.returns_rows else result.rowcount

    def through_the_seam(connection: Connection) -> object:
        run = statements_on(connection, OURS)
        if returns_rows(statement):
            return sorted(map(str, run.all(statement, tuple)))
        return run.write(cast("UpdateBase", statement))

    def left_by(work: Callable[[Connection], object]) -> tuple[object, Sequence[object]]:
        with memory.connect() as connection, connection.begin() as transaction:
            connection.execute(insert(RATES), [{"n": 1}, {"n": 2}])
            for table, some in ((ROOMS, rooms), (STAYS, stays)):
                if some:
                    connection.execute(insert(table), [{"hotel_id": h, "n": n} for h, n in some])
            answer = work(connection)
            left = [
                sorted(map(str, connection.execute(select(table.c.hotel_id, table.c.n))))
                for table in (ROOMS, STAYS)
            ]
            transaction.rollback()
        return answer, left

    try:
        expected = left_by(through_sqlalchemy)
    except DBAPIError:
        return  # SQLite knows no parentheses in a UNION, and a row needs its hotel
    assert left_by(through_the_seam) == expected


def returns_rows(statement: Statement) -> bool:
    """Tell whether a statement gives rows back."""
    return bool(getattr(statement, "_returning", True))


def statements_on(connection: Connection, hotel_id: object) -> Statements:
    """Return the seam for a hotel over an open transaction."""
    deadline = Deadline.start(SystemClock(), Limits(), cast("HotelId", hotel_id))
    return Statements(
        connection, cast("HotelId", hotel_id), deadline, read_only=False, names=TableNames()
    )


def test_what_is_built_anew_keeps_its_own_values(house: SmallHotel) -> None:
    """Statements of one shape are compiled once, and each is run with its own values."""
    with house.core.engine.connect() as connection, connection.begin():
        run = statements_on(connection, house.hotel_id)
        for number in range(300):
            query: Any = select(literal(number).label("mine"), bindparam("given")).where(
                literal("x" * number) != "y"
            )
            [row] = run.all(query, tuple, given=-number)
            assert row == (number, -number)
            del query
        with pytest.raises(UnboundStatement):
            run.all(select(BOOKING.c.id), tuple)


def test_a_list_may_have_any_length(house: SmallHotel) -> None:
    """Each value of a list is sent, and none for an empty one."""
    bookings = [house.booked()[0] for _ in range(3)]
    query = select(BOOKING.c.id).where(
        BOOKING.c.hotel_id == acting_hotel(), BOOKING.c.id.in_(bindparam("wanted", expanding=True))
    )
    with house.core.engine.connect() as connection, connection.begin():
        run = statements_on(connection, house.hotel_id)
        for number in (2, 0, 3, 1, 3):
            wanted = [booking.id for booking in bookings[:number]]
            found = run.all(query, lambda row: row.id, wanted=wanted)
            assert sorted(found) == sorted(wanted)


_WORDS = st.lists(st.sampled_from(["001", "002", "003", "0" * 30, "no"]), max_size=40)
_r = ROOM.c
_SOME_WORDS: BindParameter[str] = bindparam("wanted", expanding=True)


@given(wanted=_WORDS, negated=st.booleans())
def test_a_list_of_texts_means_the_same_as_in_python(
    house: SmallHotel, wanted: list[str], negated: bool
) -> None:
    """Also where a text is longer than its column, and where nothing of the list may be found."""
    condition = _r.number.not_in(_SOME_WORDS) if negated else _r.number.in_(_SOME_WORDS)
    query = select(_r.number).where(_r.hotel_id == acting_hotel(), condition)
    everything = select(_r.number).where(_r.hotel_id == acting_hotel())
    with house.core.engine.connect() as connection, connection.begin():
        run = statements_on(connection, house.hotel_id)
        found = run.all(query, lambda row: row.number, wanted=wanted)
        numbers = run.all(everything, lambda row: row.number)
    assert sorted(found) == sorted(n for n in numbers if (n in wanted) is not negated)


@pytest.mark.parametrize("wanted", [[1, True], [True], [1, 7], []])
def test_a_list_of_numbers_may_hold_several_types(house: SmallHotel, wanted: list[int]) -> None:
    """Numbers go one by one, as an array of PostgreSQL's has one type."""
    some: BindParameter[int] = bindparam("wanted", expanding=True)
    query = select(_r.number).where(_r.hotel_id == acting_hotel(), _r.version.in_(some))
    with house.core.engine.connect() as connection, connection.begin():
        found = statements_on(connection, house.hotel_id).all(query, tuple, wanted=wanted)
    assert bool(found) is (1 in wanted)


_SOME_VERSIONS: BindParameter[int] = bindparam("versions", expanding=True)
_OF_BOTH = select(_r.number).where(
    _r.hotel_id == acting_hotel(), _r.number.in_(_SOME_WORDS) | _r.version.in_(_SOME_VERSIONS)
)
_VERSIONS = st.lists(st.integers(1, 3), max_size=3)


@given(asked=st.lists(st.tuples(_WORDS, _VERSIONS), min_size=2, max_size=5))
def test_lists_of_known_lengths_have_their_own_values(
    house: SmallHotel, asked: list[tuple[list[str], list[int]]]
) -> None:
    """What is remembered of a text is for two lists of these lengths, whatever stands in them."""
    everything = select(_r.number, _r.version).where(_r.hotel_id == acting_hotel())
    with house.core.engine.connect() as connection, connection.begin():
        run = statements_on(connection, house.hotel_id)
        rooms = run.all(everything, tuple)
        for wanted, versions in asked:
            found = run.all(_OF_BOTH, lambda row: row.number, wanted=wanted, versions=versions)
            expected = [
                number for number, version in rooms if number in wanted or version in versions
            ]
            assert sorted(found) == sorted(expected)


def test_more_lengths_than_are_remembered_do_no_harm(house: SmallHotel) -> None:
    """Lists of any number of lengths may come, in any order."""
    with house.core.engine.connect() as connection, connection.begin():
        run = statements_on(connection, house.hotel_id)
        for length in (*range(60), 3, 59):
            wanted = ["no"] * length + ["001"]
            assert run.all(_OF_BOTH, tuple, wanted=wanted, versions=[]) == [("001",)]


def test_a_list_may_be_of_pairs(house: SmallHotel) -> None:
    """A row is found by several of its columns at once, which no array does."""
    pairs: BindParameter[Any] = bindparam("wanted", expanding=True)
    query = select(_r.number).where(
        _r.hotel_id == acting_hotel(), tuple_(_r.number, _r.version).in_(pairs)
    )
    with house.core.engine.connect() as connection, connection.begin():
        run = statements_on(connection, house.hotel_id)
        [known, *_] = run.all(select(_r.number).where(_r.hotel_id == acting_hotel()), tuple)
        assert run.all(query, tuple, wanted=[(*known, 1), ("no", 1)]) == [known]


def test_a_list_without_a_type_may_be_of_pairs(house: SmallHotel) -> None:
    """What a list holds is seen at the call, so nothing of its text can be remembered."""
    pairs: BindParameter[Any] = bindparam("wanted", expanding=True)
    both = type_coerce(tuple_(_r.number, _r.version), NullType())
    query = select(_r.number).where(_r.hotel_id == acting_hotel(), both.in_(pairs))
    with house.core.engine.connect() as connection, connection.begin():
        run = statements_on(connection, house.hotel_id)
        for wanted in ([("001", 1)], [("002", 1)]):
            assert run.all(query, tuple, wanted=wanted) == [(wanted[0][0],)]


class Word(str):
    """A text of which can be seen whether somebody keeps it."""


@pytest.mark.parametrize("paramstyle", ["qmark", "named"])
def test_values_of_a_list_are_not_remembered(sqlite_url: str, paramstyle: Any) -> None:
    """What is kept of a statement is its text, also where its parameters have names."""
    dialect = create_engine(sqlite_url, paramstyle=paramstyle).dialect
    form = forms_of(dialect, TableNames()).of(_OF_BOTH, acting=True)
    word = Word("secret")
    kept = ref(word)
    given = {"acting_hotel": new_id(), "wanted": [word], "versions": []}
    assert "secret" in str(form.sent(given))
    del given, word
    gc.collect()
    assert kept() is None


def test_a_list_is_one_parameter_of_postgresql() -> None:
    """Unless it is short the text stays the same, so a server prepares it once at most."""
    dialect: Dialect = psycopg.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    query = select(_r.id).where(
        _r.hotel_id == acting_hotel(), _r.number.in_(_SOME_WORDS), _r.id.not_in([new_id()])
    )
    form = forms_of(dialect, TableNames()).of(query, acting=True)
    values = [{"acting_hotel": new_id(), "wanted": ["101"] * number} for number in (0, 9, 100)]
    texts = {form.sent(each)[0] for each in values}
    assert len(texts) == 1
    assert "number = ANY ($2::VARCHAR[])" in texts.pop()


@pytest.mark.parametrize("number", [0, 1, 8, 9, 500])
def test_a_list_of_the_statements_own_goes_as_one_that_is_given(number: int) -> None:
    """Also beside a short one that each call gives: only short ones go one by one."""
    dialect: Dialect = psycopg.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    query = select(_r.id).where(
        _r.hotel_id == acting_hotel(),
        _r.id.in_([new_id() for _ in range(number)]),
        _r.number.in_(_SOME_WORDS),
    )
    form = forms_of(dialect, TableNames()).of(query, acting=True)
    _, parameters = form.sent({"acting_hotel": new_id(), "wanted": ["101"]})
    assert len(parameters) == (2 + number if 0 < number <= 8 else 3)


def test_a_short_list_is_planned_once(postgresql_url: str) -> None:
    """PostgreSQL, which may plan an array of few values each time, does not for them alone."""
    query = select(_r.number).where(_r.hotel_id == acting_hotel(), _r.number.in_(_SOME_WORDS))
    plans = text(
        "SELECT generic_plans, custom_plans FROM pg_prepared_statements"
        " WHERE statement LIKE '%hc_room.number IN (%'"
    )
    with opened(postgresql_url) as house, house.core.engine.connect() as connection:
        numbers = [f"n{number}" for number in range(1_000)]
        house.desk.run(add_rooms, room_type_id=house.room_type_id, numbers=numbers)
        with connection.begin():
            connection.execute(text("ANALYZE hc_room"))
            run = statements_on(connection, house.hotel_id)
            for _ in range(20):
                for number in (1, 8):
                    run.all(query, tuple, wanted=numbers[:number])
        found = connection.execute(plans).all()
    assert sorted(found) == [(15, 5), (15, 5)]


def test_a_column_of_a_host_has_its_default(database_url: str) -> None:
    """What Python gives a column that no statement sets is stored, at the first and at a change."""
    numbers = count(1)
    spas = Table(
        "spas",
        MetaData(),
        Column("hotel_id", Uuid, primary_key=True),
        Column("size", Integer, default=7),
        Column("made", Integer, default=lambda: next(numbers)),
        Column("changed", Integer, onupdate=lambda: next(numbers)),
    )
    engine = new_engine(database_url)
    spas.create(engine)
    hotel_id = new_id()
    with engine.connect() as connection, connection.begin():
        run = statements_on(connection, hotel_id)
        run.write(insert(spas).values(hotel_id=acting_hotel()))
        change = update(spas).where(spas.c.hotel_id == acting_hotel())
        run.write(change.values(size=bindparam("new_size")), new_size=8)
        some = spas.c.size.in_(bindparam("sizes", expanding=True))
        run.write(change.where(some).values(size=9), sizes=[8, 80])
        found = run.all(select(spas).where(spas.c.hotel_id == acting_hotel()), tuple)
        assert found == [(hotel_id, 9, 1, 3)]
    engine.dispose()


def test_the_forms_of_an_engine_go_with_it(sqlite_url: str) -> None:
    """Nobody keeps what was compiled for an engine that is gone."""
    engine = new_engine(sqlite_url)
    forms = ref(forms_of(engine.dialect, TableNames()))
    with engine.connect() as connection, connection.begin():
        statements_on(connection, new_id()).all(select(literal(1)), tuple)
    engine.dispose()
    del engine, connection
    gc.collect()
    assert forms() is None


# -- entities -----------------------------------------------------------------------------------


@pytest.mark.parametrize("table", METADATA.tables.values(), ids=str)
def test_the_columns_of_a_table_come_in_the_binary_format(table: Table) -> None:
    """As texts they would be the same values, and take twice as long to read."""
    dialect: Dialect = psycopg.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    forms = forms_of(dialect, TableNames())
    whole = select(table).where(table.c.hotel_id == acting_hotel())
    assert forms.of(whole, acting=True).binary


def test_an_entity_of_a_row_is_what_its_class_would_make(house: SmallHotel) -> None:
    """Built without a check, each entity passes all of its class and is equal to the result."""
    kinds = set()
    for each in everything_stored(house):
        kind = type(each)
        fields = {field.name: getattr(each, field.name) for field in attrs.fields(kind)}
        made = kind(**fields)
        assert made == each
        assert hash(made) == hash(each)
        for name, value in fields.items():
            assert type(getattr(made, name)) is type(value), name
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            each.version = 9
        kinds.add(kind.__name__)
    assert kinds >= {"Booking", "BookingNight", "Folio", "FolioLine", "Guest", "Hotel", "Room"}
    assert kinds >= {"RoomType", "HousekeepingTask", "BusinessDay", "RoomAvailability", "RoomNight"}


def everything_stored(house: SmallHotel) -> Iterator[Any]:
    """Let the hotel live a day, and read all that it keeps."""
    booking, folio = house.booked(2)
    house.desk.run(check_in_guest, booking_id=booking.id)
    house.booked(3)
    room_id = house.rooms[1].id
    house.desk.run(create_housekeeping_task, room_id=room_id, kind=TaskKind.STAY_OVER)
    house.desk.run(close_business_day, business_date=TODAY)
    with house.desk.reading() as uow:
        yield uow.hotel
        yield from uow.bookings.page(BookingFilter()).items
        yield uow.bookings.get(booking.id)
        yield from uow.bookings.nights(booking.id)
        yield from uow.folios.page(FolioFilter()).items
        yield from uow.folios.lines(folio.id)
        yield from uow.guests.page(GuestFilter()).items
        yield from uow.rooms.page(RoomFilter()).items
        yield from uow.room_types.all()
        yield from uow.housekeeping.page(TaskFilter()).items
        yield from uow.business_days.between(TODAY, TODAY)
        yield from uow.room_nights.chart(Stay(TODAY, TODAY + timedelta(days=3)))
        yield from uow.inventory.nights(Stay(TODAY, TODAY + timedelta(days=2)))


# -- whoever watches ----------------------------------------------------------------------------


def test_who_watches_sees_every_statement(house: SmallHotel) -> None:
    """SQLAlchemy's events around a cursor come for each statement, with its text and parameters."""
    seen: list[tuple[str, str, object]] = []

    def before(_: object, __: object, text: str, given: object, context: Any, many: bool) -> None:
        context.told = text
        seen.append(("before", text, given))
        assert isinstance(given, tuple | Mapping | list)

    def after(_: object, __: object, text: str, given: object, context: Any, many: bool) -> None:
        assert context.told == text
        seen.append(("after", text, given))

    booking, _ = house.booked()
    engine = house.core.engine
    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    with house.desk.reading() as uow:
        uow.bookings.get(booking.id)
    house.desk.run(check_in_guest, booking_id=booking.id)
    event.remove(engine, "before_cursor_execute", before)
    event.remove(engine, "after_cursor_execute", after)
    texts = [text for when, text, _ in seen if when == "before"]
    assert [text for when, text, _ in seen if when == "after"] == texts
    assert any("FROM hc_booking" in text for text in texts)
    assert any(text.startswith("INSERT INTO hc_audit_log") for text in texts)


class Unasked(Exception):
    """What a listener raises."""


def test_what_a_listener_raises_is_not_changed(house: SmallHotel) -> None:
    """The error of somebody who watches is no error of the database's, and nothing is written."""
    booking, _ = house.booked()

    def refuse(_: object, __: object, text: str, *rest: object) -> None:
        if text.startswith("UPDATE hc_booking"):
            raise Unasked

    event.listen(house.core.engine, "before_cursor_execute", refuse)
    with pytest.raises(Unasked):
        house.desk.run(check_in_guest, booking_id=booking.id)
    event.remove(house.core.engine, "before_cursor_execute", refuse)
    with house.desk.reading() as uow:
        assert uow.bookings.get(booking.id) == booking


def test_a_listener_may_change_a_text(house: SmallHotel) -> None:
    """A comment for the server's log, say: with ``retval=True`` what a listener returns is sent."""
    sent: list[str] = []

    def comment(_: object, __: object, text: str, given: object, *rest: object) -> Any:
        return f"/* reception */ {text}", given

    def note(_: object, __: object, text: str, *rest: object) -> None:
        sent.append(text)

    event.listen(house.core.engine, "before_cursor_execute", comment, retval=True)
    event.listen(house.core.engine, "after_cursor_execute", note)
    with house.desk.reading() as uow:
        assert isinstance(uow.bookings.page(BookingFilter()).items, tuple)
    event.remove(house.core.engine, "before_cursor_execute", comment)
    event.remove(house.core.engine, "after_cursor_execute", note)
    assert sent
    assert all(text.startswith("/* reception */") for text in sent)


def test_the_log_of_sqlalchemy_has_every_statement(
    house: SmallHotel, caplog: pytest.LogCaptureFixture
) -> None:
    """With the engine's log at INFO each text stands there, and none of the values."""
    booking, _ = house.booked()
    with (
        caplog.at_level("INFO", "sqlalchemy.engine"),
        closing(house.core.engine.connect()),
        house.desk.reading() as uow,
    ):
        found: Booking = uow.bookings.get(booking.id)
    assert "FROM hc_booking" in caplog.text
    assert found.confirmation_number not in caplog.text
