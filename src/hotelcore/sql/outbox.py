"""The outbox: events are rows, written in the transaction that they report."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Integer,
    String,
    Table,
    TypedColumns,
    UniqueConstraint,
    bindparam,
    func,
    select,
)

from hotelcore import wire
from hotelcore.errors import DatabaseBusy
from hotelcore.events.envelope import Envelope
from hotelcore.ids import EventId, HotelId
from hotelcore.sql import schema
from hotelcore.sql.statements import AnyRow, Statements, acting_hotel, insert_into
from hotelcore.sql.translation import UniqueViolation

__all__ = ["OUTBOX", "read_events", "write_events"]


class OutboxColumns(TypedColumns):
    """An event's columns; ``sequence`` counts the events of one ``key`` from 1, without gaps."""

    hotel_id: Column[UUID] = schema.hotel_column()
    id: Column[UUID] = schema.id_column()
    name: Column[str] = Column(String(100), nullable=False)
    key: Column[UUID] = Column(schema.Id, nullable=False)
    sequence: Column[int] = Column(Integer, nullable=False)
    occurred_at: Column[datetime] = Column(schema.Instant, nullable=False)
    correlation_id: Column[str | None] = Column(String(200))
    payload: Column[wire.Json] = Column(schema.Json, nullable=False)


OUTBOX = Table(
    "hc_outbox",
    schema.METADATA,
    OutboxColumns,
    UniqueConstraint("hotel_id", "key", "sequence", name="uq_hc_outbox_key_sequence"),
    ForeignKeyConstraint(["hotel_id"], ["hc_hotel.hotel_id"]),
)
"""The table of events, written in the transactions that they report."""
_c = OUTBOX.c
_last = OUTBOX.alias("last")
_NEXT = (
    select(func.coalesce(func.max(_last.c.sequence), 0) + 1)
    .where(_last.c.hotel_id == acting_hotel(), _last.c.key == bindparam("key"))
    .scalar_subquery()
)
_INSERT = insert_into(OUTBOX).values(sequence=_NEXT)
_OF_KEY = (
    select(OUTBOX)
    .where(_c.hotel_id == acting_hotel(), _c.key == bindparam("wanted"))
    .order_by(_c.sequence)
)


def write_events(run: Statements, envelopes: list[Envelope]) -> None:
    """Store the events of a unit of work in the order in which they were emitted.

    Two units that report on one record at the same time draw the same number; the later one is
    asked to run again (`DatabaseBusy`).
    """
    try:
        run.write_many(
            _INSERT,
            [
                {
                    "id": envelope.id,
                    "name": envelope.name,
                    "key": envelope.key,
                    "occurred_at": envelope.occurred_at,
                    "correlation_id": envelope.correlation_id,
                    "payload": envelope.payload,
                }
                for envelope in envelopes
            ],
        )
    except UniqueViolation:
        raise DatabaseBusy from None


def read_events(run: Statements, key: UUID) -> list[Envelope]:
    """Return the stored events of one record, in order."""
    return run.all(_OF_KEY, _envelope, wanted=key)


def _envelope(row: AnyRow) -> Envelope:
    return Envelope(
        id=EventId(row.id),
        hotel_id=HotelId(row.hotel_id),
        name=row.name,
        key=row.key,
        occurred_at=row.occurred_at,
        correlation_id=row.correlation_id,
        payload=row.payload,
    )
