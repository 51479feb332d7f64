"""No statement of a hotel reads through the rows of the other hotels, on either database."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import (
    BindParameter,
    Connection,
    Engine,
    Insert,
    Select,
    Table,
    insert,
    literal,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.sql.visitors import iterate

from hotelcore import HotelCore
from hotelcore.clock import FixedClock
from hotelcore.ids import new_id
from hotelcore.operations import add_rooms, check_in_guest
from hotelcore.sql.events.outbox import INSERT_ALL
from hotelcore.sql.schema import METADATA, Instant, TableNames
from hotelcore.sql.seam.binding import is_for_every_hotel
from hotelcore.sql.seam.driver import send
from hotelcore.sql.seam.forms import forms_of
from hotelcore.sql.seam.judge import ACTING_HOTEL
from hotelcore.testing.hotels import NOON, open_sample_hotel
from tests.postgres_server import fresh_database
from tests.small_hotel import SmallHotel, opened
from tests.sql.test_binding import OUR_STATEMENTS, PARTS

pytestmark = pytest.mark.long

HOTELS = 200

STATEMENTS = [
    (name, statement)
    for name, statement in OUR_STATEMENTS
    if name not in PARTS
    and not is_for_every_hotel(statement)
    and not (isinstance(statement, Insert) and statement.select is None)
]
"""Whatever looks for rows of one hotel. The relay's statements look over the feeds of all."""

# A parameter of each type, for a statement that is planned and not run.
_SOMETHING: Mapping[type, object] = {
    UUID: UUID(int=1),
    date: date(2026, 12, 1),
    int: 1,
    str: "a",
    bool: False,
    dict: {},
}


@pytest.fixture(scope="module")
def many_on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallHotel]:
    """Have one hotel among 200 like it, in a SQLite file."""
    with opened(f"sqlite:///{tmp_path_factory.mktemp('plans') / 'hotels.db'}") as hotel:
        multiply(hotel)
        yield hotel


@pytest.fixture(scope="module")
def many_on_postgresql(postgresql_server: Engine) -> Iterator[SmallHotel]:
    """Have one hotel among 200 like it, on PostgreSQL."""
    with fresh_database(postgresql_server) as url, opened(url) as hotel:
        multiply(hotel)
        yield hotel


def multiply(hotel: SmallHotel) -> None:
    """Copy all that a hotel has into 199 others, and let the database count what it has."""
    hotel.desk.run(check_in_guest, booking_id=hotel.booked()[0].id)
    others = [new_id() for _ in range(HOTELS - 1)]
    with hotel.core.engine.connect() as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        else:
            drop_triggers(connection)
        for table in METADATA.sorted_tables:
            if "hotel_id" in table.c:
                copy(connection, table, hotel.hotel_id, others)
        connection.exec_driver_sql("ANALYZE")


def drop_triggers(connection: Connection) -> None:
    """Let rows be copied whatever the triggers say of them."""
    found = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    for (name,) in connection.exec_driver_sql(found).all():
        connection.exec_driver_sql(f"DROP TRIGGER {name}")


def copy(connection: Connection, table: Table, source: UUID, others: list[Any]) -> None:
    """Give each of the others the rows of the source."""
    rest = [column for column in table.c if column.name != "hotel_id"]
    for other in others:
        rows = select(literal(other, table.c.hotel_id.type), *rest).where(
            table.c.hotel_id == source
        )
        connection.execute(insert(table).from_select(["hotel_id", *(c.name for c in rest)], rows))


def planned(connection: Connection, statement: Executable, explain: str) -> list[Any]:
    """Return what a database says of how it would run a statement."""
    form = forms_of(connection.dialect, TableNames()).of(statement, acting=True)
    binds = form._shape.compiled.bind_names
    values = {bind.key: something(bind) for bind in binds if bind.required}
    text, parameters = form.sent(values)
    rows: list[Any] = send(
        connection, f"{explain} {text}", [parameters], lambda cursor: cursor.fetchall()
    )
    return rows


def something(bind: BindParameter[Any]) -> object:
    """Return a value that a parameter may have."""
    if bind.key == ACTING_HOTEL:
        return UUID(int=1)
    if isinstance(bind.type, Instant):
        return datetime(2026, 12, 1, tzinfo=UTC)
    value = _SOMETHING.get(bind.type.python_type)
    return [value] if bind.expanding else value


def is_postgresqls(statement: Executable) -> bool:
    """Tell whether a statement is for PostgreSQL alone, by what only that has: arrays too."""
    parts = iterate(statement) if isinstance(statement, ClauseElement) else ()
    arrays = any(isinstance(getattr(part, "type", None), ARRAY) for part in parts)
    return arrays or "postgresql" in type(statement).__module__


@pytest.mark.parametrize(("name", "statement"), STATEMENTS)
def test_sqlite_finds_the_hotels_rows_by_an_index(
    many_on_sqlite: SmallHotel, name: str, statement: Executable
) -> None:
    """Each table is searched by an index that begins with the hotel, and none is read through."""
    del name
    if is_postgresqls(statement):
        return
    with many_on_sqlite.core.engine.connect() as connection, connection.begin():
        steps = [row[3] for row in planned(connection, statement, "EXPLAIN QUERY PLAN")]
    for step in steps:
        if re.match(r"(SCAN|SEARCH) \w*hc_", step):
            assert re.match(r"SEARCH .*\(hotel_id=\?", step), steps


@pytest.mark.parametrize(("name", "statement"), STATEMENTS)
def test_postgresql_finds_the_hotels_rows_by_an_index(
    many_on_postgresql: SmallHotel, name: str, statement: Executable
) -> None:
    """Each table can be read by an index on the hotel, so it is once it has grown."""
    del name
    if "sqlite" in type(statement).__module__:
        return
    with many_on_postgresql.core.engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        [(plan,)] = planned(connection, statement, "EXPLAIN (FORMAT JSON)")
    plan = json.loads(plan) if isinstance(plan, str | bytes) else plan
    for node in nodes(plan[0]["Plan"]):
        assert node["Node Type"] != "Seq Scan", node
        if node["Node Type"] in ("Index Scan", "Index Only Scan", "Bitmap Index Scan"):
            assert "hotel_id" in node.get("Index Cond", ""), node


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give every node of a plan."""
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)


def test_postgresql_expects_all_the_rooms_of_a_type(postgresql_url: str) -> None:
    """It knows that a type's rooms are all in one hotel, however many other hotels there are."""
    with closing(HotelCore(postgresql_url, clock=FixedClock(NOON))) as core:
        core.create_schema()
        hotels = [open_sample_hotel(core) for _ in range(8)]
        for hotel in hotels:
            numbers = [str(number) for number in range(1, 61)]
            hotel.desk.run(add_rooms, room_type_id=hotel.room_type.id, numbers=numbers)
        with core.engine.begin() as connection:
            connection.execute(text("ANALYZE hc_room"))
            [plan] = connection.scalars(
                text(
                    "EXPLAIN (FORMAT JSON) SELECT * FROM hc_room"
                    " WHERE hotel_id = :hotel AND room_type_id = :type"
                ),
                {"hotel": hotels[0].hotel_id, "type": hotels[0].room_type.id},
            ).one()
    assert plan["Plan"]["Plan Rows"] == pytest.approx(64, rel=0.2)


# A hotel has one connection, and on the others statements are only built.
NO_ORDER = {"pms._CURRENT_LOCKED", "bookings._LOCKED", "folios._LOCKED"}
LOCKING = [
    pytest.param(statement, id=name)
    for name, statement in STATEMENTS
    if isinstance(statement, Select)
    and statement._for_update_arg is not None
    and name not in NO_ORDER
]


@pytest.mark.parametrize("statement", LOCKING)
def test_rows_are_locked_in_the_order_of_their_ids(statement: Select[Any]) -> None:
    """Whatever a row's other values are meanwhile, nobody waits for who waits for him."""
    [table] = statement.get_final_froms()
    assert isinstance(table, Table)
    keys = [column for column in table.primary_key if column.name != "hotel_id"]
    one_row = str(statement.whereclause)
    in_order = [column.key for column in statement._order_by_clauses]
    assert not keys or in_order == [keys[-1].key] or f"{table}.{keys[-1].key} = " in one_row


def test_an_event_looks_for_its_own_record_alone(postgresql_url: str) -> None:
    """Also where nobody has counted the rows yet, no event reads all the events of its hotel."""
    with closing(HotelCore(postgresql_url, clock=FixedClock(NOON))) as core:
        core.create_schema()
        open_sample_hotel(core)
        with core.engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            [(plan,)] = planned(connection, INSERT_ALL["postgresql"], "EXPLAIN (FORMAT JSON)")
    plan = json.loads(plan) if isinstance(plan, str | bytes) else plan
    found = {
        node["Index Name"]: node["Index Cond"]
        for node in nodes(plan[0]["Plan"])
        if "Index Cond" in node
    }
    assert found.keys() == {"uq_hc_outbox_key_sequence", "ix_hc_outbox_turn"}
    assert "key = " in found["uq_hc_outbox_key_sequence"]
