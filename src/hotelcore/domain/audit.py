"""Audit entries: who did what to which record, when, and what changed."""

from __future__ import annotations

from datetime import date, datetime
from typing import TypeAlias
from uuid import UUID

import attrs
from attrs import frozen

from hotelcore import wire
from hotelcore.domain import fields
from hotelcore.ids import AuditEntryId, HotelId

__all__ = ["AuditLogEntry", "Change", "changes_between"]


@frozen(kw_only=True)
class Change:
    """What happened to one record: the fields that differ, before and after, in wire form.

    A guest's personal data is never in it: such a field shows only that it changed.
    """

    resource: str = fields.text(50)
    resource_id: UUID = fields.identifier()
    before: wire.Json
    after: wire.Json


@frozen(kw_only=True)
class AuditLogEntry:
    """One successful command: exactly one entry each, written in the command's transaction.

    ``changes`` come in the order in which they were made; ``resource`` and ``resource_id`` are
    those of the first, the record that the command is about. ``business_date`` is the day that was
    open when the command began, if it looked. ``reason`` is what the actor gave for
    an override or a correction.
    """

    id: AuditEntryId = fields.identifier()
    hotel_id: HotelId = fields.identifier()
    at: datetime = fields.instant()
    business_date: date | None = fields.day(optional=True)
    subject: str = fields.text(200)
    role: str = fields.text(20)
    operation: str = fields.text(100)
    resource: str = fields.text(50)
    resource_id: UUID = fields.identifier()
    changes: tuple[Change, ...] = fields.instances(Change)
    reason: str | None = fields.text(500, optional=True)
    correlation_id: str | None = fields.text(200, optional=True)


# An attrs class of our own; attrs offers no narrower name for "any of them".
Entity: TypeAlias = attrs.AttrsInstance

_SILENT = frozenset({"id", "hotel_id", "version"})


def changes_between(
    resource: str, resource_id: UUID, before: Entity | None, after: Entity | None
) -> Change:
    """Return the difference of two states of one record; None stands for not existing."""
    return Change(
        resource=resource,
        resource_id=resource_id,
        before=None if before is None else _shown(before, other=after),
        after=None if after is None else _shown(after, other=before),
    )


def _shown(entity: Entity, *, other: Entity | None) -> dict[str, wire.Json]:
    """Show the fields in which ``entity`` differs from ``other``; from nothing, those not None."""
    shown: dict[str, wire.Json] = {}
    for attribute in attrs.fields(type(entity)):
        value = getattr(entity, attribute.name)
        if attribute.name not in _SILENT and value != getattr(other, attribute.name, None):
            personal = "personal" in attribute.metadata
            shown[attribute.name] = _redacted(value) if personal else wire.encode(value)
    return shown


def _redacted(value: object) -> wire.Json:
    """Say only whether there is a value."""
    return None if value is None else "…"
