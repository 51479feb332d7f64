"""`grant`: the application's role gets what it needs and loses everything else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from hotelcore import Actor, HotelCore, Role, TableNames, new_id
from hotelcore.cli import main
from hotelcore.errors import DatabaseFailure, InvalidInput, RowSecurityMissing, SchemaMismatch
from hotelcore.ids import HotelId
from hotelcore.operations import register_guest
from hotelcore.sql.schema import METADATA
from hotelcore.sql.upkeep.creation import VERSION
from hotelcore.sql.upkeep.granting import grant
from tests.rls.land import Land, new_land, new_role, role_of
from tests.small_hotel import KEYS, open_hotel

_ALL = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
_HELD = text(
    "SELECT t, p FROM unnest(CAST(:tables AS text[])) t, unnest(CAST(:privileges AS text[])) p"
    " WHERE has_table_privilege(CAST(:role AS text), t, p)"
)
_CHANGEABLE = {"SELECT", "INSERT", "UPDATE", "DELETE"}
APPEND_ONLY = {"hc_audit_log", "hc_folio_line"}


@pytest.fixture
def land(postgresql_server: Engine) -> Iterator[Land]:
    """Return a database in which the application's role has no rights yet."""
    with new_land(postgresql_server, granted=False) as land:
        yield land


def held(land: Land, role: str | None = None) -> dict[str, set[str]]:
    """Return what a role, by default the application's, may do with each table."""
    tables = [land.names.in_statement(name) for name in (*METADATA.tables, VERSION.name)]
    rights: dict[str, set[str]] = {table: set() for table in tables}
    values = {"role": role or land.role, "tables": tables, "privileges": list(_ALL)}
    engine = create_engine(land.root, poolclass=NullPool)
    with engine.connect() as connection:
        for table, privilege in connection.execute(_HELD, values):
            rights[table].add(privilege)
    return rights


def test_a_role_without_the_rights_is_told_what_to_grant(land: Land) -> None:
    """Nobody is sent to a log for the likeliest mistake of an installation."""
    actor = Actor(hotel_id=HotelId(new_id()), subject="ana", role=Role.ADMIN)
    refused = pytest.raises(DatabaseFailure, match="hotelcore db grant")
    with closing(HotelCore(land.app, keys=KEYS)) as core, refused:
        core.acting_as(actor).run(register_guest, last_name="Lovelace")


def needed() -> dict[str, set[str]]:
    """Return what an application needs."""
    rights = {
        name: {"SELECT", "INSERT"} if name in APPEND_ONLY else _CHANGEABLE
        for name in METADATA.tables
    }
    return {**rights, VERSION.name: {"SELECT"}}


def test_the_role_gets_exactly_what_it_needs(land: Land) -> None:
    """Before it may do nothing, afterwards what every operation needs, and again the same."""
    assert not any(held(land).values())
    for _ in range(2):
        grant(land.owner, land.role)
        assert held(land) == needed()
    with closing(land.core()) as core:
        assert core.prove(open_hotel(core).hotel_id).ok


def test_what_it_does_not_need_is_taken_away(land: Land, postgresql_server: Engine) -> None:
    """Rights that somebody gave it or everybody are gone; those of other roles stay."""
    with new_role(postgresql_server) as other:
        land.execute(
            f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {land.role}",
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC",
            f"GRANT CREATE ON SCHEMA public TO {land.role}",
            f"GRANT SELECT ON hc_guest TO {other}",
        )
        grant(land.owner, land.role)
        assert held(land) == needed()
        assert {table for table, rights in held(land, other).items() if rights} == {"hc_guest"}
        with land.connection() as connection:
            may = text("SELECT has_schema_privilege(current_user, 'public', 'CREATE')")
            assert connection.scalar(may) is False
        land.execute(f"DROP OWNED BY {other}")


def test_a_role_that_no_policy_holds_is_refused(land: Land) -> None:
    """The owner itself, and a role with a power of that kind, get nothing."""
    land.execute(f"ALTER ROLE {land.role} BYPASSRLS")
    with pytest.raises(RowSecurityMissing) as refused:
        grant(land.owner, land.role)
    assert refused.value.problems == {
        f"role {land.role} has BYPASSRLS": f"ALTER ROLE {land.role} NOBYPASSRLS"
    }
    with pytest.raises(RowSecurityMissing, match="owns TABLE"):
        grant(land.owner, role_of(land.owner))
    assert not any(held(land).values())


def test_a_role_that_cannot_log_in_is_refused(land: Land) -> None:
    """Neither a name that is nobody's nor a role for other roles is an application."""
    for role in ("nobody_at_all", 'x"; DROP TABLE hc_guest --'):
        with pytest.raises(InvalidInput, match="role"):
            grant(land.owner, role)
    land.execute(f"ALTER ROLE {land.role} NOLOGIN")
    with pytest.raises(InvalidInput, match="role"):
        grant(land.owner, land.role)


def test_a_role_with_a_difficult_name_is_quoted(land: Land, postgresql_server: Engine) -> None:
    """A name is a name, also with the library's prefix, blanks and quotes in it."""
    name = f'hc_guest "{land.role[-6:]}'
    quoted = '"' + name.replace('"', '""') + '"'
    with new_land(postgresql_server, TableNames(prefix="inn_"), granted=False) as inn:
        inn.execute(f"CREATE ROLE {quoted} LOGIN")
        try:
            grant(inn.owner, name, inn.names)
            rights = held(inn, name)
            assert rights["inn_guest"] == _CHANGEABLE
            assert rights["inn_audit_log"] == {"SELECT", "INSERT"}
        finally:
            inn.execute(f"DROP OWNED BY {quoted}", f"DROP ROLE {quoted}")


def test_another_schema_is_opened(postgresql_server: Engine) -> None:
    """The role may use the schema that the tables are in."""
    with new_land(postgresql_server, TableNames(schema="hotel")) as land, land.connection() as app:
        assert app.scalar(text("SELECT count(*) FROM hotel.hc_guest")) == 0
        may = text("SELECT has_schema_privilege(current_user, 'hotel', 'CREATE')")
        assert app.scalar(may) is False


def test_only_these_tables_can_be_granted(land: Land, sqlite_url: str) -> None:
    """SQLite has no roles nor gets a file, and tables of another version are not touched."""
    with pytest.raises(InvalidInput, match="SQLite has no roles"):
        grant(sqlite_url, "app")
    file = make_url(sqlite_url).database
    assert file is not None
    assert not Path(file).exists()
    engine = create_engine(sqlite_url)
    with pytest.raises(InvalidInput, match="SQLite has no roles"):
        grant(engine, "app")
    engine.dispose()
    with pytest.raises(SchemaMismatch):
        grant(land.owner, land.role, TableNames(prefix="inn_"))


def test_who_is_not_the_owner_cannot_grant(land: Land) -> None:
    """The application's role does not give itself anything."""
    grant(land.owner, land.role)
    with pytest.raises(InvalidInput, match="owns the tables"):
        grant(land.app, land.role)
    assert held(land) == needed()


def test_the_command_line_grants(land: Land, capsys: pytest.CaptureFixture[str]) -> None:
    """`hotelcore db grant` does the same and says so."""
    command = ["db", "grant", "--database", land.owner, "--role", land.role]
    assert main(command) == 0
    assert land.role in capsys.readouterr().out
    assert held(land) == needed()
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"role": land.role}
    assert main([*command[:-1], "nobody_at_all"]) == 1
    assert "role" in capsys.readouterr().err
