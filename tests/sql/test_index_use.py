"""Whoever wants to know what an index is good for is told what the database has counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import text

from hotelcore import HotelCore
from hotelcore.cli import main
from hotelcore.sql.schema import METADATA, TableNames
from hotelcore.sql.upkeep.index_use import index_use
from tests.small_hotel import SmallHotel, opened

pytestmark = pytest.mark.long

OURS = {str(index.name) for table in METADATA.tables.values() for index in table.indexes}


@pytest.fixture
def hotel(database_url: str) -> Iterator[SmallHotel]:
    """Return a hotel in a database of its own."""
    with opened(database_url) as hotel:
        yield hotel


def counted(hotel: SmallHotel) -> int | None:
    """Return how often all indexes of the guests were used; None where that is not counted."""
    uses = [use.uses for use in index_use(hotel.core.engine) if use.table == "hc_guest"]
    return None if None in uses else sum(use or 0 for use in uses)


def use_an_index(hotel: SmallHotel) -> None:
    """Ask for a guest by e-mail, in a way that is counted at once."""
    with hotel.core.engine.begin() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        connection.execute(
            text("SELECT id FROM hc_guest WHERE hotel_id = :hotel AND email_key = 'a@b.c'"),
            {"hotel": hotel.hotel_id},
        )
        connection.execute(text("SELECT pg_stat_force_next_flush()"))


def test_every_index_is_told(hotel: SmallHotel) -> None:
    """None of our indexes is missing, each with its table and size; what is unique is a rule."""
    found = {use.name: use for use in index_use(hotel.core.engine)}
    assert set(found) >= OURS
    for table in METADATA.tables.values():
        for index in table.indexes:
            use = found[str(index.name)]
            assert (use.table, use.is_rule) == (table.name, bool(index.unique))
            assert use.size is None or use.size >= 4_096


def test_a_use_is_counted_where_the_database_counts(hotel: SmallHotel) -> None:
    """PostgreSQL's count goes up by one with a question; SQLite has none, and that is said."""
    before = counted(hotel)
    if hotel.core.engine.dialect.name == "sqlite":
        assert before is None
        return
    use_an_index(hotel)
    assert counted(hotel) == (before or 0) + 1
    uses = [use.uses or 0 for use in index_use(hotel.core.engine)]
    assert uses == sorted(uses)


def test_the_command_prints_them(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """For people and for programs, also where a host gave the tables other names."""
    with closing(HotelCore(database_url, names=TableNames(prefix="inn_"))) as core:
        core.create_schema()
    command = ["db", "indexes", "--database", database_url, "--prefix", "inn_"]
    assert main(command) == 0
    assert "ix_inn_guest_email" in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["indexes"]
    assert {each["table"] for each in told} == {
        name.replace("hc_", "inn_", 1) for name in METADATA.tables
    }
