"""How much each index of the tables is used, as the database itself has counted it."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from hotelcore.sql.schema import METADATA, TableNames
from hotelcore.sql.upkeep.creation import in_schema
from hotelcore.sql.upkeep.upgrading import Database, connected

__all__ = ["IndexUse", "index_use"]

# https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ALL-INDEXES-VIEW
_POSTGRESQL = text(
    """
    SELECT s.relname, s.indexrelname, i.indisunique, s.idx_scan, pg_relation_size(s.indexrelid)
    FROM pg_stat_user_indexes s JOIN pg_index i USING (indexrelid)
    WHERE s.schemaname = current_schema()
    """
)
_SQLITE = text(
    """
    SELECT m.name, l.name, l."unique" FROM sqlite_master m, pragma_index_list(m.name) l
    WHERE m.type = 'table'
    """
)
_SIZES = text("SELECT name, sum(pgsize) FROM dbstat GROUP BY name")


@frozen(kw_only=True)
class IndexUse:
    """One index of a table, and what it is good for.

    ``uses`` counts the scans that went through it since the server's statistics began; None where
    the database does not count, which is SQLite. ``size`` is in bytes, None where SQLite was built
    without dbstat. An index that ``is_rule`` keeps something unique, used or not.
    """

    table: str
    name: str
    uses: int | None
    size: int | None
    is_rule: bool


def index_use(database: Database, names: TableNames | None = None) -> tuple[IndexUse, ...]:
    """Return every index of the library's tables, the least used first.

    An index without uses that is no rule costs time with every row and gives nothing back. Look at
    a server that has seen each kind of day, and at every replica that answers questions: each
    counts for itself. Raises `DatabaseFailure`.
    """
    names = names or TableNames()
    ours = {names.in_statement(name) for name in METADATA.tables}
    with connected(database, reading=True) as connection, in_schema(connection, names):
        look = _of_postgresql if connection.dialect.name == "postgresql" else _of_sqlite
        found = [use for use in look(connection) if use.table in ours]
    return tuple(sorted(found, key=lambda use: (use.uses or 0, use.is_rule, use.table, use.name)))


def _of_postgresql(connection: Connection) -> Iterator[IndexUse]:
    for table, name, is_rule, uses, size in connection.execute(_POSTGRESQL):
        yield IndexUse(table=table, name=name, is_rule=is_rule, uses=uses, size=size)


def _of_sqlite(connection: Connection) -> Iterator[IndexUse]:
    sizes = _sizes(connection)
    for table, name, is_rule in connection.execute(_SQLITE):
        yield IndexUse(
            table=table, name=name, is_rule=bool(is_rule), uses=None, size=sizes.get(name)
        )


def _sizes(connection: Connection) -> dict[str, int]:
    try:
        return {name: int(size) for name, size in connection.execute(_SIZES)}
    except OperationalError:  # an SQLite without dbstat
        return {}
