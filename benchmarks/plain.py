"""The library's tables as an application would map them: with SQLAlchemy's own types alone."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Date, DateTime, LargeBinary, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from hotelcore.sql import schema
from hotelcore.sql.upkeep.creation import create_schema

__all__ = ["TABLES"]

# Any: the types of columns have nothing more in common.
_INSTANT = BigInteger().with_variant(DateTime(timezone=True), "postgresql")
_JSON = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
_PLAIN: dict[type[TypeEngine[Any]], TypeEngine[Any]] = {
    schema.Id: Uuid(),
    schema.SharedId: Uuid(),
    schema.Day: Date(),
    schema.Instant: _INSTANT,
    schema.AttributesJson: _JSON,
    schema.ValueText: Text(),
    schema.Sealed: LargeBinary(),
}


def _plain(table: Table, into: MetaData) -> Table:
    copy = table.to_metadata(into)
    for column in copy.columns:
        column.type = _PLAIN.get(type(column.type), column.type)
    return copy


assert create_schema is not None  # its module knows every table
_METADATA = MetaData()
TABLES = {name: _plain(table, _METADATA) for name, table in schema.METADATA.tables.items()}
"""The tables by name."""
