"""Gives a role of PostgreSQL exactly what an application needs, and takes all else from it."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import URL, Connection, text

from hotelcore.errors import InvalidInput, RowSecurityMissing
from hotelcore.sql.audit.log import AUDIT_LOG
from hotelcore.sql.repositories.folios import FOLIO_LINE
from hotelcore.sql.schema import METADATA, TableNames
from hotelcore.sql.seam.engine import parsed_url
from hotelcore.sql.upkeep.creation import VERSION, in_schema, present_in, wait_for_turn
from hotelcore.sql.upkeep.role_check import Place, places_of, problems_of_role
from hotelcore.sql.upkeep.upgrading import Database, connected

__all__ = ["grant"]

_READ_ONLY = frozenset({VERSION.name})
_APPEND_ONLY = frozenset({AUDIT_LOG.name, FOLIO_LINE.name})
_CAN_LOG_IN = text("SELECT true FROM pg_roles WHERE rolname = :role AND rolcanlogin")
_OTHERS = text(
    "SELECT count(*) FROM pg_class WHERE oid = ANY(CAST(:oids AS oid[]))"
    " AND NOT pg_has_role(relowner, 'USAGE')"
)


def grant(database: Database, role: str, names: TableNames | None = None) -> None:
    """Let an existing role work with the tables, and take from it and everybody else the rest.

    ``database`` is reached as the owner of the tables. It may be done again at any time; after an
    upgrade that brings tables it has to be. Raises `InvalidInput` for a role that does not exist,
    for a database that is no PostgreSQL or not reached as the owner, `SchemaMismatch` for tables of
    another version, and `RowSecurityMissing` for a role that no policy would hold.
    """
    names = names or TableNames()
    if isinstance(database, str | URL):
        # Before a SQLite file is opened, which would make it.
        _must_have_roles(parsed_url(database).get_backend_name())
    with connected(database) as connection:
        _must_have_roles(connection.dialect.name)
        with in_schema(connection, names):
            wait_for_turn(connection)
            present_in(connection, names).must_be_at_head()
        _grant(connection, role, names)


def _must_have_roles(dialect: str) -> None:
    if dialect != "postgresql":
        raise InvalidInput("database", "must be PostgreSQL: SQLite has no roles")


def _grant(connection: Connection, role: str, names: TableNames) -> None:
    if not connection.scalar(_CAN_LOG_IN, {"role": role}):
        raise InvalidInput("role", "must exist and be able to log in: CREATE ROLE … LOGIN")
    places = places_of(connection, [*METADATA.tables, VERSION.name], names)
    # Who does not own a table is only warned, and nothing is granted.
    if connection.scalar(_OTHERS, {"oids": [place.oid for place in places]}):
        raise InvalidInput("database", "must be reached as the role that owns the tables")
    if problems := dict(problems_of_role(connection, role, places)):
        raise RowSecurityMissing(problems)
    quoted = connection.dialect.identifier_preparer.quote_identifier(role)
    for statement in _statements(places, quoted):
        connection.exec_driver_sql(statement)


def _statements(places: list[Place], role: str) -> Iterator[str]:
    for schema in {place.name.rpartition(".")[0] for place in places}:
        yield f"REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC, {role}"
        yield f"GRANT USAGE ON SCHEMA {schema} TO {role}"
    for place in places:
        yield f"REVOKE ALL ON TABLE {place.name} FROM PUBLIC, {role}"
        yield f"GRANT {_needed(place.table)} ON TABLE {place.name} TO {role}"


def _needed(table: str) -> str:
    if table in _READ_ONLY:
        return "SELECT"
    if table in _APPEND_ONLY:
        return "SELECT, INSERT"
    return "SELECT, INSERT, UPDATE, DELETE"
