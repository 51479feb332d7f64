"""A database with the library's tables, and a hotel in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from hotelcore.sql.schema import TableNames
from hotelcore.sql.seam.engine import new_engine
from hotelcore.sql.upkeep.creation import create_schema
from tests.sql.house import House, new_house


@pytest.fixture
def database(schema_url: str) -> Iterator[Engine]:
    """Return an engine on a fresh database with all tables, SQLite and PostgreSQL in turn."""
    engine = new_engine(schema_url)
    with engine.connect() as connection:
        create_schema(connection, TableNames())
    yield engine
    engine.dispose()


@pytest.fixture
def house(database: Engine) -> House:
    """Return a hotel of its own in the database."""
    return new_house(database)
