"""The audit log: table, rows and reading repository; `hotelcore.sql.audit.chain` adds to it."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import attrs
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    String,
    Table,
    TypedColumns,
    bindparam,
    select,
)

from hotelcore import wire
from hotelcore.domain.audit import AuditLogEntry, Change, Outcome
from hotelcore.ids import HotelId
from hotelcore.lists import AuditFilter, Page
from hotelcore.sql import schema
from hotelcore.sql.pages import Listing, check_filter
from hotelcore.sql.sealing.subject_keys import SqlSubjectKeys
from hotelcore.sql.seam.statements import AnyRow, Statements, acting_hotel

__all__ = ["AUDIT_LOG", "SqlAuditLog"]


class AuditColumns(TypedColumns):
    """An entry's columns; ``changes`` holds the list of changes in wire form.

    ``mac`` binds the entry to the one before it, under the key of ``key_number`` if there is one.
    """

    hotel_id: Column[UUID] = schema.hotel_column()
    id: Column[UUID] = schema.id_column()
    sequence: Column[int] = Column(BigInteger, nullable=False)
    outcome: Column[str] = Column(String(10), nullable=False)
    at: Column[datetime] = Column(schema.Instant, nullable=False)
    business_date: Column[date | None] = Column(schema.Day)
    subject: Column[str] = Column(String(200), nullable=False)
    role: Column[str] = Column(String(20), nullable=False)
    operation: Column[str] = Column(String(100), nullable=False)
    permission: Column[str | None] = Column(String(100))
    resource: Column[str] = Column(String(50), nullable=False)
    resource_id: Column[UUID] = Column(schema.Id, nullable=False)
    changes: Column[wire.Json] = Column(schema.Json, nullable=False)
    reason: Column[str | None] = Column(String(500))
    correlation_id: Column[str | None] = Column(String(200))
    key_number: Column[int | None] = Column(BigInteger)
    mac: Column[bytes] = Column(LargeBinary, nullable=False)


AUDIT_LOG = Table(
    "hc_audit_log",
    schema.METADATA,
    AuditColumns,
    schema.one_of("outcome", Outcome),
    CheckConstraint("(outcome = 'denied') = (permission IS NOT NULL)", name="permission"),
    ForeignKeyConstraint(["hotel_id"], ["hc_hotel.hotel_id"]),
)
"""The table of audit entries; the database refuses to change or delete a row."""
_c = AUDIT_LOG.c
Index("uq_hc_audit_log_sequence", _c.hotel_id, _c.sequence, unique=True)
Index("ix_hc_audit_log_resource", _c.hotel_id, _c.resource, _c.resource_id, _c.sequence)
Index("ix_hc_audit_log_operation", _c.hotel_id, _c.operation, _c.sequence)
Index("ix_hc_audit_log_subject", _c.hotel_id, _c.subject, _c.sequence)
Index("ix_hc_audit_log_outcome", _c.hotel_id, _c.outcome, _c.sequence)
Index("ix_hc_audit_log_at", _c.hotel_id, _c.at, _c.sequence)
schema.append_only(AUDIT_LOG)

_ALL = select(AUDIT_LOG).where(_c.hotel_id == acting_hotel())


def _entry(row: AnyRow) -> AuditLogEntry:
    return AuditLogEntry(
        id=row.id,
        hotel_id=HotelId(row.hotel_id),
        sequence=row.sequence,
        outcome=row.outcome,
        at=row.at,
        business_date=row.business_date,
        subject=row.subject,
        role=row.role,
        operation=row.operation,
        permission=row.permission,
        resource=row.resource,
        resource_id=row.resource_id,
        changes=wire.decode(row.changes, tuple[Change, ...]),
        reason=row.reason,
        correlation_id=row.correlation_id,
    )


_CONDITIONS = {
    "of_resource": _c.resource == bindparam("of_resource"),
    "of_record": _c.resource_id == bindparam("of_record"),
    "by_operation": _c.operation == bindparam("by_operation"),
    "by_subject": _c.subject == bindparam("by_subject"),
    "with_outcome": _c.outcome == bindparam("with_outcome"),
}
_PERIOD = {"since": _c.at >= bindparam("since"), "before": _c.at < bindparam("before")}
_PAGES = Listing(_ALL, _entry, keys=(_c.sequence,), descending=True, conditions=_CONDITIONS)
# In the order of its index, or a long period would be sorted for each page.
_PAGES_OF_PERIOD = Listing(
    _ALL,
    _entry,
    keys=(_c.at, _c.sequence),
    descending=True,
    conditions={**_CONDITIONS, **_PERIOD},
)


class SqlAuditLog:
    """The `hotelcore.repositories.AuditLog` of one unit of work."""

    def __init__(self, run: Statements, subjects: SqlSubjectKeys) -> None:
        self._run = run
        self._subjects = subjects

    def page(
        self, which: AuditFilter, *, after: str | None = None, limit: int = 50
    ) -> Page[AuditLogEntry]:
        """Return entries, newest first, with the guests' data that can still be opened."""
        check_filter(which, AuditFilter)
        by_time = which.since is not None or which.before is not None
        period = {"since": which.since, "before": which.before} if by_time else {}
        page = (_PAGES_OF_PERIOD if by_time else _PAGES).page(
            self._run,
            after=after,
            limit=limit,
            of_resource=which.resource,
            of_record=which.resource_id,
            by_operation=which.operation,
            by_subject=which.subject,
            with_outcome=which.outcome,
            **period,
        )
        return attrs.evolve(page, items=tuple(self._subjects.opened(page.items)))
