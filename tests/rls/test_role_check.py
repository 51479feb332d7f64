"""What breaks the separation of hotels is found by its name, and the remedy given mends it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import closing

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from hotelcore import Actor, HotelCore, Role, TableNames, new_id
from hotelcore.cli import main
from hotelcore.core import AsyncHotelCore, Desk
from hotelcore.errors import InvalidInput, RowSecurityMissing, SchemaMismatch
from hotelcore.ids import HotelId
from hotelcore.operations import register_guest
from hotelcore.sql.upkeep.granting import grant
from hotelcore.sql.upkeep.role_check import check_row_security
from tests.operations.small_hotel import counted_statements
from tests.rls.land import Land, new_land, new_role, role_of
from tests.small_hotel import TODAY, open_hotel

pytestmark = pytest.mark.long

INN = TableNames(prefix="inn_")


def problems(land: Land, url: str | None = None) -> Mapping[str, str]:
    """Return what the check finds for the application's role."""
    engine = create_engine(url or land.app, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            check_row_security(connection, land.names)
    except RowSecurityMissing as missing:
        return missing.problems
    return {}


@pytest.fixture
def other(postgresql_server: Engine, land: Land) -> Iterator[str]:
    """Return one more role, which loses in the end what a test gave it in the database."""
    with new_role(postgresql_server, "NOLOGIN") as role:
        yield role
        land.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER", f"DROP OWNED BY {role}")


def test_a_careful_host_passes(land: Land) -> None:
    """Granted by us, the application's role has no problem."""
    assert problems(land) == {}


# Every kind of problem: what plants it, what is said of it, and what takes away what is left over
# after it was mended. ``app`` is the application's role, ``other`` one more, ``owner`` the owner.
PLANTED: Mapping[str, tuple[str, str, str]] = {
    "superuser": ("ALTER ROLE {app} SUPERUSER", "{app} has SUPERUSER", ""),
    "bypass": ("ALTER ROLE {app} BYPASSRLS", "{app} has BYPASSRLS", ""),
    "makes roles": ("ALTER ROLE {app} CREATEROLE", "{app} has CREATEROLE", ""),
    "replication": ("ALTER ROLE {app} REPLICATION", "{app} has REPLICATION", ""),
    "owner": (
        "ALTER TABLE hc_guest OWNER TO {app}",
        "{app} owns TABLE public.hc_guest",
        "ALTER TABLE hc_guest OWNER TO {owner}; GRANT SELECT, INSERT ON hc_guest TO {app}",
    ),
    "owner of the schema": (
        "ALTER SCHEMA public OWNER TO {app}",
        "{app} owns SCHEMA public",
        "ALTER SCHEMA public OWNER TO {owner}; GRANT USAGE ON SCHEMA public TO {app}",
    ),
    "member of the owner": (
        "GRANT {owner} TO {app}",
        "{app} is a member of {owner} and so can become {owner}, which owns ",
        "",
    ),
    "member of a superuser": (
        "ALTER ROLE {other} SUPERUSER; GRANT {other} TO {app}",
        "can become {other}, which has SUPERUSER",
        "",
    ),
    "member at two removes, without inheriting": (
        "ALTER ROLE {app} NOINHERIT; GRANT {other} TO {app}; GRANT {owner} TO {other}",
        "{app} is a member of {other} and so can become {owner}",
        "ALTER ROLE {app} INHERIT",
    ),
    "member of one that bypasses": (
        "ALTER ROLE {other} BYPASSRLS; GRANT {other} TO {app}",
        "can become {other}, which has BYPASSRLS",
        "",
    ),
    "reads the server's files": (
        "GRANT pg_read_server_files TO {app}",
        "{app} is a member of pg_read_server_files",
        "",
    ),
    "a hotel by default": (
        "ALTER ROLE {app} SET hotelcore.hotel_id = 'x'",
        "ROLE {app} begins each session with a hotel",
        "",
    ),
    "a hotel by default of the database": (
        "ALTER DATABASE {database} SET hotelcore.hotel_id = 'x'",
        "DATABASE {database} begins each session with a hotel",
        "",
    ),
    "a hotel by default of the role there": (
        "ALTER ROLE {app} IN DATABASE {database} SET hotelcore.hotel_id = 'x'",
        "ROLE {app} IN DATABASE {database} begins each session with a hotel",
        "",
    ),
    "disabled": (
        "ALTER TABLE hc_guest DISABLE ROW LEVEL SECURITY",
        "public.hc_guest has no row-level security",
        "",
    ),
    "not forced": (
        "ALTER TABLE hc_feed NO FORCE ROW LEVEL SECURITY",
        "public.hc_feed does not hold its owner",
        "",
    ),
    "no permissive policy": (
        "DROP POLICY hotelcore_any_row ON hc_guest",
        "public.hc_guest lacks the policy hotelcore_any_row",
        "",
    ),
    "no restrictive policy": (
        "DROP POLICY hotelcore_own_hotel ON hc_guest",
        "public.hc_guest lacks the policy hotelcore_own_hotel",
        "",
    ),
    "a policy that shows more": (
        "ALTER POLICY hotelcore_own_hotel ON hc_guest USING (true)",
        "public.hc_guest lacks the policy hotelcore_own_hotel",
        "",
    ),
    "a policy that takes more": (
        "ALTER POLICY hotelcore_own_hotel ON hc_guest WITH CHECK (true)",
        "public.hc_guest lacks the policy hotelcore_own_hotel",
        "",
    ),
    "a policy for the relay where it has nothing to do": (
        (
            "ALTER POLICY hotelcore_own_hotel ON hc_guest USING (hotel_id = (SELECT CAST(NULLIF("
            "current_setting('hotelcore.hotel_id', true), '') AS uuid) AS acting)"
            " OR (SELECT current_setting('hotelcore.hotel_id', true) AS told) = 'relay')"
        ),
        "public.hc_guest lacks the policy hotelcore_own_hotel",
        "",
    ),
    "a policy for others": (
        "ALTER POLICY hotelcore_own_hotel ON hc_guest TO {other}",
        "public.hc_guest lacks the policy hotelcore_own_hotel",
        "",
    ),
    "a policy for some commands": (
        (
            "DROP POLICY hotelcore_own_hotel ON hc_guest;"
            "CREATE POLICY hotelcore_own_hotel ON hc_guest AS RESTRICTIVE FOR SELECT USING ("
            "hotel_id = (SELECT CAST(NULLIF("
            "current_setting('hotelcore.hotel_id', true), '') AS uuid) AS acting))"
        ),
        "public.hc_guest lacks the policy hotelcore_own_hotel",
        "",
    ),
    "a permissive policy in its place": (
        (
            "DROP POLICY hotelcore_own_hotel ON hc_guest;"
            "CREATE POLICY hotelcore_own_hotel ON hc_guest USING (hotel_id = (SELECT CAST(NULLIF("
            "current_setting('hotelcore.hotel_id', true), '') AS uuid) AS acting))"
        ),
        "public.hc_guest lacks the policy hotelcore_own_hotel",
        "",
    ),
    "a second permissive policy": (
        'CREATE POLICY "My Own" ON hc_guest FOR SELECT USING (vip)',
        'public.hc_guest has one more permissive policy, "My Own"',
        "",
    ),
    "truncate": (
        "GRANT TRUNCATE ON hc_guest TO {app}",
        "{app} has TRUNCATE on public.hc_guest",
        "",
    ),
    "references and trigger of everybody": (
        "GRANT REFERENCES, TRIGGER ON hc_guest TO PUBLIC",
        "PUBLIC has REFERENCES, TRIGGER on public.hc_guest",
        "",
    ),
    "references to one column": (
        "GRANT REFERENCES (id) ON hc_guest TO {app}",
        "{app} has REFERENCES on public.hc_guest",
        "",
    ),
    "truncate of what it can become": (
        "GRANT TRUNCATE ON hc_guest TO {other}; GRANT {other} TO {app}",
        "{other} has TRUNCATE on public.hc_guest",
        "",
    ),
    "a child": (
        "CREATE TABLE child () INHERITS (hc_guest)",
        "public.child has no row-level security",
        "DROP TABLE child",
    ),
    "a grandchild": (
        "CREATE TABLE child () INHERITS (hc_feed); CREATE TABLE grand () INHERITS (child)",
        "public.grand lacks the policy hotelcore_own_hotel",
        "DROP TABLE child CASCADE",
    ),
    "a parent": (
        "CREATE TABLE every (hotel_id uuid NOT NULL); ALTER TABLE hc_guest INHERIT every",
        "public.hc_guest is read through public.every",
        "DROP TABLE every",
    ),
    "a partition of a parent": (
        (
            "CREATE TABLE every (LIKE hc_feed) PARTITION BY RANGE (sent);"
            "ALTER TABLE every ATTACH PARTITION hc_feed DEFAULT"
        ),
        "public.hc_feed is read through public.every",
        "DROP TABLE every",
    ),
    "a view": (
        "CREATE VIEW guests AS SELECT * FROM hc_guest; GRANT SELECT ON guests TO {app}",
        "the view public.guests shows the rows that its owner may see",
        "DROP VIEW guests",
    ),
    "a view of a view, one column of it, to be changed": (
        (
            "CREATE VIEW guests AS SELECT * FROM hc_guest;"
            "CREATE VIEW more AS SELECT * FROM guests;"
            "GRANT UPDATE (vip) ON more TO PUBLIC"
        ),
        "the view public.more shows the rows that its owner may see",
        "DROP VIEW guests CASCADE",
    ),
    "a materialised view": (
        (
            "CREATE MATERIALIZED VIEW guests AS SELECT * FROM hc_guest;"
            "GRANT SELECT ON guests TO {app}"
        ),
        "{app} may read the materialised view public.guests",
        "DROP MATERIALIZED VIEW guests",
    ),
    "a materialised view of its own": (
        (
            "CREATE MATERIALIZED VIEW guests AS SELECT * FROM hc_guest;"
            "ALTER MATERIALIZED VIEW guests OWNER TO {app}"
        ),
        "{app} owns the materialised view public.guests",
        "DROP MATERIALIZED VIEW guests",
    ),
    "a function": (
        (
            "CREATE FUNCTION guests(text) RETURNS SETOF hc_guest LANGUAGE sql SECURITY DEFINER"
            " AS 'SELECT * FROM hc_guest'"
        ),
        "the function public.guests(text) works with the rights of ",
        "DROP FUNCTION guests",
    ),
    "a function whose body the server knows": (
        (
            "CREATE FUNCTION guests() RETURNS bigint LANGUAGE sql SECURITY DEFINER"
            " RETURN (SELECT count(*) FROM hc_guest)"
        ),
        "the function public.guests() works with the rights of ",
        "DROP FUNCTION guests",
    ),
    "a procedure": (
        (
            "CREATE PROCEDURE forget(IN who text) LANGUAGE sql SECURITY DEFINER"
            " AS 'DELETE FROM hc_guest'"
        ),
        "the function public.forget(IN who text) works with the rights of ",
        "DROP PROCEDURE forget",
    ),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_problem_is_named_and_its_remedy_mends_it(land: Land, other: str, kind: str) -> None:
    """Planted by real statements, it is found; once its remedy has run, nothing is found."""
    names = {
        "app": land.role,
        "other": other,
        "owner": role_of(land.owner),
        "database": land.root.rpartition("/")[2].partition("?")[0],
    }
    plant, said, afterwards = (part.format(**names) for part in PLANTED[kind])
    land.execute(*filter(None, plant.split(";")))
    try:
        found = problems(land)
        assert [problem for problem in found if said in problem] != []
        land.execute(*(each for remedy in found.values() for each in remedy.split("; ")))
        assert problems(land) == {}
    finally:
        land.execute(f"ALTER ROLE {land.role} NOSUPERUSER", *filter(None, afterwards.split(";")))
        grant(land.owner, land.role, land.names)


HARMLESS: Mapping[str, tuple[str, str]] = {
    "a restrictive policy": (
        "CREATE POLICY mine ON hc_guest AS RESTRICTIVE USING (true)",
        "DROP POLICY mine ON hc_guest",
    ),
    "a view as the one who asks": (
        (
            "CREATE VIEW guests WITH (security_invoker = on) AS SELECT * FROM hc_guest;"
            "GRANT SELECT ON guests TO PUBLIC"
        ),
        "DROP VIEW guests",
    ),
    "views for others": (
        (
            "CREATE VIEW guests AS SELECT * FROM hc_guest; GRANT SELECT ON guests TO {other};"
            "CREATE MATERIALIZED VIEW old AS SELECT * FROM guests; GRANT SELECT ON old TO {other}"
        ),
        "DROP VIEW guests CASCADE",
    ),
    "a function of the owner": (
        (
            "CREATE FUNCTION guests() RETURNS SETOF hc_guest LANGUAGE sql SECURITY DEFINER"
            " AS 'SELECT * FROM hc_guest'; ALTER FUNCTION guests() OWNER TO {owner}"
        ),
        "DROP FUNCTION guests",
    ),
    "a function about something else": (
        "CREATE FUNCTION one() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        "DROP FUNCTION one",
    ),
    "a role for nothing much": ("GRANT {other} TO {app}", ""),
    "other tables": (
        "CREATE TABLE mine (id int); GRANT ALL ON mine TO {app}; ALTER TABLE mine OWNER TO {app}",
        "DROP TABLE mine",
    ),
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_what_does_no_harm_is_no_problem(land: Land, other: str, kind: str) -> None:
    """A host may add what does not touch the separation."""
    names = {"app": land.role, "other": other, "owner": role_of(land.owner)}
    plant, afterwards = (part.format(**names) for part in HARMLESS[kind])
    land.execute(*plant.split(";"))
    try:
        assert problems(land) == {}
    finally:
        land.execute(*filter(None, afterwards.split(";")))


def test_all_problems_are_told_at_once(land: Land, other: str) -> None:
    """Whoever mends what the message says is done."""
    land.execute(
        f"ALTER ROLE {land.role} CREATEROLE",
        f"GRANT {role_of(land.owner)} TO {land.role}",
        "ALTER TABLE hc_guest DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY mine ON hc_room USING (true)",
        f"GRANT TRUNCATE ON hc_booking TO {land.role}",
    )
    found = problems(land)
    assert len(found) == 5
    message = str(RowSecurityMissing(found))
    assert all(problem in message and remedy in message for problem, remedy in found.items())
    land.execute(*found.values())
    assert problems(land) == {}


def test_each_prefix_is_checked_for_itself(postgresql_server: Engine) -> None:
    """Tables under another prefix, in another schema, are found by their real names."""
    with new_land(postgresql_server, TableNames(schema="order")) as land:
        land.execute('ALTER TABLE "order".hc_guest NO FORCE ROW LEVEL SECURITY')
        assert problems(land) == {
            '"order".hc_guest does not hold its owner to row-level security': (
                'ALTER TABLE "order".hc_guest FORCE ROW LEVEL SECURITY'
            )
        }
    with new_land(postgresql_server, INN) as land:
        assert problems(land) == {}
        land.execute("DROP POLICY hotelcore_own_hotel ON inn_feed")
        [problem] = problems(land)
        assert problem == "public.inn_feed lacks the policy hotelcore_own_hotel"


def test_tables_that_are_missing_are_no_protection(land: Land) -> None:
    """A database without the tables is told to be upgraded."""
    with land.connection() as connection, pytest.raises(SchemaMismatch, match="upgrade"):
        check_row_security(connection, INN)


# -- where it is asked --------------------------------------------------------------------------


def desk_of(core: HotelCore) -> Desk:
    """Return a handle of a hotel that is not there: no matter, a unit gets no further than that."""
    actor = Actor(hotel_id=HotelId(new_id()), subject="ana", role=Role.ADMIN)
    return core.acting_as(actor)


def test_a_core_begins_no_unit_for_a_role_that_is_not_held(land: Land) -> None:
    """No kind of unit starts, however often it is tried, until the problem is mended."""
    with closing(HotelCore(land.owner, row_security=True)) as core:
        desk = desk_of(core)
        for _ in range(2):
            with pytest.raises(RowSecurityMissing, match="owns TABLE public"):
                desk.run(register_guest, last_name="Nobody")
        with pytest.raises(RowSecurityMissing), desk.reading():
            pytest.fail("it began")
        with pytest.raises(RowSecurityMissing), desk.transaction():
            pytest.fail("it began")
        with (
            core.engine.begin() as host,
            pytest.raises(RowSecurityMissing),
            desk.joining(host),
        ):
            pytest.fail("it began")
        with pytest.raises(RowSecurityMissing):
            core.prove(desk.actor.hotel_id)
        with pytest.raises(RowSecurityMissing), core._serving():
            pytest.fail("it began")


def test_a_core_works_once_the_problem_is_mended(land: Land) -> None:
    """The check is made again until it passes, and never after that."""
    land.execute(f"ALTER ROLE {land.role} CREATEROLE")
    with closing(land.core()) as core:
        with pytest.raises(RowSecurityMissing):
            desk_of(core).run(register_guest, last_name="Nobody")
        land.execute(f"ALTER ROLE {land.role} NOCREATEROLE")
        hotel = open_hotel(core)
        with counted_statements(core) as sent:
            hotel.booked(arrival=TODAY)
        assert sent
        assert not [each for each in sent if "pg_policy" in each]


def test_an_asyncio_core_refuses_too(land: Land) -> None:
    """The same check stands before the units of the other core."""

    async def work() -> None:
        core = AsyncHotelCore(land.owner, row_security=True)
        actor = Actor(hotel_id=HotelId(new_id()), subject="ana", role=Role.ADMIN)
        try:
            with pytest.raises(RowSecurityMissing):
                await core.acting_as(actor).run(register_guest, last_name="Nobody")
            with pytest.raises(RowSecurityMissing):
                await core.prove(actor.hotel_id)
        finally:
            await core.close()

    asyncio.run(work())


def test_sqlite_has_no_row_security(sqlite_url: str) -> None:
    """To ask for it there is a mistake, which is told."""
    with pytest.raises(InvalidInput, match="row_security"):
        HotelCore(sqlite_url, row_security=True)
    with pytest.raises(InvalidInput, match="row_security"):
        AsyncHotelCore(sqlite_url, row_security=True)
    with closing(HotelCore(sqlite_url)) as core:
        core.create_schema()
        with core.engine.connect() as connection, pytest.raises(InvalidInput, match="PostgreSQL"):
            check_row_security(connection, TableNames())


def test_the_command_line_checks_it(land: Land, capsys: pytest.CaptureFixture[str]) -> None:
    """`hotelcore db check --row-security` fails for the owner and passes for the application."""
    arguments = ["db", "check", "--row-security", "--json", "--database"]
    assert main([*arguments, land.app]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    assert main([*arguments, land.owner]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is False
    assert "owns TABLE public.hc_audit_log" in said["problem"]
    assert main(["db", "check", "--database", land.owner]) == 0
