"""The tables under other names: a prefix or a schema of the host's choice, and several at once."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from hotelcore import operations as op
from hotelcore.clock import FixedClock
from hotelcore.core import AsyncHotelCore, HotelCore
from hotelcore.errors import AlreadyExists, DatabaseFailure, HotelcoreError, InvalidInput
from hotelcore.sql.schema import METADATA, TableNames
from hotelcore.sql.seam.engine import new_engine, prepare, put_names
from hotelcore.sql.upkeep.creation import HEAD, VERSION
from hotelcore.sql.upkeep.upgrading import check, current
from tests.operations.small_hotel import NOON, SmallHotel, eur, open_hotel
from tests.sql.described import described

pytestmark = pytest.mark.long

INN = TableNames(prefix="inn_")
POD = TableNames(prefix="pod_2_")
SCHEMA = TableNames(schema="hotel")
LONGEST = TableNames(prefix="a_prefix_of_20_char_")
# PostgreSQL cuts longer names off: https://www.postgresql.org/docs/current/limits.html
MOST_CHARACTERS = 63

prefixes = st.from_regex(r"[a-z](?:[a-z0-9_]{0,18})_", fullmatch=True) | st.from_regex(
    r"(my_|my)?hc_(a?|1?)_?", fullmatch=True
)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Return a host's engine on an empty database, SQLite and PostgreSQL in turn."""
    engine = create_engine(database_url)
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            connection.execute(text("CREATE SCHEMA hotel"))
    yield engine
    engine.dispose()


def opened(engine: Engine, names: TableNames) -> HotelCore:
    """Return a core over the tables of these names, which are created twice."""
    core = HotelCore(engine, names=names, clock=FixedClock(NOON))
    core.create_schema()
    core.create_schema()
    return core


def lived_in(core: HotelCore) -> SmallHotel:
    """Let a hotel sell, host, charge and settle; every kind of statement is used for it."""
    clock = core._clock
    assert isinstance(clock, FixedClock)
    hotel = open_hotel(core, clock)
    booking, folio = hotel.move_in(nights=2)
    minibar = hotel.charge(folio.id, 700)
    hotel.desk().run(op.void_charge, line_id=minibar.id, reason="not taken")
    hotel.close_day()
    hotel.close_day()
    hotel.pay(folio.id, hotel.folio(folio.id).balance.minor)
    hotel.desk().run(op.check_out_guest, booking_id=booking.id)
    cancelled, _ = hotel.book(nights=3, begins=4)
    hotel.desk().run(op.cancel_booking_with_refund, booking_id=cancelled.id, reason="ill")
    return hotel


def world_of(engine: Engine, names: TableNames) -> dict[str, int]:
    """Count the rows of each table as somebody sees them who knows the real names."""
    place = f"{names.schema}." if names.schema else ""
    with engine.connect() as connection:
        return {
            name: connection.scalar(text(f"SELECT count(*) FROM {place}{names.in_statement(name)}"))
            for name in METADATA.tables
        }


# -- names ------------------------------------------------------------------------------------


@given(prefixes)
def test_a_prefix_is_put_in_once(prefix: str) -> None:
    """A statement that already has the host's names stays as it is, whatever the prefix."""
    try:
        names = TableNames(prefix=prefix)
    except InvalidInput:
        assert "hc_" in prefix
        return
    for table in METADATA.tables.values():
        named = names.in_statement(f'SELECT * FROM {table.name} JOIN "{table.name}"')
        assert names.in_statement(named) == named
        assert named.count(f"{prefix}{table.name.removeprefix('hc_')}") == 2


@given(st.text(max_size=25) | st.text("hc_i1", max_size=22))
def test_a_prefix_is_a_plain_lower_case_word(prefix: str) -> None:
    """Anything that would need quoting, or is too long, is refused by name."""
    plain = re.fullmatch(r"[a-z][a-z0-9_]{0,18}_", prefix)
    try:
        TableNames(prefix=prefix)
    except InvalidInput:
        assert not plain or "hc_" in prefix
    else:
        assert plain


@pytest.mark.parametrize("schema", ["", "Hotel", "a b", "public;", 'x"', "1st", "x" * 64])
def test_a_schema_is_a_plain_lower_case_word(schema: str) -> None:
    """Anything that would need quoting, or is too long, is refused by name."""
    with pytest.raises(InvalidInput, match="schema"):
        TableNames(schema=schema)


def test_no_name_is_cut_off_under_the_longest_prefix(engine: Engine) -> None:
    """Every table, constraint, index and trigger keeps its whole name, which is its own."""
    opened(engine, TableNames())
    opened(engine, LONGEST)
    check(engine, LONGEST)
    with engine.connect() as connection:
        short_names, long_names = described(connection), described(connection, LONGEST)
    assert long_names == short_names
    words = {word for key in long_names for word in LONGEST.in_statement(key).split()}
    assert max(map(len, words)) <= MOST_CHARACTERS
    assert LONGEST.in_statement(VERSION.name) in words


# -- worlds side by side ----------------------------------------------------------------------


@pytest.mark.parametrize("names", [TableNames(), INN])
def test_a_hotel_lives_under_any_prefix(engine: Engine, names: TableNames) -> None:
    """Bookings, folios, night audits, audit entries and events all go by the host's prefix."""
    lived_in(opened(engine, names))
    counts = world_of(engine, names)
    assert counts["hc_booking"] == 2
    assert counts["hc_business_day"] == 2
    assert counts["hc_audit_log"] > 10
    assert counts["hc_outbox"] > 5
    with engine.connect() as connection:
        tables = inspect(connection).get_table_names()
    assert {name for name in tables if not name.startswith(names.prefix)} == set()


def test_a_joined_unit_goes_by_the_hosts_names(engine: Engine) -> None:
    """Inside the host's transaction too, and the host's own statements keep their text."""
    hotel = open_hotel(opened(engine, INN), FixedClock(NOON))
    with engine.begin() as host:
        with hotel.desk().joining(host) as uow:
            op.register_guest(uow, last_name="Hopper")
        assert host.scalar(text("SELECT count(*) FROM inn_guest")) == 2
        assert host.scalar(text("SELECT 'hc_guest'")) == "hc_guest"
    assert world_of(engine, INN)["hc_guest"] == 2


def test_two_prefixes_are_two_worlds(engine: Engine) -> None:
    """What a hotel does under one prefix changes no row under the others, in one database."""
    cores = {names: opened(engine, names) for names in (TableNames(), INN, POD)}
    seen: dict[TableNames, dict[str, int]] = {}
    for names, core in cores.items():
        assert set(world_of(engine, names).values()) == {0}
        lived_in(core)
        seen[names] = world_of(engine, names)
    assert {names: world_of(engine, names) for names in cores} == seen
    assert seen[INN] == seen[POD] == seen[TableNames()]


def test_creating_again_keeps_what_is_there(engine: Engine) -> None:
    """`create_schema` on a hotel in use is a no-op, for its own names and for its neighbours'."""
    core = opened(engine, INN)
    lived_in(core)
    before = world_of(engine, INN)
    core.create_schema()
    opened(engine, TableNames()).create_schema()
    assert world_of(engine, INN) == before
    assert current(engine, INN) == current(engine) == HEAD


def test_a_unique_key_is_told_from_a_missing_one_under_any_prefix(engine: Engine) -> None:
    """The typed refusals do not depend on what the tables are called."""
    hotel = open_hotel(opened(engine, INN), FixedClock(NOON))
    with pytest.raises(AlreadyExists):
        hotel.desk().run(op.add_room_type, code="DBL", name="Again", base_rate=eur(1))


@pytest.mark.parametrize("table", ["folio_line", "audit_log"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET hotel_id = hotel_id", "DELETE FROM {}"])
def test_ledger_and_audit_are_append_only_under_any_prefix(
    engine: Engine, table: str, statement: str
) -> None:
    """The database itself refuses to change or delete a row, whoever asks."""
    core = opened(engine, INN)
    lived_in(core)
    refusal = f"inn_{table} is append-only"
    with engine.connect() as connection, pytest.raises(DBAPIError, match=refusal):
        connection.execute(text(statement.format(f"inn_{table}")))


# -- schemas ----------------------------------------------------------------------------------


@pytest.fixture
def postgresql(postgresql_url: str) -> Iterator[Engine]:
    """Return a host's engine on a PostgreSQL database with a schema for us."""
    engine = create_engine(postgresql_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA hotel"))
    yield engine
    engine.dispose()


@pytest.mark.parametrize("prefix", ["hc_", "inn_"])
def test_a_hotel_lives_in_a_schema_of_the_hosts_choice(postgresql: Engine, prefix: str) -> None:
    """Every table, index, trigger and function is in the schema, and nothing in `public`."""
    names = TableNames(prefix=prefix, schema="hotel")
    lived_in(opened(postgresql, names))
    check(postgresql, names)
    assert world_of(postgresql, names)["hc_booking"] == 2
    with postgresql.connect() as connection:
        places = text(
            "SELECT DISTINCT nspname FROM pg_namespace n JOIN"
            " (SELECT relnamespace AS space, relname AS name FROM pg_class UNION ALL"
            "  SELECT pronamespace, proname FROM pg_proc) x ON x.space = n.oid"
            " WHERE strpos(x.name, :ours) > 0 AND nspname <> 'pg_catalog'"
        )
        assert connection.scalars(places, {"ours": prefix}).all() == ["hotel"]
        assert connection.scalar(text("SELECT current_schema()")) == "public"


def test_schemas_are_worlds_of_their_own(postgresql: Engine) -> None:
    """The same prefix in two schemas of one database is two separate worlds."""
    here, there = opened(postgresql, SCHEMA), opened(postgresql, TableNames())
    lived_in(here)
    assert set(world_of(postgresql, TableNames()).values()) == {0}
    lived_in(there)
    assert world_of(postgresql, SCHEMA) == world_of(postgresql, TableNames())


def test_a_schema_must_exist(postgresql: Engine) -> None:
    """The schema is the host's to create; a typing error does not put tables elsewhere."""
    core = HotelCore(postgresql, names=TableNames(schema="hotle"))
    with pytest.raises(InvalidInput, match="schema: does not exist"):
        core.create_schema()
    assert inspect(postgresql).get_table_names() == []


def test_sqlite_has_no_schema_to_choose(sqlite_url: str) -> None:
    """A schema is refused where there are none, before anything is created."""
    for make in (HotelCore, AsyncHotelCore):
        with pytest.raises(InvalidInput, match="schema: is for PostgreSQL alone"):
            make(sqlite_url, names=SCHEMA)


# -- failures ---------------------------------------------------------------------------------


def test_a_database_that_is_not_there_is_a_typed_failure(postgresql_url: str) -> None:
    """Creating tables without a database says so in our words, without the driver's."""
    engine = new_engine(postgresql_url + "_missing")
    with pytest.raises(HotelcoreError) as caught:
        HotelCore(engine).create_schema()
    assert isinstance(caught.value, DatabaseFailure)
    assert "_missing" not in str(caught.value)
    engine.dispose()


def test_preparing_twice_names_once(sqlite_url: str) -> None:
    """An engine that several cores share gets its hooks a single time."""
    engine = create_engine(sqlite_url)
    for _ in range(3):
        prepare(engine)
        put_names(engine)
    assert len(list(engine.dispatch.begin)) == 1
    assert len(list(engine.dispatch.before_cursor_execute)) == 1
    engine.dispose()
