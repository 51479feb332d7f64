"""Many new rows at once are stored as one by one, and refused as one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from math import inf
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Engine,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    Time,
    Uuid,
    select,
)

from hotelcore.domain.cancellation import CancellationPolicy
from hotelcore.domain.pms import ExternalPMSConfig, PmsResource
from hotelcore.errors import AlreadyExists, DatabaseFailure, InvalidInput, NotFound
from hotelcore.ids import BookingId, GuestId, HotelId, PmsConfigId, new_id
from hotelcore.sql import schema
from hotelcore.sql.changing import insert_into
from hotelcore.sql.inserting import _as_json, rows_into
from hotelcore.sql.repositories.bookings import SqlBookings
from hotelcore.sql.repositories.guests import SqlGuests
from hotelcore.sql.repositories.pms import SqlPmsConnections
from hotelcore.sql.sealing.sealed import Sealing
from hotelcore.sql.sealing.subject_keys import SqlSubjectKeys
from hotelcore.sql.seam.engine import new_engine
from hotelcore.sql.seam.statements import Statements, acting_hotel
from hotelcore.vault import Place, Secret, seal
from tests.small_hotel import KEYS
from tests.sql.house import NOON, House, amounts, attributes, days, instants, policies, texts
from tests.sql.test_business_day_pms import a_mapping, mapped_otherwise
from tests.sql.test_forms import statements_on

MANY = 1_050  # more than one statement takes

EVERYTHING = Table(
    "everything",
    MetaData(),
    Column("hotel_id", schema.Id, primary_key=True),
    Column("id", schema.Id, primary_key=True),
    Column("shared", schema.SharedId),
    Column("name", String(20)),
    Column("story", Text),
    Column("ordered", schema.ordered_text(20)),
    Column("day", schema.Day),
    Column("at", schema.Instant),
    Column("number", Integer),
    Column("amount", BigInteger),
    Column("flag", Boolean),
    Column("own", schema.AttributesJson, nullable=False),
    Column("terms", schema.ValueText(CancellationPolicy)),
    Column("sealed", schema.Sealed),
    Column("picture", LargeBinary),
    # What a host's tables have, which do without the types of the library.
    Column("plain_id", Uuid),
    Column("plain_day", Date),
    Column("plain_at", DateTime),
    Column("plain_time", Time),
    Column("weight", Double),
)
HOTEL = HotelId(new_id())
ENVELOPES = [
    seal(KEYS, Place(HOTEL, "everything", "sealed", new_id()), Secret(text))
    for text in ("a secret", "another")
]


def _buffers_of(content: bytes) -> st.SearchStrategy[bytes | bytearray | memoryview]:
    """Give what Python has for bytes; of a part of a buffer the rest is nobody's business."""
    part = memoryview(b"before" + content + b"behind")[6:-6]
    return st.sampled_from([content, bytearray(content), part])


ROWS = st.fixed_dictionaries(
    {
        "shared": st.none() | st.uuids(),
        "name": st.none() | texts(20),
        "story": st.none() | texts(200),
        "ordered": st.none() | texts(20),
        "day": st.none() | days,
        "at": st.none() | instants,
        "number": st.none() | st.integers(-(2**31), 2**31 - 1),
        "amount": st.none() | amounts,
        "flag": st.none() | st.booleans(),
        "own": attributes,
        "terms": st.none() | policies,
        "sealed": st.none() | st.sampled_from(ENVELOPES),
        "picture": st.none() | st.binary(max_size=50).flatmap(_buffers_of),
        "plain_id": st.none() | st.uuids(),
        "plain_day": st.none() | days,
        "plain_at": st.none() | instants.map(lambda at: at.replace(tzinfo=None)),
        "plain_time": st.none() | st.times(),
        "weight": st.none() | st.floats(allow_nan=False),  # SQLite has no NaN
    }
)


PRICED = Table(
    "priced",
    MetaData(),
    Column("hotel_id", schema.Id, primary_key=True),
    Column("id", schema.Id, primary_key=True),
    Column("price", Numeric(12, 4)),
    Column("span", Interval),
)
prices = st.decimals(-99_999_999, 99_999_999, places=4)
spans = st.timedeltas(timedelta(days=-9_999), timedelta(days=9_999))


@pytest.fixture
def priced(postgresql_url: str) -> Iterator[Engine]:
    """Return an engine over a database with one table of prices and spans."""
    engine = new_engine(postgresql_url)
    PRICED.create(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def empty(database_url: str) -> Iterator[Engine]:
    """Return an engine over a database with one table that has a column of each type."""
    engine = new_engine(database_url)
    EVERYTHING.create(engine)
    yield engine
    engine.dispose()


def stored(run: Statements, rows: Sequence[dict[str, Any]]) -> list[tuple[object, ...]]:
    """Read the rows with the ids of some."""
    of_hotel = select(EVERYTHING).where(EVERYTHING.c.hotel_id == acting_hotel())
    found = {row[1]: row for row in run.all(of_hotel, tuple)}
    return [found[row["id"]][2:] for row in rows]


@settings(max_examples=30)
@given(drawn=st.lists(ROWS, min_size=9, max_size=12))
def test_a_value_of_every_type_is_stored_as_by_itself(
    empty: Engine, drawn: list[dict[str, Any]]
) -> None:
    """What many rows hold reads as what a statement for each of them stores."""
    together, alone = ([{"id": new_id(), **row} for row in drawn] for _ in range(2))
    with empty.connect() as connection, connection.begin():
        run = statements_on(connection, HOTEL)
        for statement, calls in rows_into(EVERYTHING).calls(run.dialect, together):
            assert run.write_many(statement, calls) == len(drawn)
        run.write_many(insert_into(EVERYTHING), alone)
        assert stored(run, together) == stored(run, alone)


@pytest.mark.parametrize(
    ("column", "value", "error"),
    [
        ("shared", "a text", InvalidInput),
        ("day", NOON, InvalidInput),
        ("at", NOON.replace(tzinfo=None), InvalidInput),
        ("sealed", b"plain", InvalidInput),
        ("own", None, None),
    ],
)
def test_a_bad_value_among_many_is_refused(
    empty: Engine, column: str, value: object, error: type[Exception] | None
) -> None:
    """A column's own rule holds for each row, and nothing of the statement is stored."""
    plain: dict[str, Any] = {each.name: None for each in EVERYTHING.c if each.name != "hotel_id"}
    rows = [{**plain, "id": new_id(), "own": {}} for _ in range(20)]
    rows[-1][column] = value
    with empty.connect() as connection, connection.begin():
        run = statements_on(connection, HOTEL)
        [(statement, calls)] = rows_into(EVERYTHING).calls(run.dialect, rows)
        if error is None:
            assert run.write_many(statement, calls) == len(rows)
        else:
            with pytest.raises(error):
                run.write_many(statement, calls)


class _Day(date):
    """A host's own date."""


class _Moment(datetime):
    """A datetime of somebody's clock."""


def test_a_class_of_the_hosts_is_stored_as_what_it_is(empty: Engine) -> None:
    """Dates and instants of a library that derives its own are stored in any number."""
    plain: dict[str, Any] = {each.name: None for each in EVERYTHING.c if each.name != "hotel_id"}
    own = {"day": _Day(2026, 12, 1), "at": _Moment(2026, 12, 1, 12, 0, 0, 7, tzinfo=UTC)}
    rows = [{**plain, "id": new_id(), "own": {}, **own} for _ in range(20)]
    with empty.connect() as connection, connection.begin():
        run = statements_on(connection, HOTEL)
        assert rows_into(EVERYTHING).write(run, rows) == len(rows)
        found = run.all(
            select(EVERYTHING).where(EVERYTHING.c.hotel_id == acting_hotel()),
            lambda row: (row.day, row.at),
        )
    assert found == [(own["day"], own["at"])] * 20


def test_a_default_of_the_hosts_is_made_for_each_row(database_url: str) -> None:
    """What Python gives a column that no row sets is another value in each."""
    numbers = count(1)
    table = EVERYTHING.to_metadata(MetaData())
    rows_of_table = rows_into(table)
    table.append_column(Column("loyalty", Integer, default=lambda: next(numbers)))
    engine = new_engine(database_url)
    table.create(engine)
    plain: dict[str, Any] = {each.name: None for each in EVERYTHING.c if each.name != "hotel_id"}
    with engine.connect() as connection, connection.begin():
        run = statements_on(connection, HOTEL)
        rows_of_table.write(run, [{**plain, "id": new_id(), "own": {}} for _ in range(20)])
        found = run.all(
            select(table.c.loyalty).where(table.c.hotel_id == acting_hotel()),
            lambda row: row.loyalty,
        )
    engine.dispose()
    assert sorted(found) == [*range(1, 21)]


def test_what_is_too_long_is_refused_and_not_cut(postgresql_url: str) -> None:
    """PostgreSQL's own limit holds among many rows too; SQLite has none."""
    engine = new_engine(postgresql_url)
    EVERYTHING.create(engine)
    plain: dict[str, Any] = {each.name: None for each in EVERYTHING.c if each.name != "hotel_id"}
    rows = [{**plain, "id": new_id(), "own": {}, "name": "x" * 21} for _ in range(20)]
    with engine.connect() as connection, connection.begin():
        run = statements_on(connection, HOTEL)
        [(statement, calls)] = rows_into(EVERYTHING).calls(run.dialect, rows)
        with pytest.raises(DatabaseFailure):
            run.write_many(statement, calls)
    engine.dispose()


# -- the repositories ---------------------------------------------------------------------------


def test_any_number_of_bookings_is_stored_and_found_by_number(house: House) -> None:
    """More than one statement takes: all are there, and unknown numbers are left out."""
    bookings = [house.booking(confirmation_number=f"N{n}") for n in range(MANY)]
    with house.writing() as run:
        SqlBookings(run).add_all(bookings, ())
        SqlBookings(run).add_all((), ())
        numbers = [booking.confirmation_number for booking in bookings]
        found = SqlBookings(run).by_confirmations([*numbers, "unknown"])
    assert found == {booking.confirmation_number: booking for booking in bookings}


def test_json_itself_has_no_infinity() -> None:
    """In a host's column of JSON it becomes no text: the server refuses it, as of one row."""
    assert _as_json([Jsonb(inf), Jsonb(1.5)]) == [inf, 1.5]


def test_a_taken_number_among_many_is_told(house: House) -> None:
    """Two of one number are AlreadyExists, wherever among many they come."""
    bookings = [house.booking(confirmation_number=f"N{n % 39}") for n in range(40)]
    with pytest.raises(AlreadyExists, match="confirmation number"), house.writing() as run:
        SqlBookings(run).add_all(bookings, ())


def test_any_number_of_guests_is_shared_in_the_order_of_their_ids(house: House) -> None:
    """The first of those whom the hotel does not have is named."""
    with house.writing() as run:
        store = SqlGuests(run, SqlSubjectKeys(run, Sealing(house.hotel_id, None, lambda *_: None)))
        known = store.get(house.guest_id)
        guests = [attrs.evolve(known, id=GuestId(new_id())) for _ in range(MANY)]
        store.add_all(guests)
        wanted = [guest.id for guest in guests]
        assert store.share_all([*wanted[::-1], wanted[0]]) == tuple(guests)
        first, second = sorted(GuestId(new_id()) for _ in range(2))
        with pytest.raises(NotFound, match=str(first)):
            store.share_all([*wanted, second, first])


def test_any_number_of_bookings_is_locked_in_the_order_of_their_ids(house: House) -> None:
    """Each once, however often it is named; the first that the hotel does not have is named."""
    bookings = sorted((house.booking() for _ in range(MANY)), key=lambda booking: booking.id)
    with house.writing() as run:
        store = SqlBookings(run)
        store.add_all(bookings, ())
        wanted = [booking.id for booking in bookings]
        assert store.lock_all([*wanted[::-1], wanted[0]]) == tuple(bookings)
        assert store.lock_all([]) == ()
        first, second = sorted(BookingId(new_id()) for _ in range(2))
        with pytest.raises(NotFound, match=str(first)):
            store.lock_all([*wanted, second, first])


def test_mappings_that_contradict_each_other_are_told(house: House) -> None:
    """One external id with two internal ones is AlreadyExists; the same one twice is one."""
    with house.writing() as run:
        store = SqlPmsConnections(run, Sealing(house.hotel_id, None, lambda *_: None))
        config = ExternalPMSConfig(
            id=PmsConfigId(new_id()),
            hotel_id=house.hotel_id,
            vendor="acme",
            external_hotel_id="1",
            connected_at=NOON,
        )
        store.add(config)
        mappings = [a_mapping(config, f"{n}") for n in range(20)]
        later = attrs.evolve(mappings[0], fingerprint="later")
        store.put_mappings([*mappings, later], twice=mapped_otherwise)
        assert store.mappings(PmsResource.ROOM, ["0"]) == {"0": later}
        more = [a_mapping(config, f"{n}") for n in range(20, 40)]
        more.append(attrs.evolve(more[0], internal_id=new_id()))
        with pytest.raises(AlreadyExists, match="mapping"):
            store.put_mappings(more, twice=mapped_otherwise)


@given(drawn=st.lists(st.tuples(prices, spans), min_size=9, max_size=12))
def test_decimals_and_spans_are_stored_as_by_themselves(
    priced: Engine, drawn: list[tuple[Decimal, timedelta]]
) -> None:
    """PostgreSQL has types for both; SQLite has none that keep them."""
    rows = [{"id": new_id(), "price": price, "span": span} for price, span in drawn]
    with priced.connect() as connection, connection.begin():
        run = statements_on(connection, HOTEL)
        rows_into(PRICED).must_write(run, rows)
        of_hotel = select(PRICED).where(PRICED.c.hotel_id == acting_hotel())
        found = {row[1]: row[2:] for row in run.all(of_hotel, tuple)}
    assert [found[row["id"]] for row in rows] == drawn
