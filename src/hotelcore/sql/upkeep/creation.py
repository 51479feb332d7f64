"""Creates the tables for the embedded default; in production migrations do it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from attrs import frozen
from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    select,
    text,
)

from hotelcore.errors import InvalidInput, SchemaMismatch

# Each of these modules puts its tables into the register.
from hotelcore.sql.audit import chain, log
from hotelcore.sql.events import dead_letters, feed, inbox, outbox
from hotelcore.sql.repositories import (
    availability,
    bookings,
    business_day,
    folios,
    guests,
    hotels,
    housekeeping,
    idempotency,
    pms,
    room_nights,
    rooms,
)
from hotelcore.sql.schema import METADATA, TableNames
from hotelcore.sql.sealing import subject_keys
from hotelcore.sql.seam.engine import NAMES, put_names
from hotelcore.sql.upkeep.rls import protect

__all__ = [
    "HEAD",
    "SUBJECTS",
    "VERSION",
    "Present",
    "create_schema",
    "in_schema",
    "must_be_in_utf8",
    "present_in",
    "wait_for_turn",
]

SUBJECTS = (
    hotels,
    rooms,
    room_nights,
    availability,
    guests,
    subject_keys,
    bookings,
    folios,
    housekeeping,
    business_day,
    log,
    chain,
    outbox,
    feed,
    inbox,
    dead_letters,
    idempotency,
    pms,
)
"""Every module that owns tables."""

HEAD = "0002"
"""The newest revision: what the migrations and `create_schema` both bring a database to."""

VERSION = Table(
    "hc_alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="hc_alembic_version_pkc"),
)
"""Where the revision is stored: the very table that Alembic makes, so that migrations find it."""

_UPGRADE = "run 'hotelcore db upgrade'"
# Any number will do that another program is unlikely to lock on the same database.
_LOCK = int.from_bytes(b"hotelcor")


@contextmanager
def in_schema(connection: Connection, names: TableNames) -> Generator[None]:
    """Let the library's names in the body's statements mean the tables of the host's choice.

    It needs a transaction, for the search path of PostgreSQL is changed until the body ends.
    Raises `InvalidInput` for a schema that does not exist.
    """
    names.must_suit(connection.dialect.name)
    if not names.is_default:
        put_names(connection.engine)
    before = connection.get_execution_options().get(NAMES)
    connection.execution_options(**{NAMES: names})
    try:
        with _search_path(connection, names.schema):
            yield
    finally:
        connection.execution_options(**{NAMES: before})


@contextmanager
def _search_path(connection: Connection, schema: str | None) -> Generator[None]:
    """Let plain names mean ``schema``: those of triggers and functions too."""
    if schema is None:
        yield
        return
    before = connection.scalar(text("SELECT current_setting('search_path')"))
    change = text("SELECT set_config('search_path', :path, true)")
    connection.execute(change, {"path": schema})
    if connection.scalar(text("SELECT current_schema()")) != schema:
        raise InvalidInput("schema", "does not exist, or this role may not use it: create it first")
    yield
    connection.execute(change, {"path": before})


def must_be_in_utf8(connection: Connection) -> None:
    """Raise `InvalidInput` for a database that keeps its texts in another encoding.

    Others lack the characters of many names; and an audit log is verified by its bytes.
    """
    asked = {"sqlite": "PRAGMA encoding", "postgresql": "SHOW server_encoding"}
    encoding = connection.scalar(text(asked[connection.dialect.name]))
    if encoding not in ("UTF-8", "UTF8"):
        raise InvalidInput("database", f"keeps its texts in {encoding}: make one in UTF-8")


def wait_for_turn(connection: Connection) -> None:
    """Keep others on this database from creating tables until the transaction ends.

    Workers that start together would each find nothing. SQLite lets one write at a time anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


@frozen
class Present:
    """What a database holds of the library: a revision, and tables by the library's own names."""

    revision: str | None
    tables: frozenset[str]

    def must_lead_to_head(self) -> None:
        """Raise `SchemaMismatch` unless migrations can bring this to the newest revision."""
        if self.revision is None and self.tables:
            remedy = "give the prefix and schema that are meant, or move those tables away"
            raise _mismatch("tables without a revision", remedy)
        if self.revision is not None and self.revision > HEAD:
            raise _mismatch(f"revision {self.revision}", "update hotelcore")

    def must_be_at_head(self) -> None:
        """Raise `SchemaMismatch` unless this is the newest revision."""
        self.must_lead_to_head()
        if self.revision is None:
            raise _mismatch("no tables of hotelcore", _UPGRADE)
        if self.revision != HEAD:
            raise _mismatch(f"revision {self.revision}", _UPGRADE)


def _mismatch(found: str, remedy: str) -> SchemaMismatch:
    return SchemaMismatch(found, f"revision {HEAD}", remedy)


def present_in(connection: Connection, names: TableNames) -> Present:
    """Look what is there of the library under the names that `in_schema` put in force."""
    there = set(inspect(connection).get_table_names())
    ours = frozenset(name for name in METADATA.tables if names.in_statement(name) in there)
    if names.in_statement(VERSION.name) not in there:
        return Present(None, ours)
    return Present(connection.scalar(select(VERSION.c.version_num)), ours)


def create_schema(connection: Connection, names: TableNames) -> None:
    """Create the missing tables with indexes, triggers and policies, in one transaction.

    The revision is stored with them, so that migrations go on from there. Raises `SchemaMismatch`
    if there are tables of another version, and `InvalidInput` for a database that is not in UTF-8.
    """
    with connection.begin(), in_schema(connection, names):
        wait_for_turn(connection)
        must_be_in_utf8(connection)
        present = present_in(connection, names)
        if present != Present(None, frozenset()):
            present.must_be_at_head()
        missing = [table for name, table in METADATA.tables.items() if name not in present.tables]
        METADATA.create_all(connection, missing, checkfirst=False)
        protect(connection, missing)
        if present.revision is None:
            VERSION.create(connection)
            connection.execute(insert(VERSION).values(version_num=HEAD))
