"""What PostgreSQL shows the application's role of the hotels, whatever SQL that role runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from psycopg.errors import FeatureNotSupported
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from hotelcore import HotelCore
from hotelcore.sql.schema import METADATA
from hotelcore.sql.upkeep.creation import VERSION
from tests.every_operation import NAMES, good_call
from tests.rls.land import Land, role_of, tell, told
from tests.small_hotel import SmallHotel, open_hotel

REFUSED_BY_POLICY = "42501"  # insufficient_privilege, as for a privilege that is missing
TABLES = sorted(METADATA.tables)


@frozen
class Two:
    """Two hotels of one database, in which every operation was run."""

    land: Land
    core: HotelCore
    ours: SmallHotel
    theirs: SmallHotel


@pytest.fixture(scope="module")
def two(land: Land) -> Iterator[Two]:
    """Return two hotels that have rows in every table but those of the relay."""
    with closing(land.core()) as core:
        hotels = open_hotel(core), open_hotel(core)
        for hotel in hotels:
            for name in ("check_in_guest", "create_housekeeping_task", "connect_pms"):
                good_call(name, hotel).run()
            good_call("close_business_day", hotel).run()
        yield Two(land, core, *hotels)


def hotels_in(connection: Connection, table: str) -> set[object]:
    """Return whose rows a transaction is shown."""
    return set(connection.scalars(text(f"SELECT DISTINCT hotel_id FROM {table}")))


def test_a_hotel_sees_its_own_rows_alone(two: Two) -> None:
    """Raw SQL without any condition is shown the rows of the hotel that it named."""
    seen: set[str] = set()
    for hotel in (two.ours, two.theirs):
        with two.land.connection(hotel.hotel_id) as connection:
            for table in TABLES:
                hotels = hotels_in(connection, table)
                assert hotels <= {hotel.hotel_id}
                seen |= {table} if hotels else set()
    assert len(seen) > len(TABLES) / 2


def test_who_names_no_hotel_sees_nothing(two: Two) -> None:
    """Neither before the setting was ever known to a session nor after it is."""
    with two.land.connection() as connection:
        for _ in range(2):
            assert [table for table in TABLES if hotels_in(connection, table)] == []
            tell(connection, two.ours.hotel_id)
            assert hotels_in(connection, "hc_guest")
            connection.commit()


@pytest.mark.parametrize("ending", ["commit", "rollback"])
def test_the_setting_ends_with_its_transaction(two: Two, ending: str) -> None:
    """The next transaction of the connection has named nobody."""
    with two.land.connection(two.ours.hotel_id) as connection:
        assert hotels_in(connection, "hc_guest") == {two.ours.hotel_id}
        getattr(connection, ending)()
        assert told(connection) == ""
        assert hotels_in(connection, "hc_guest") == set()


def test_what_is_no_hotel_is_an_error(two: Two) -> None:
    """A setting that is no id, and a relay's outside the tables of events, shows nothing."""
    for setting in ("x", "relay"):
        with two.land.connection() as connection:
            connection.execute(text(f"SET LOCAL hotelcore.hotel_id = '{setting}'"))
            with pytest.raises(DBAPIError):
                hotels_in(connection, "hc_guest")


def test_the_owner_is_held_to_it_too(two: Two) -> None:
    """`FORCE` is what makes the policies count for the role that owns the tables."""
    with pytest.raises(DBAPIError, match="division by zero"):
        two.land.execute("SELECT 1 / count(*) FROM hc_guest", url=two.land.owner)
    two.land.execute("SELECT 1 / count(*) FROM hc_guest")


NEW_GUEST = """
INSERT INTO hc_guest SELECT (jsonb_populate_record(g, jsonb_build_object(
    'id', gen_random_uuid(), 'hotel_id', CAST(:theirs AS uuid)))).*
FROM hc_guest g WHERE g.id = :guest
"""
FORBIDDEN = {
    "insert": NEW_GUEST,
    "insert or change": f"{NEW_GUEST} ON CONFLICT (hotel_id, id) DO UPDATE SET last_name = 'x'",
    "move": "UPDATE hc_guest SET hotel_id = :theirs WHERE id = :guest",
    "merge": """
        MERGE INTO hc_guest t USING (SELECT * FROM hc_guest WHERE id = :guest) s ON false
        WHEN NOT MATCHED THEN INSERT (hotel_id, id, last_name)
        VALUES (CAST(:theirs AS uuid), gen_random_uuid(), 'x')
    """,
    "merge and move": """
        MERGE INTO hc_guest t USING (SELECT CAST(:guest AS uuid) AS id) s ON t.id = s.id
        WHEN MATCHED THEN UPDATE SET hotel_id = :theirs
    """,
    "truncate": "TRUNCATE hc_guest",
    "another role": "SET ROLE {owner}",
    "another session": "SET SESSION AUTHORIZATION {owner}",
    "a look without the policies": "SET LOCAL row_security = off; SELECT * FROM hc_guest",
    "no policies": "ALTER TABLE hc_guest DISABLE ROW LEVEL SECURITY",
    "another policy": "CREATE POLICY mine ON hc_guest USING (true)",
    "a table that refers": "CREATE TABLE mine (h uuid REFERENCES hc_hotel)",
    "a trigger": """
        CREATE TRIGGER mine AFTER INSERT ON hc_guest FOR EACH ROW
        EXECUTE FUNCTION fn_hc_folio_line_append_only()
    """,
}


@pytest.mark.parametrize("way", FORBIDDEN)
def test_a_row_never_gets_into_another_hotel(two: Two, way: str) -> None:
    """Every statement that would bring one there, or undo the separation, is refused."""
    values = {"theirs": two.theirs.hotel_id, "guest": two.ours.guest_id}
    statement = FORBIDDEN[way].format(owner=role_of(two.land.owner))
    wanted = {name: value for name, value in values.items() if f":{name}" in statement}
    with (
        two.land.connection(two.ours.hotel_id) as connection,
        pytest.raises(DBAPIError) as refused,
    ):
        connection.execute(text(statement), wanted)
    assert getattr(refused.value.orig, "sqlstate", None) == REFUSED_BY_POLICY


def test_a_copy_into_another_hotel_is_refused(two: Two) -> None:
    """PostgreSQL has no `COPY` into a table for a role that its policies hold."""
    row = f"{two.theirs.hotel_id}\t{two.ours.rooms[0].id}\n"
    with two.land.connection(two.ours.hotel_id) as connection:
        driver: Any = connection.connection.cursor()  # psycopg's: SQLAlchemy does not name its type
        with (
            pytest.raises(FeatureNotSupported, match="COPY FROM not supported with row-level"),
            driver.copy("COPY hc_guest (hotel_id, id) FROM STDIN") as copy,
        ):
            copy.write(row)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE hc_guest SET last_name = 'Changed' WHERE hotel_id = :theirs",
        "DELETE FROM hc_guest WHERE hotel_id = :theirs",
        "SELECT * FROM hc_guest WHERE hotel_id = :theirs FOR UPDATE",
        "SELECT * FROM hc_guest WHERE id = (SELECT id FROM hc_guest WHERE hotel_id = :theirs)",
        "DELETE FROM hc_guest USING hc_hotel h WHERE h.hotel_id = :theirs",
    ],
)
def test_another_hotels_rows_are_not_there(two: Two, statement: str) -> None:
    """To read, lock, change or delete them touches nothing, as if they did not exist."""
    with two.land.connection(two.ours.hotel_id) as connection:
        result = connection.execute(text(statement), {"theirs": two.theirs.hotel_id})
        assert result.rowcount == 0
        if not result.returns_rows:
            return
        assert result.all() == []


def test_a_row_that_refers_to_another_hotel_is_refused(two: Two) -> None:
    """A key of ours with their record in it is no key that exists."""
    move = text("UPDATE hc_booking SET guest_id = :guest")
    with (
        two.land.connection(two.ours.hotel_id) as connection,
        pytest.raises(DBAPIError) as refused,
    ):
        connection.execute(move, {"guest": two.theirs.guest_id})
    assert getattr(refused.value.orig, "sqlstate", None) == "23503"


def test_the_index_is_still_used(two: Two) -> None:
    """The hotel that was named leads into the index, also where a statement names none."""
    with two.land.connection(two.ours.hotel_id) as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join(connection.scalars(text("EXPLAIN SELECT * FROM hc_guest")))
    assert "Index Cond: (hotel_id = " in plan
    assert "InitPlan" in plan
    assert "SubPlan" not in plan


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_works_under_it(two: Two, name: str) -> None:
    """As the application's role each operation of the library does what it does without."""
    hotel = open_hotel(two.core)
    good_call(name, hotel).run()
    assert two.core.prove(hotel.hotel_id).ok


def test_the_version_is_readable(two: Two) -> None:
    """A program may create the schema at each start: it finds that there is nothing to do."""
    two.core.create_schema()
    with two.land.connection() as connection:
        assert connection.scalar(text(f"SELECT count(*) FROM {VERSION.name}")) == 1


def test_a_table_of_a_hosts_is_kept_apart_as_the_how_to_says(two: Two) -> None:
    """The SQL of the page, run by the owner, shows the application the named hotel's rows alone."""
    page = Path(__file__).parents[2] / "docs" / "howto" / "row-level-security.md"
    _, section = page.read_text(encoding="utf-8").split("## Tables of your own")
    sql = section.split("```sql\n")[1].split("```")[0]
    hotels = [two.ours.hotel_id, two.theirs.hotel_id]
    row = text("INSERT INTO parking VALUES (:hotel, gen_random_uuid(), 'AB 123')")
    two.land.execute(sql.replace("hotel_app", two.land.role), url=two.land.owner)
    for hotel_id in hotels:
        with two.land.connection(hotel_id) as connection:
            connection.execute(row, {"hotel": hotel_id})
            connection.commit()
    for hotel_id in hotels:
        with two.land.connection(hotel_id) as connection:
            assert hotels_in(connection, "parking") == {hotel_id}
    with two.land.connection() as connection:
        assert hotels_in(connection, "parking") == set()
    two.land.execute("DROP TABLE parking", url=two.land.owner)
