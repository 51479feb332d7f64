"""The outbox: events are rows, written in the transaction that they report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    TypedColumns,
    UniqueConstraint,
    bindparam,
    cast,
    column,
    func,
    null,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from hotelcore import wire
from hotelcore.events.catalogue import Event, payload
from hotelcore.events.envelope import Envelope
from hotelcore.events.trace import Trace
from hotelcore.ids import EventId, HotelId
from hotelcore.sql import schema
from hotelcore.sql.changing import INSERTS, insert_into
from hotelcore.sql.seam.statements import AnyRow, Statements, acting_hotel

__all__ = ["INSERT_ALL", "OUTBOX", "envelope_of", "write_events"]


class OutboxColumns(TypedColumns):
    """An event's columns.

    ``sequence`` counts the events of one ``key`` from 1, without gaps. ``turn`` orders the hotel's
    events that wait for their ``position`` in its log, which the relay gives them.
    """

    hotel_id: Column[UUID] = schema.hotel_column()
    id: Column[UUID] = schema.id_column()
    name: Column[str] = Column(String(100), nullable=False)
    version: Column[int] = Column(Integer, nullable=False)
    key: Column[UUID] = Column(schema.Id, nullable=False)
    sequence: Column[int] = Column(Integer, nullable=False)
    turn: Column[int] = Column(BigInteger, nullable=False)
    position: Column[int | None] = Column(BigInteger)
    occurred_at: Column[datetime] = Column(schema.Instant, nullable=False)
    correlation_id: Column[str | None] = Column(String(200))
    causation_id: Column[UUID | None] = Column(schema.Id)
    traceparent: Column[str | None] = Column(String(55))
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
_waits = _c.position.is_(None)
Index("ix_hc_outbox_turn", _c.hotel_id, _c.turn, sqlite_where=_waits, postgresql_where=_waits)
_numbered = _c.position.is_not(None)
Index(
    "uq_hc_outbox_position",
    _c.hotel_id,
    _c.position,
    unique=True,
    sqlite_where=_numbered,
    postgresql_where=_numbered,
)
schema.announced(OUTBOX)

_last = OUTBOX.alias("last")
_NEXT_OF_KEY = (
    select(func.coalesce(func.max(_last.c.sequence), 0) + 1)
    .where(_last.c.hotel_id == acting_hotel(), _last.c.key == bindparam("key"))
    .scalar_subquery()
)
# Two writers may draw the same turn, but only for events of different records.
_NEXT_TURN = (
    select(func.coalesce(func.max(_last.c.turn), 0) + 1)
    .where(_last.c.hotel_id == acting_hotel(), _last.c.position.is_(None))
    .scalar_subquery()
)
_INSERT = insert_into(OUTBOX).values(sequence=_NEXT_OF_KEY, turn=_NEXT_TURN, position=None)

_events = func.jsonb_array_elements(bindparam("events", type_=JSONB)).table_valued(
    column("value", JSONB), name="event"
)
_event = _events.c.value
_id, _key = (cast(_event[name].astext, schema.Id()) for name in ("id", "key"))
_order = cast(_event["order"].astext, Integer)
# Asked for each event: for all at once, a server that does not know the table well reads it whole.
_last_of_key = (
    select(func.max(_last.c.sequence))
    .where(_last.c.hotel_id == acting_hotel(), _last.c.key == _key)
    .correlate(_events)
    .scalar_subquery()
)
# A statement for each would look up the last turn each time, and announce each.
INSERT_ALL = {
    "postgresql": INSERTS["postgresql"](OUTBOX).from_select(
        [column.name for column in _c],
        select(
            acting_hotel(),
            _id,
            _event["name"].astext,
            cast(_event["version"].astext, Integer),
            _key,
            func.coalesce(_last_of_key, 0) + cast(_event["nth"].astext, Integer),
            _NEXT_TURN + _order,
            null(),
            bindparam("occurred_at", type_=schema.Instant()),
            bindparam("correlation_id", type_=String()),
            cast(_event["causation_id"].astext, schema.Id()),
            bindparam("traceparent", type_=String()),
            _event.op("->", return_type=JSONB())("payload"),
        ).select_from(_events),
    )
}
"""What inserts many events, as one JSON array, where a database takes that."""
# So that no statement grows with the number of events, and the server is at the first of them while
# we write the next.
_CHUNK = 250
# PostgreSQL plans the statement for many anew each time, which takes as long as to insert so many.
_FEW = 8


def write_events(
    run: Statements,
    events: Sequence[Event],
    *,
    new_id: Callable[[], UUID],
    at: datetime,
    trace: Trace,
) -> None:
    """Store the events of a unit of work, in the order in which they were emitted.

    They go with the next statement. Before that the end of the hotel's audit log is locked, or two
    units that report on one record at the same time would draw the same number.
    """
    if len(events) > _FEW and run.dialect in INSERT_ALL:
        for begin in range(0, len(events), _CHUNK):
            chunk = _all_of(events[begin : begin + _CHUNK], new_id, at, trace)
            run.write_with_next(INSERT_ALL[run.dialect], [chunk])
    elif events:
        rows = [_row(new_id(), event, at, trace) for event in events]
        run.write_with_next(_INSERT, rows)


def _all_of(
    events: Sequence[Event], new_id: Callable[[], UUID], at: datetime, trace: Trace
) -> dict[str, object]:
    of_key = Counter[UUID]()
    rows = list[dict[str, object]]()
    for order, event in enumerate(events):
        of_key[event.key] += 1
        rows.append(
            {
                "order": order,
                "nth": of_key[event.key],
                "id": new_id().hex,
                "name": event.wire_name,
                "version": event.version,
                "key": event.key.hex,
                "causation_id": trace.causation_id and trace.causation_id.hex,
                "payload": payload(event),
            }
        )
    return {
        "events": rows,
        "occurred_at": at,
        "correlation_id": trace.correlation_id,
        "traceparent": trace.traceparent,
    }


def _row(id: UUID, event: Event, at: datetime, trace: Trace) -> dict[str, object]:
    return {
        "id": id,
        "name": event.wire_name,
        "version": event.version,
        "key": event.key,
        "occurred_at": at,
        "correlation_id": trace.correlation_id,
        "causation_id": trace.causation_id,
        "traceparent": trace.traceparent,
        "payload": payload(event),
    }


def envelope_of(row: AnyRow) -> Envelope:
    """Build the envelope of a row that has all columns."""
    return Envelope(
        id=EventId(row.id),
        hotel_id=HotelId(row.hotel_id),
        name=row.name,
        version=row.version,
        key=row.key,
        sequence=row.sequence,
        position=row.position,
        occurred_at=row.occurred_at,
        correlation_id=row.correlation_id,
        causation_id=row.causation_id,
        traceparent=row.traceparent,
        payload=row.payload,
    )
