"""The audit log: table, row mapping, the reading repository, and the writing of an entry."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Index,
    String,
    Table,
    TypedColumns,
    select,
)

from hotelcore import wire
from hotelcore.domain.audit import AuditLogEntry, Change
from hotelcore.ids import AuditEntryId, HotelId
from hotelcore.lists import AuditFilter, Page
from hotelcore.sql import schema
from hotelcore.sql.pages import read_page
from hotelcore.sql.statements import AnyRow, Statements, acting_hotel, insert_into

__all__ = ["AUDIT_LOG", "SqlAuditLog", "write_entries"]


class AuditColumns(TypedColumns):
    """An entry's columns; ``changes`` holds the list of changes in wire form."""

    hotel_id: Column[UUID] = schema.hotel_column()
    id: Column[UUID] = schema.id_column()
    at: Column[datetime] = Column(schema.Instant, nullable=False)
    business_date: Column[date | None] = Column(schema.Day)
    subject: Column[str] = Column(String(200), nullable=False)
    role: Column[str] = Column(String(20), nullable=False)
    operation: Column[str] = Column(String(100), nullable=False)
    resource: Column[str] = Column(String(50), nullable=False)
    resource_id: Column[UUID] = Column(schema.Id, nullable=False)
    changes: Column[wire.Json] = Column(schema.Json, nullable=False)
    reason: Column[str | None] = Column(String(500))
    correlation_id: Column[str | None] = Column(String(200))


AUDIT_LOG = Table(
    "hc_audit_log",
    schema.METADATA,
    AuditColumns,
    ForeignKeyConstraint(["hotel_id"], ["hc_hotel.hotel_id"]),
)
"""The table of audit entries; the database refuses to change or delete a row."""
_c = AUDIT_LOG.c
Index("ix_hc_audit_log_resource", _c.hotel_id, _c.resource, _c.resource_id, _c.id)
Index("ix_hc_audit_log_operation", _c.hotel_id, _c.operation, _c.id)
Index("ix_hc_audit_log_subject", _c.hotel_id, _c.subject, _c.id)
schema.append_only(AUDIT_LOG)

_ALL = select(AUDIT_LOG).where(_c.hotel_id == acting_hotel())
_INSERT = insert_into(AUDIT_LOG)


def _entry(row: AnyRow) -> AuditLogEntry:
    return AuditLogEntry(
        id=row.id,
        hotel_id=HotelId(row.hotel_id),
        at=row.at,
        business_date=row.business_date,
        subject=row.subject,
        role=row.role,
        operation=row.operation,
        resource=row.resource,
        resource_id=row.resource_id,
        changes=wire.decode(row.changes, tuple[Change, ...]),
        reason=row.reason,
        correlation_id=row.correlation_id,
    )


def write_entries(run: Statements, entries: list[AuditLogEntry]) -> None:
    """Store the entries of a unit of work, all in one go."""
    run.write_many(
        _INSERT,
        [
            {
                "id": AuditEntryId(entry.id),
                "at": entry.at,
                "business_date": entry.business_date,
                "subject": entry.subject,
                "role": entry.role,
                "operation": entry.operation,
                "resource": entry.resource,
                "resource_id": entry.resource_id,
                "changes": wire.encode(entry.changes),
                "reason": entry.reason,
                "correlation_id": entry.correlation_id,
            }
            for entry in entries
        ],
    )


class SqlAuditLog:
    """The `hotelcore.repositories.AuditLog` of one unit of work."""

    def __init__(self, run: Statements) -> None:
        self._run = run

    def page(
        self, which: AuditFilter, *, after: str | None = None, limit: int = 50
    ) -> Page[AuditLogEntry]:
        """Return entries, newest first."""
        statement = _ALL
        if which.resource is not None:
            statement = statement.where(_c.resource == which.resource)
        if which.resource_id is not None:
            statement = statement.where(_c.resource_id == which.resource_id)
        if which.operation is not None:
            statement = statement.where(_c.operation == which.operation)
        if which.subject is not None:
            statement = statement.where(_c.subject == which.subject)
        return read_page(
            self._run, statement, _entry, keys=(_c.id,), after=after, limit=limit, descending=True
        )
