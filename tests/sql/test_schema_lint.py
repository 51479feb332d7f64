"""The lint: every key of every tenant table keeps hotels apart, and each fault is found."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable

import pytest
from attrs import frozen
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.schema import CreateTable, SchemaItem

from hotelcore.cli import main
from hotelcore.errors import SchemaMismatch
from hotelcore.sql.schema import METADATA, Id, TableNames
from hotelcore.sql.seam.engine import new_engine
from hotelcore.sql.upkeep.creation import create_schema, in_schema
from hotelcore.sql.upkeep.lint import lint, problems_in
from hotelcore.sql.upkeep.upgrading import check

pytestmark = pytest.mark.long

INN = TableNames(prefix="inn_")


def found_in(engine: Engine, names: TableNames | None = None) -> list[str]:
    """Return the problems of the library's tables in a database."""
    names = names or TableNames()
    with engine.connect() as connection, connection.begin(), in_schema(connection, names):
        return [str(problem) for problem in problems_in(connection, names)]


# -- the library's own tables -------------------------------------------------------------------


def test_our_tables_keep_hotels_apart() -> None:
    """What the library declares has no problem, and every table of it is a tenant's."""
    assert lint(METADATA) == []
    assert all("hotel_id" in table.c for table in METADATA.tables.values())


FREE = {
    "hc_audit_log.resource_id": "a record of any kind, also one that is gone",
    "hc_dead_letter.token": "whoever has the lease",
    "hc_external_mapping.internal_id": "a record of one of several kinds",
    "hc_feed.token": "whoever has the lease",
    "hc_hotel.hotel_id": "the hotel itself",
    "hc_inbox.key": "a record of any kind",
    "hc_inbox.token": "whoever has the lease",
    "hc_outbox.causation_id": "an event that may be purged",
    "hc_outbox.key": "a record of any kind",
    "hc_subject_key.subject_id": "a guest, or whoever else is a subject one day",
}
"""The ids that are no foreign key, each with what it is instead."""


def test_every_id_of_another_record_is_a_foreign_key() -> None:
    """No table holds an id that could be another hotel's, or nobody's, but for those told here."""
    free = {
        f"{table.name}.{column.name}"
        for table in METADATA.tables.values()
        for column in table.c
        if isinstance(column.type, Id) and column.name != "id" and not column.foreign_keys
    }
    assert free == FREE.keys()


ALIKE = {
    ("ix_hc_booking_room", "uq_hc_booking_in_house"): "the latter has only who is in house",
    ("ix_hc_folio_line_refers_to", "uq_hc_folio_line_void"): "the latter has only what is void",
}
"""Pairs of indexes that begin alike, each with why neither is taken for the other."""


def test_no_two_indexes_begin_alike() -> None:
    """A server without statistics would take one for as good as the other, and read far too much.

    It expects one row of whatever two columns are compared, and reads all that have them in common.
    """
    begin: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for table in METADATA.tables.values():
        uniques = (each for each in table.constraints if isinstance(each, UniqueConstraint))
        found: list[PrimaryKeyConstraint | UniqueConstraint | Index]
        found = [table.primary_key, *uniques, *table.indexes]
        for each in found:
            begin[table.name, *each.columns.keys()[:2]].append(str(each.name))
    alike = {tuple(sorted(names)) for names in begin.values() if len(names) > 1}
    assert alike == ALIKE.keys()


def test_a_database_of_ours_keeps_hotels_apart(database: Engine) -> None:
    """The real tables have no problem, also under a prefix of the host's."""
    with database.connect() as connection:
        create_schema(connection, INN)
    assert found_in(database) == []
    assert found_in(database, INN) == []
    check(database)
    check(database, INN)


def test_a_schema_of_ours_keeps_hotels_apart(postgresql_url: str) -> None:
    """Tables in a schema of the host's are found there, not elsewhere."""
    engine, names = new_engine(postgresql_url), TableNames(prefix="inn_", schema="hotels")
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA hotels"))
    with engine.connect() as connection:
        create_schema(connection, names)
    assert found_in(engine, names) == []
    with engine.begin() as connection:
        connection.execute(text("CREATE INDEX bad ON hotels.inn_room (floor)"))
    assert found_in(engine, names) == ["index bad of inn_room: let it begin with hotel_id"]
    engine.dispose()


@frozen
class Fault:
    """A change of a real database that lets hotels touch, and the part that is named for it."""

    change: Callable[[Connection], None]
    part: str


def on_both(*statements: str) -> Callable[[Connection], None]:
    """Make a change by statements that both databases understand."""

    def change(connection: Connection) -> None:
        for statement in statements:
            connection.execute(text(statement))

    return change


def remade(name: str, **changes: tuple[str, str]) -> Callable[[Connection], None]:
    """Make a change by creating a table anew, with other words in its statement."""

    def change(connection: Connection) -> None:
        create = str(CreateTable(METADATA.tables[name]).compile(connection.engine))
        for pattern, instead in changes.values():
            create, number = re.subn(pattern, instead, create)
            assert number == 1
        cascade = "" if connection.dialect.name == "sqlite" else " CASCADE"
        connection.execute(text(f"DROP TABLE {name}{cascade}"))
        connection.execute(text(create))

    return change


INDEXES = {
    "an index without": Fault(on_both("CREATE INDEX bad ON hc_room (floor)"), "index bad"),
    "an index not first": Fault(
        on_both("CREATE INDEX bad ON hc_room (floor, hotel_id)"), "index bad"
    ),
    "a unique index": Fault(on_both("CREATE UNIQUE INDEX bad ON hc_room (number)"), "index bad"),
    "a partial unique index": Fault(
        on_both("CREATE UNIQUE INDEX bad ON hc_room (number) WHERE floor IS NULL"), "index bad"
    ),
    "an index over an expression": Fault(
        on_both("CREATE INDEX bad ON hc_room (lower(number), hotel_id)"), "index bad"
    ),
    "an index that takes another's exemption": Fault(
        on_both(
            "DROP INDEX uq_hc_hotel_stripe_customer_id",
            "CREATE INDEX uq_hc_hotel_stripe_customer_id ON hc_hotel (stripe_customer_id)",
        ),
        "index uq_hc_hotel_stripe_customer_id",
    ),
}


@pytest.mark.parametrize("name", INDEXES)
def test_a_planted_index_is_found(
    database: Engine, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each index that does not begin with the hotel is named, and `check` fails of it."""
    fault = INDEXES[name]
    with database.begin() as connection:
        fault.change(connection)
    [problem] = found_in(database)
    assert problem.startswith(f"{fault.part} of hc_")
    with pytest.raises(SchemaMismatch, match=fault.part):
        check(database)
    url = database.url.render_as_string(hide_password=False)
    assert main(["db", "check", "--database", url]) == 1
    assert fault.part in capsys.readouterr().err


PRIMARY_KEY = r"PRIMARY KEY \(hotel_id, id\)"
TABLES = {
    "no primary key of the hotel": Fault(
        remade("hc_room_key", key=(PRIMARY_KEY, "PRIMARY KEY (id)")),
        "the primary key of hc_room_key",
    ),
    "a primary key that ends in the hotel": Fault(
        remade("hc_room_key", key=(PRIMARY_KEY, "PRIMARY KEY (id, hotel_id)")),
        "the primary key of hc_room_key",
    ),
    "no NOT NULL": Fault(
        remade(
            "hc_room_key",
            column=(r"hotel_id (\S+) NOT NULL", r"hotel_id \1"),
            key=(PRIMARY_KEY, "PRIMARY KEY (id)"),
        ),
        "hotel_id of hc_room_key",
    ),
    "a unique key": Fault(
        remade("hc_room_key", key=(PRIMARY_KEY, "PRIMARY KEY (hotel_id, id), UNIQUE (room_id)")),
        "unique key",
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_made_otherwise_is_found(database: Engine, name: str) -> None:
    """A hotel that may be missing, a key without it and a unique key without it are named."""
    fault = TABLES[name]
    with database.begin() as connection:
        fault.change(connection)
    found = found_in(database)
    assert any(problem.startswith(fault.part) for problem in found)
    assert all("of hc_room_key" in problem for problem in found)


def test_a_foreign_key_without_the_hotel_is_found(database: Engine) -> None:
    """A reference of ours by an id alone, which the other table would need a unique key for."""
    with database.begin() as connection:
        connection.execute(text("CREATE UNIQUE INDEX bad ON hc_guest (id)"))
        if connection.dialect.name == "sqlite":
            connection.execute(
                text("ALTER TABLE hc_room ADD COLUMN g TEXT REFERENCES hc_guest (id)")
            )
        else:
            connection.execute(
                text("ALTER TABLE hc_room ADD COLUMN g uuid REFERENCES hc_guest (id)")
            )
    index, key = found_in(database)
    assert index.startswith("index bad of hc_guest")
    assert key.endswith("of hc_room: add hotel_id on both sides, at the same place")


# -- a host's own tables ------------------------------------------------------------------------


def spa(*parts: SchemaItem, key: bool = True, null: bool = False) -> MetaData:
    """Declare a host's table of spa visits beside tables of ours."""
    own = MetaData()
    for name in ("hc_hotel", "hc_guest"):
        METADATA.tables[name].to_metadata(own)
    Table(
        "spa_visit",
        own,
        Column("hotel_id", Uuid, primary_key=key, nullable=null),
        Column("id", Uuid, primary_key=True),
        Column("guest_id", Uuid),
        Column("place", String(20)),
        *parts,
    )
    return own


def refer(own: list[str], *other: str) -> ForeignKeyConstraint:
    """Refer to columns of ours."""
    return ForeignKeyConstraint(own, other, name="fk")


# Made anew for each table, since a part belongs to one for good.
GOOD: list[Callable[[], SchemaItem]] = [
    lambda: refer(["hotel_id", "guest_id"], "hc_guest.hotel_id", "hc_guest.id"),
    lambda: refer(["guest_id", "hotel_id"], "hc_guest.id", "hc_guest.hotel_id"),
    lambda: refer(["hotel_id"], "hc_hotel.hotel_id"),
    lambda: UniqueConstraint("place", "hotel_id"),
    lambda: Index("ix", "hotel_id", "place"),
    lambda: Index("uq", "hotel_id", "place", unique=True),
    lambda: Column("free", Integer),
]
BAD: dict[str, Callable[[], SchemaItem]] = {
    "unique key uq": lambda: UniqueConstraint("place", name="uq"),
    "unique key place": lambda: UniqueConstraint("place"),
    "index ix": lambda: Index("ix", "place"),
    "index uq": lambda: Index("uq", "place", "hotel_id", unique=True),
    "index fn": lambda: Index("fn", func.lower(text("place"))),
    # Where ours are exempt, a host's are not.
    "index uq_hc_hotel_stripe_customer_id": lambda: Index(
        "uq_hc_hotel_stripe_customer_id", "place", unique=True
    ),
    "foreign key fk": lambda: refer(["guest_id"], "hc_guest.id"),
    "foreign key fk ": lambda: refer(["hotel_id", "guest_id"], "hc_guest.id", "hc_guest.hotel_id"),
    "foreign key fk  ": lambda: refer(["guest_id"], "hc_hotel.hotel_id"),
}


@pytest.mark.parametrize("part", GOOD)
def test_a_hosts_good_table_has_no_problem(part: Callable[[], SchemaItem]) -> None:
    """What keeps hotels apart is let be, in any order of a key's columns."""
    assert lint(spa(part())) == []


@pytest.mark.parametrize("part", BAD)
def test_a_hosts_bad_table_is_found(part: str) -> None:
    """The problem names the table and the part, and says what to do."""
    [problem] = lint(spa(BAD[part]()))
    assert (problem.table, problem.part) == ("spa_visit", part.strip())
    assert problem.remedy


def test_a_host_lacks_the_key_or_not_null() -> None:
    """A tenant table has the hotel first in its primary key, and never without a value."""
    [key] = lint(spa(key=False))
    assert (key.table, key.part) == ("spa_visit", "the primary key")
    parts = [problem.part for problem in lint(spa(key=False, null=True))]
    assert parts == ["hotel_id", "the primary key"]


def test_a_table_of_no_hotel_may_not_refer_to_one() -> None:
    """A host's table without a hotel is free, but not to refer to a record of one."""
    own = spa()
    Table("currency", own, Column("code", String(3), primary_key=True))
    Table(
        "rate",
        own,
        Column("id", Integer, primary_key=True),
        Column("c", ForeignKey("currency.code")),
    )
    assert lint(own) == []
    Table("note", own, Column("id", Uuid, ForeignKey("hc_guest.id", name="bad"), primary_key=True))
    [problem] = lint(own)
    assert (problem.table, problem.part) == ("note", "foreign key bad")
