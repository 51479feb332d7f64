"""Brings the tables to this version, checks them, and keeps a host's own migrations off them.

``database`` is in every function a URL, an `Engine`, or a `Connection` of the host's. On a URL or
an engine the work is committed. On a connection it becomes part of the host's transaction, so that
a migration of the host's can call `upgrade`; asyncio hosts give it to ``connection.run_sync``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, Table, inspect
from sqlalchemy.engine import URL
from sqlalchemy.schema import SchemaItem

from hotelcore.errors import InvalidInput, SchemaMismatch
from hotelcore.sql.schema import METADATA, TableNames
from hotelcore.sql.seam.engine import READING, new_engine, parsed_url, prepare
from hotelcore.sql.seam.limits import Limits
from hotelcore.sql.seam.translation import translated
from hotelcore.sql.upkeep.creation import (
    HEAD,
    VERSION,
    in_schema,
    must_be_in_utf8,
    present_in,
    wait_for_turn,
)
from hotelcore.sql.upkeep.lint import problems_in

__all__ = ["Database", "check", "connected", "current", "not_ours", "upgrade"]

Database = str | URL | Engine | Connection
"""Where the tables are: a URL, the host's engine, or a connection of it."""


def upgrade(database: Database, names: TableNames | None = None) -> None:
    """Run the migrations that the database lacks, all of them or none.

    Needs the ``migrations`` extra (`MissingExtra`). Raises `SchemaMismatch` if the tables are of a
    later version of hotelcore or were not made by it, `InvalidInput` for a schema that does not
    exist and a database that is not in UTF-8, and `DatabaseFailure`.
    """
    from hotelcore.sql.upkeep.migrations import run_migrations  # an extra, so only when wanted

    names = names or TableNames()
    with connected(database) as connection, in_schema(connection, names):
        wait_for_turn(connection)
        must_be_in_utf8(connection)
        present_in(connection, names).must_lead_to_head()
        run_migrations(connection, names)


def current(database: Database, names: TableNames | None = None) -> str | None:
    """Return the revision of the tables, like ``"0001"``; None if there are none of hotelcore."""
    names = names or TableNames()
    with connected(database, reading=True) as connection, in_schema(connection, names):
        return present_in(connection, names).revision


def check(database: Database, names: TableNames | None = None) -> None:
    """Raise `SchemaMismatch` unless the tables are those of this version, and keep hotels apart.

    Every column is there, and ``hotel_id`` is in every key and index (`hotelcore.sql.upkeep.lint`).
    """
    names = names or TableNames()
    with connected(database, reading=True) as connection, in_schema(connection, names):
        present_in(connection, names).must_be_at_head()
        lacking = ", ".join(_lacking(connection, names))
        problems = "; ".join(map(str, problems_in(connection, names)))
    if lacking:
        found = f"revision {HEAD} without {lacking}"
        raise SchemaMismatch(found, f"revision {HEAD}", "restore what is missing from a backup")
    if problems:
        needed = "hotel_id in every key and first in every index"
        raise SchemaMismatch(f"changed tables: {problems}", needed, "undo what was changed")


def not_ours(
    names: TableNames | None = None,
) -> Callable[[SchemaItem, str | None, str, bool, SchemaItem | None], bool]:
    """Give the ``include_object`` with which a host's autogenerate leaves our tables alone.

    It goes into ``context.configure`` of the host's ``env.py``, one for each set of names that the
    host uses, and covers the version table too.
    """
    names = names or TableNames()
    ours = {names.in_statement(name) for name in (*METADATA.tables, VERSION.name)}
    # The default schema is called None, also when the host made ours the default.
    schemas = {None, names.schema}

    def include_object(item: SchemaItem, *_: object) -> bool:
        return not (isinstance(item, Table) and item.name in ours and item.schema in schemas)

    return include_object


@contextmanager
def connected(database: Database, *, reading: bool = False) -> Generator[Connection]:
    """Lend a connection with a transaction, and end it unless the connection is the host's."""
    with translated(Limits(), changing_schema=True), ExitStack() as ours:
        if isinstance(database, str | URL):
            if reading:
                _must_exist(parsed_url(database))
            database = new_engine(database)
            ours.callback(database.dispose)
        if isinstance(database, Engine):
            prepare(database)
            database = ours.enter_context(database.connect())
            # On SQLite even a look would else wait for whoever is writing.
            database.execution_options(**{READING: reading})
            ours.enter_context(database.begin())
        if not isinstance(database, Connection):
            raise InvalidInput("database", "must be a URL, an Engine or a Connection")
        yield database


def _must_exist(url: URL) -> None:
    """Refuse a SQLite file that is not there: to open it would make it."""
    file = url.database if url.get_backend_name() == "sqlite" else None
    if file and not file.startswith((":memory:", "file:")) and not Path(file).exists():
        raise InvalidInput("database", "is a file that does not exist")


def _lacking(connection: Connection, names: TableNames) -> Iterator[str]:
    """Name every table and column that is not there, as the host knows them."""
    real_names = {names.in_statement(name): table for name, table in METADATA.tables.items()}
    found = inspect(connection).get_multi_columns(filter_names=list(real_names))
    columns = {table: {each["name"] for each in its} for (_, table), its in found.items()}
    for name, table in real_names.items():
        if name not in columns:
            yield name
        else:
            yield from (f"{name}.{c.name}" for c in table.columns if c.name not in columns[name])
