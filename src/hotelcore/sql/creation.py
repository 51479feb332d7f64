"""Creates the tables for the embedded default; in production migrations do it."""

from __future__ import annotations

from sqlalchemy import Connection, text

from hotelcore.sql import (  # each module puts its tables into the register
    audit,
    availability,
    bookings,
    business_day,
    folios,
    guests,
    hotels,
    housekeeping,
    idempotency,
    outbox,
    pms,
    room_nights,
    rooms,
)
from hotelcore.sql.engine import NAMES
from hotelcore.sql.schema import METADATA, TableNames

__all__ = ["SUBJECTS", "create_schema", "in_schema"]

SUBJECTS = (
    hotels,
    rooms,
    room_nights,
    availability,
    guests,
    bookings,
    folios,
    housekeeping,
    business_day,
    audit,
    outbox,
    idempotency,
    pms,
)
"""Every module that owns tables."""


def in_schema(connection: Connection, names: TableNames) -> Connection:
    """Return ``connection`` with the host's names for what its open transaction creates."""
    if names.schema is not None and connection.dialect.name == "postgresql":
        # The search path covers triggers and functions too, which a translated name would not.
        connection.execute(
            text("SELECT set_config('search_path', :schema, true)"), {"schema": names.schema}
        )
    return connection.execution_options(**{NAMES: names})


def create_schema(connection: Connection, names: TableNames) -> None:
    """Create the missing tables with their indexes and triggers, in one transaction."""
    with connection.begin():
        METADATA.create_all(in_schema(connection, names))
