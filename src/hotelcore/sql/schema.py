"""What all tables share: their register, their column types, and the name they go by in a host.

Every table's keys, unique constraints and foreign keys contain ``hotel_id``, so a reference across
hotels cannot be stored on any database.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID, SafeUUID

from attrs import frozen
from sqlalchemy import (
    CHAR,
    DDL,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Dialect,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    Uuid,
    event,
)
from sqlalchemy.dialects.postgresql import JSONB, VARCHAR
from sqlalchemy.types import JSON, TypeEngine

from hotelcore import vault, wire
from hotelcore.domain.fields import Attributes, check_day
from hotelcore.errors import InvalidInput
from hotelcore.sql.building import blank, none_stays
from hotelcore.text import clean_text

if TYPE_CHECKING:
    from sqlalchemy.sql.type_api import _BindProcessorType, _ResultProcessorType

__all__ = [
    "METADATA",
    "AttributesJson",
    "Day",
    "Id",
    "Instant",
    "Json",
    "Sealed",
    "TableNames",
    "ValueText",
    "announced",
    "append_only",
    "attributes_column",
    "chained",
    "currency_column",
    "hotel_column",
    "hotel_follows_from",
    "id_column",
    "minor_column",
    "of_hotel",
    "one_of",
    "ordered_text",
    "version_column",
]

_PREFIX = "hc_"

T = TypeVar("T")

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_1_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_1_name)s",
    }
)
"""Every table of the library, under the names they have when the host changes nothing."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Id(TypeDecorator[UUID]):
    """A record's id; what is no UUID is refused alike, whatever the drivers would take."""

    impl = Uuid
    cache_ok = True

    @property
    def python_type(self) -> type[UUID]:
        """The type of the values, by which a cursor is read."""
        return UUID

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Take 32 hexadecimal digits where the database has no type for it."""
        return dialect.type_descriptor(CHAR(32) if dialect.name == "sqlite" else Uuid())

    def bind_processor(self, dialect: Dialect) -> _BindProcessorType[UUID] | None:
        """Let nothing but a UUID reach the database."""
        return _digits_of if dialect.name == "sqlite" else _checked_uuid

    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> _ResultProcessorType[UUID] | None:
        """Read digits; psycopg reads a UUID by itself."""
        return _uuid_of if dialect.name == "sqlite" else None


class SharedId(Id):
    """The id of a record that many rows name, such as their hotel."""

    cache_ok = True

    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> _ResultProcessorType[UUID] | None:
        """Read the digits of each such id once."""
        return _known_uuid_of if dialect.name == "sqlite" else None


def _checked_uuid(value: UUID | None) -> UUID | None:
    if value is None or isinstance(value, UUID):
        return value
    raise InvalidInput("id", "must be a UUID, not its text")


def _digits_of(value: UUID | None) -> str | None:
    known = _checked_uuid(value)
    return None if known is None else known.hex


_Blank = blank(UUID)
_SAFETY = SafeUUID.unknown


@none_stays
def _uuid_of(value: str | None) -> UUID | None:
    """Build a UUID of 32 hexadecimal digits, which is most of the work of reading a list.

    UUID's own initialiser also takes six other forms and checks them all.
    """
    if value is None:
        return None
    made = _Blank()
    made.int = int(value, 16)
    made.is_safe = _SAFETY
    made.__class__ = UUID
    whole: UUID = made
    return whole


_known_uuid_of = lru_cache(maxsize=4_096)(_uuid_of)


class Day(TypeDecorator[date]):
    """A calendar date; a datetime is none."""

    impl = Date
    cache_ok = True

    @property
    def python_type(self) -> type[date]:
        """The type of the values, by which a cursor is read."""
        return date

    def bind_processor(self, dialect: Dialect) -> _BindProcessorType[date] | None:
        """Let nothing but a date reach the database."""
        return _text_of_day if dialect.name == "sqlite" else _checked_day


def _checked_day(value: date | None) -> date | None:
    return None if value is None else check_day("date", value)


def _text_of_day(value: date | None) -> str | None:
    return None if value is None else check_day("date", value).isoformat()


class Instant(TypeDecorator[datetime]):
    """A moment in UTC: ``timestamptz`` on PostgreSQL, microseconds since 1970 on SQLite.

    SQLite has no type for it, and SQLAlchemy's gives naive datetimes back.
    """

    # `Any` below: what a database type yields differs, and SQLAlchemy has no narrower name for it.

    impl = BigInteger
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        """The type of the values, by which a cursor is read."""
        return datetime

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the database's own type where it has one."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(BigInteger())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> object:
        """Store microseconds where the database has no type for instants."""
        if value is None:
            return None
        if not isinstance(value, datetime) or value.utcoffset() is None:
            raise InvalidInput("instant", "must be a datetime with a time zone")
        if dialect.name != "sqlite":
            return value
        return (value - _EPOCH) // _MICROSECOND

    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> _ResultProcessorType[datetime] | None:
        """Give an aware datetime in UTC."""
        return _moment_of if dialect.name == "sqlite" else _in_utc


@none_stays
def _moment_of(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + value * _MICROSECOND


@none_stays
def _in_utc(value: datetime | None) -> datetime | None:
    # To compare is faster than to convert, and most values are in UTC already.
    return value if value is None or value.tzinfo is UTC else value.astimezone(UTC)


class Sealed(TypeDecorator[bytes]):
    """A sealed value (`hotelcore.vault`), which `hotelcore keys rotate` seals anew.

    It stands in a table with the primary key ``hotel_id`` and one id, the row of its `Place`.
    """

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """Let nothing but an envelope reach the database, so never a secret as it is."""
        if value is not None and vault.key_number(value) is None:
            raise InvalidInput("envelope", "must be one that hotelcore.vault.seal made")
        return value


Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
"""JSON text on SQLite, ``jsonb`` on PostgreSQL."""


class AttributesJson(TypeDecorator[Attributes]):
    """A host's own fields of an entity."""

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Take the database's JSON type."""
        return dialect.type_descriptor(JSONB() if dialect.name == "postgresql" else JSON())

    def process_bind_param(self, value: Attributes | None, dialect: Dialect) -> wire.Json:
        """Store a plain JSON object."""
        return wire.encode(value or {})

    def bind_processor(self, dialect: Dialect) -> _BindProcessorType[Attributes] | None:
        """Write the object; most entities have no such fields and share what says so."""
        write = super().bind_processor(dialect)
        if write is None:
            return None
        nothing = write(None)
        return lambda value: write(value) if value else nothing

    def result_processor(
        self, dialect: Dialect, coltype: object
    ) -> _ResultProcessorType[Attributes] | None:
        """Freeze what was stored; most entities have no such fields and share what says so."""
        load = json.loads if dialect.name == "sqlite" else _as_it_is

        def read(value: Any) -> Attributes:
            return Attributes(load(value)) if value and value != "{}" else _NO_ATTRIBUTES

        return read


_NO_ATTRIBUTES = Attributes()


def _as_it_is(value: Any) -> Any:  # what psycopg read from JSON
    return value


class ValueText(TypeDecorator[T]):
    """A value object as its canonical JSON text.

    A hotel has few of them and thousands of rows repeat them, so a known text is looked up: to
    decode one costs more than to build the rest of the row.
    """

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[T]) -> None:
        super().__init__()
        self.kind = kind

        @lru_cache(maxsize=1_024)
        def known(text: str | None) -> T | None:
            return None if text is None else wire.decode(json.loads(text), kind)

        self._known, self._text_of = known, lru_cache(maxsize=1_024)(wire.text_of)

    def process_bind_param(self, value: T | None, dialect: Dialect) -> str | None:
        """Store the one text that stands for this value."""
        return None if value is None else self._text_of(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> _ResultProcessorType[T] | None:
        """Give the value of a text."""
        return self._known


def ordered_text(length: int | None = None) -> TypeEngine[str]:
    """Give a text type that sorts by code point on both databases.

    SQLite does so anyway. A PostgreSQL database sorts by some language unless it is told, and then
    a list would come in another order, and the names that begin with some letters would be no
    range of its index.
    """
    return String(length).with_variant(VARCHAR(length, collation="C"), "postgresql")


def hotel_column() -> Column[UUID]:
    """Make the tenant's column: the first of every key."""
    return Column("hotel_id", SharedId(), primary_key=True)


def id_column(name: str = "id") -> Column[UUID]:
    """Make the record's own part of the primary key."""
    return Column(name, Id(), primary_key=True)


def minor_column(name: str) -> Column[int]:
    """Make a column for an amount in minor units of the row's currency."""
    return Column(name, BigInteger(), nullable=False)


def currency_column() -> Column[str]:
    """Make the column for the ISO 4217 code of the row's amounts."""
    return Column("currency", String(3), nullable=False)


def version_column() -> Column[int]:
    """Make the column that every versioned update moves by one."""
    return Column("version", Integer(), nullable=False)


def attributes_column() -> Column[Attributes]:
    """Make the column for the host's own fields."""
    return Column("attributes", AttributesJson(), nullable=False)


def of_hotel(table: str, column: str, *, cascade: bool = False) -> ForeignKeyConstraint:
    """Make a reference to another record of the same hotel."""
    return ForeignKeyConstraint(
        ["hotel_id", column],
        [f"{_PREFIX}{table}.hotel_id", f"{_PREFIX}{table}.id"],
        ondelete="CASCADE" if cascade else None,
    )


def append_only(table: Table) -> None:
    """Have the database itself refuse to change or delete a row of ``table``, ever."""
    name = table.name
    for verb in ("UPDATE", "DELETE"):
        refuse = _ddl(
            f"CREATE TRIGGER tr_{name}_no_{verb.lower()} BEFORE {verb} ON {name} "
            f"BEGIN SELECT RAISE(ABORT, '{name} is append-only'); END"
        )
        event.listen(table, "after_create", refuse.execute_if(dialect="sqlite"))
    function = _ddl(
        f"CREATE OR REPLACE FUNCTION fn_{name}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{name} is append-only'; END $$"
    )
    trigger = _ddl(
        f"CREATE TRIGGER tr_{name}_append_only BEFORE UPDATE OR DELETE ON {name} "
        f"FOR EACH ROW EXECUTE FUNCTION fn_{name}_append_only()"
    )
    drop = _ddl(f"DROP FUNCTION IF EXISTS fn_{name}_append_only()")
    event.listen(table, "after_create", function.execute_if(dialect="postgresql"))
    event.listen(table, "after_create", trigger.execute_if(dialect="postgresql"))
    event.listen(table, "after_drop", drop.execute_if(dialect="postgresql"))


def chained(log: Table, head: Table) -> None:
    """Have the database move a hotel's ``head`` with each row of ``log``, and take only the next.

    No row gets in without its head, whoever inserts it, and the head costs no round trip.
    """
    log.add_is_dependent_on(head)  # so that it is created after it
    name, refusal = log.name, f"{log.name} is added to at its end only"
    trigger = _ddl(  # what is put in are our own names
        f"CREATE TRIGGER tr_{name}_chained AFTER INSERT ON {name} "  # noqa: S608
        f"BEGIN UPDATE {head.name} SET sequence = NEW.sequence, mac = NEW.mac "
        f"WHERE hotel_id = NEW.hotel_id AND sequence = NEW.sequence - 1; "
        f"SELECT RAISE(ABORT, '{refusal}') WHERE changes() <> 1; END"
    )
    event.listen(log, "after_create", trigger.execute_if(dialect="sqlite"))
    # The body's names are looked up when it runs, under whatever search path the session has.
    function = _ddl(
        f"CREATE OR REPLACE FUNCTION fn_{name}_chained() RETURNS trigger "  # noqa: S608
        "LANGUAGE plpgsql AS "
        f"$$ DECLARE moved integer; BEGIN "
        f"EXECUTE 'UPDATE ' || quote_ident(TG_TABLE_SCHEMA) || '.{head.name} "
        f"SET sequence = $1, mac = $2 WHERE hotel_id = $3 AND sequence = $1 - 1' "
        f"USING NEW.sequence, NEW.mac, NEW.hotel_id; "
        f"GET DIAGNOSTICS moved = ROW_COUNT; "
        f"IF moved <> 1 THEN RAISE EXCEPTION '{refusal}'; END IF; RETURN NULL; END $$"
    )
    trigger = _ddl(
        f"CREATE TRIGGER tr_{name}_chained AFTER INSERT ON {name} "
        f"FOR EACH ROW EXECUTE FUNCTION fn_{name}_chained()"
    )
    drop = _ddl(f"DROP FUNCTION IF EXISTS fn_{name}_chained()")
    event.listen(log, "after_create", function.execute_if(dialect="postgresql"))
    event.listen(log, "after_create", trigger.execute_if(dialect="postgresql"))
    event.listen(log, "after_drop", drop.execute_if(dialect="postgresql"))


def announced(table: Table) -> None:
    """Have PostgreSQL announce each commit that inserts into ``table``, on a channel of its name.

    Announcing from the transaction costs no round trip, and it reaches those who listen also when
    the host is the one who commits.
    """
    name = table.name
    function = _ddl(
        f"CREATE OR REPLACE FUNCTION fn_{name}_announce() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN PERFORM pg_notify('{name}', ''); RETURN NULL; END $$"
    )
    trigger = _ddl(
        f"CREATE TRIGGER tr_{name}_announce AFTER INSERT ON {name} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION fn_{name}_announce()"
    )
    drop = _ddl(f"DROP FUNCTION IF EXISTS fn_{name}_announce()")
    event.listen(table, "after_create", function.execute_if(dialect="postgresql"))
    event.listen(table, "after_create", trigger.execute_if(dialect="postgresql"))
    event.listen(table, "after_drop", drop.execute_if(dialect="postgresql"))


def hotel_follows_from(table: Table, column: str) -> None:
    """Have PostgreSQL learn that a row's ``column`` decides its hotel.

    It takes columns for independent, so beside 20 hotels it would expect a twentieth of the rows:
    https://www.postgresql.org/docs/current/planner-stats.html#PLANNER-STATS-EXTENDED
    """
    statistics = _ddl(
        f"CREATE STATISTICS sx_{table.name}_{column} (dependencies) "
        f"ON hotel_id, {column} FROM {table.name}"
    )
    event.listen(table, "after_create", statistics.execute_if(dialect="postgresql"))


def one_of(column: str, kind: type[StrEnum]) -> CheckConstraint:
    """Make the rule that a column holds a value of ``kind``."""
    values = ", ".join(f"'{member.value}'" for member in kind)
    return CheckConstraint(f"{column} IN ({values})", name=column)


def _ddl(statement: str) -> DDL:
    return DDL(statement)  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it unannotated


@frozen
class TableNames:
    """Where the tables live in a host's database: a prefix, and on PostgreSQL a schema.

    ``prefix`` is 2 to 20 lower-case letters, digits and underscores, begins with a letter and
    ends with an underscore. Two prefixes in one database are two separate worlds.
    """

    prefix: str = _PREFIX
    schema: str | None = None

    def __attrs_post_init__(self) -> None:
        clean_text("prefix", self.prefix, most=20)
        if not re.fullmatch(r"[a-z](?:[a-z0-9_]{0,18})_", self.prefix):
            raise InvalidInput("prefix", "must look like 'hc_': lower case, ending in '_'")
        # Names that already carry the prefix must stay as they are, or they would get it twice.
        if not self.is_default and _OURS.search(f"{self.prefix}a"):
            raise InvalidInput("prefix", "must not contain 'hc_'")
        if self.schema is not None:
            clean_text("schema", self.schema, most=63)
        if self.schema is not None and not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", self.schema):
            raise InvalidInput("schema", "must be a lower-case SQL identifier")

    @property
    def is_default(self) -> bool:
        """Whether the statements already carry these names."""
        return self.prefix == _PREFIX

    def must_suit(self, dialect: str) -> None:
        """Raise `InvalidInput` if a schema is named for a database that has none."""
        if self.schema is not None and dialect != "postgresql":
            raise InvalidInput("schema", "is for PostgreSQL alone: leave it out")

    def in_statement(self, sql: str) -> str:
        """Put this prefix into the text of a statement.

        Values never stand in a statement's text, only the library's own identifiers do, so what
        is replaced is always a name.
        """
        return sql if self.is_default else _OURS.sub(self.prefix, sql)


_OURS = re.compile(r"(?<![a-zA-Z0-9])hc_(?=[a-z])")
