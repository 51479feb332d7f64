"""The parts of which revisions build tables.

Revisions that were released use them, so what is here never changes what it builds.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic.operations import Operations
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.naming import conv

__all__ = [
    "INSTANT",
    "JSON",
    "announced",
    "append_only",
    "chained",
    "check",
    "hotel_follows_from",
    "index",
    "key",
    "of_hotel",
    "ordered",
    "protected",
    "refers",
]

INSTANT = sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")
"""A moment: microseconds since 1970 on SQLite."""

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
"""Free-form data."""


def ordered(length: int | None = None) -> sa.types.TypeEngine[str]:
    """Give a text type that sorts by code point on both databases."""
    return sa.String(length).with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")


def key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    """Build a primary key."""
    return sa.PrimaryKeyConstraint(*columns, name=conv(f"pk_{table}"))


def of_hotel(table: str) -> sa.ForeignKeyConstraint:
    """Build the reference to the hotel."""
    return sa.ForeignKeyConstraint(
        ["hotel_id"], ["hc_hotel.hotel_id"], name=conv(f"fk_{table}_hotel_id")
    )


def refers(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    """Build a reference to another record of the same hotel."""
    return sa.ForeignKeyConstraint(
        ["hotel_id", column],
        [f"{other}.hotel_id", f"{other}.id"],
        name=conv(f"fk_{table}_hotel_id_{column}"),
    )


def check(table: str, rule: str, condition: str) -> sa.CheckConstraint:
    """Build a CHECK of the rule that ``condition`` says."""
    return sa.CheckConstraint(condition, name=conv(f"ck_{table}_{rule}"))


def hotel_follows_from(op: Operations, table: str, column: str) -> None:
    """Have PostgreSQL learn that a row's ``column`` decides its hotel."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            f"CREATE STATISTICS sx_{table}_{column} (dependencies) "
            f"ON hotel_id, {column} FROM {table}"
        )


def index(
    op: Operations, table: str, name: str, columns: str, where: str = "", unique: bool = False
) -> None:
    """Create an index over some columns, partial with ``where``."""
    condition = sa.text(where) if where else None
    op.create_index(
        conv(f"{'uq' if unique else 'ix'}_{table}_{name}"),
        table,
        columns.split(", "),
        unique=unique,
        sqlite_where=condition,
        postgresql_where=condition,
    )


def append_only(op: Operations, table: str) -> None:
    """Have the database itself refuse to change or delete a row."""
    if op.get_context().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER tr_{table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        f"CREATE OR REPLACE FUNCTION fn_{table}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER tr_{table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION fn_{table}_append_only()"
    )


def chained(op: Operations, log: str, head: str) -> None:
    """Have the database move ``head`` with each row of ``log``, and take only the next one."""
    refusal = f"{log} is added to at its end only"
    if op.get_context().dialect.name == "sqlite":
        op.execute(  # what is put in are our own names
            f"CREATE TRIGGER tr_{log}_chained AFTER INSERT ON {log} "  # noqa: S608
            f"BEGIN UPDATE {head} SET sequence = NEW.sequence, mac = NEW.mac "
            f"WHERE hotel_id = NEW.hotel_id AND sequence = NEW.sequence - 1; "
            f"SELECT RAISE(ABORT, '{refusal}') WHERE changes() <> 1; END"
        )
        return
    op.execute(
        f"CREATE OR REPLACE FUNCTION fn_{log}_chained() RETURNS trigger "  # noqa: S608
        "LANGUAGE plpgsql AS "
        f"$$ DECLARE moved integer; BEGIN "
        f"EXECUTE 'UPDATE ' || quote_ident(TG_TABLE_SCHEMA) || '.{head} "
        f"SET sequence = $1, mac = $2 WHERE hotel_id = $3 AND sequence = $1 - 1' "
        f"USING NEW.sequence, NEW.mac, NEW.hotel_id; "
        f"GET DIAGNOSTICS moved = ROW_COUNT; "
        f"IF moved <> 1 THEN RAISE EXCEPTION '{refusal}'; END IF; RETURN NULL; END $$"
    )
    op.execute(
        f"CREATE TRIGGER tr_{log}_chained AFTER INSERT ON {log} "
        f"FOR EACH ROW EXECUTE FUNCTION fn_{log}_chained()"
    )


def announced(op: Operations, table: str) -> None:
    """Have PostgreSQL announce each commit that inserts, on a channel of the table's name."""
    if op.get_context().dialect.name == "sqlite":
        return
    op.execute(
        f"CREATE OR REPLACE FUNCTION fn_{table}_announce() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN PERFORM pg_notify('{table}', ''); RETURN NULL; END $$"
    )
    op.execute(
        f"CREATE TRIGGER tr_{table}_announce AFTER INSERT ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION fn_{table}_announce()"
    )


def protected(op: Operations, table: str, *, relayed: bool = False) -> None:
    """Have PostgreSQL show the rows of the told hotel alone; to the relay too if ``relayed``.

    Whoever owns the table is held to it as well. A later revision that changes rows of all hotels
    lifts ``FORCE`` before and sets it again after that, in its transaction.
    """
    if op.get_context().dialect.name == "sqlite":
        return
    told = "current_setting('hotelcore.hotel_id', true)"
    rule = f"hotel_id = (SELECT CAST(NULLIF({told}, '') AS uuid) AS acting)"
    if relayed:
        rule = (
            f"hotel_id = (SELECT CAST(NULLIF(NULLIF({told}, ''), 'relay') AS uuid) AS acting)"
            f" OR (SELECT {told} AS told) = 'relay'"
        )
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY hotelcore_any_row ON {table} USING (true)")
    op.execute(
        f"CREATE POLICY hotelcore_own_hotel ON {table} AS RESTRICTIVE "
        f"USING ({rule}) WITH CHECK ({rule})"
    )
